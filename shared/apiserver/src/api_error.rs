//! Errors as a Kubernetes client sees them: a `Status` object with the API server's own words.

use fluxide_gotext::quote_str;
use serde_json::{Map, Value, json};

/// A failed request: HTTP code, reason, message and details, ready to be written as a `Status`.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `reason` of the Status; absent for errors the server did not classify.
    pub reason: Option<&'static str>,
    /// Text for people.
    pub message: String,
    /// `details` of the Status.
    pub details: Option<Value>,
    /// The answer is this plain text instead of a Status.
    pub plain: bool,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

/// Result of everything that can end in a `Status`.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error with a code, a reason and a message, and no details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        ApiError { code, reason: Some(reason), message: message.into(), details: None, plain: false }
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut m = Map::new();
        m.insert("kind".into(), "Status".into());
        m.insert("apiVersion".into(), "v1".into());
        m.insert("metadata".into(), json!({}));
        m.insert("status".into(), "Failure".into());
        m.insert("message".into(), self.message.clone().into());
        if let Some(reason) = self.reason {
            m.insert("reason".into(), reason.into());
        }
        if let Some(details) = &self.details {
            m.insert("details".into(), details.clone());
        }
        m.insert("code".into(), self.code.into());
        Value::Object(m)
    }

    fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same error with `details: {}`.
    pub fn with_empty_details(self) -> Self {
        self.with_details(json!({}))
    }

    /// 404 for an object: `deployments.apps "web" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(resource, group)))
            .with_details(details(group, resource, name))
    }

    /// 404 for a resource or path the server does not have.
    pub fn unknown_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(json!({}))
    }

    /// 404 as plain text, for paths outside every known API group.
    pub fn unknown_path() -> Self {
        ApiError { plain: true, ..Self::new(404, "NotFound", "404 page not found\n") }
    }

    /// 409 for a name that is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", qualified(resource, group)))
            .with_details(details(group, resource, name))
    }

    /// 409 for a failed precondition; `why` completes the sentence.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(resource, group)),
        )
        .with_details(details(group, resource, name))
    }

    /// 409 of optimistic locking.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 400 with the text as it is.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 422 from field errors.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: Vec<FieldError>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for e in &errors {
            let t = format!("{}: {}", e.field, e.body());
            if !texts.contains(&t) {
                texts.push(t);
            }
        }
        let joined = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.kind.reason(), "message": e.body(), "field": e.field}))
            .collect();
        let mut d = details(group, kind, name);
        if let Value::Object(m) = &mut d
            && !causes.is_empty()
        {
            m.insert("causes".into(), Value::Array(causes));
        }
        Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {joined}", qualified(kind, group)))
            .with_details(d)
    }

    /// 403 for an object or resource; `why` completes the sentence.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", qualified(resource, group))
        } else {
            format!("{} \"{name}\" is forbidden: {why}", qualified(resource, group))
        };
        Self::new(403, "Forbidden", message).with_details(details(group, resource, name))
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405 for a verb that a resource does not have.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details(json!({}))
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 410 for a resourceVersion that left the history.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 500 with the text as it is.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        let cause = json!({"causes": [{"message": message}]});
        Self::new(500, "InternalError", format!("Internal error occurred: {message}")).with_details(cause)
    }

    /// 500 with the text as it is, and the reason.
    pub fn internal_text(message: impl Into<String>) -> Self {
        ApiError { code: 500, reason: None, message: message.into(), details: None, plain: false }
    }

    /// 500 without a reason, as the server answers when an error has no type of its own.
    pub fn unclassified(message: impl Into<String>) -> Self {
        ApiError { code: 500, reason: None, message: message.into(), details: None, plain: false }
    }
}

/// `deployments.apps`, or just `pods` in the core group.
pub fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut m = Map::new();
    for (k, v) in [("name", name), ("group", group), ("kind", kind)] {
        if !v.is_empty() {
            m.insert(k.into(), v.into());
        }
    }
    Value::Object(m)
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Must be set.
    Required,
    /// Value appears twice.
    Duplicate,
    /// Value is not acceptable.
    Invalid,
    /// Value is not one of the supported ones.
    NotSupported,
    /// Must not be set (now).
    Forbidden,
    /// Longer than allowed.
    TooLong,
    /// More items than allowed.
    TooMany,
    /// Refers to something that does not exist.
    NotFound,
    /// Value has the wrong type.
    TypeInvalid,
    /// The server could not decide.
    Internal,
}

impl FieldErrorKind {
    fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }
}

/// One wrong field of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Path of the field, `spec.ports[0].name`.
    pub field: String,
    /// The offending value, where the text quotes it.
    pub value: Option<Value>,
    /// The explanation.
    pub detail: String,
}

impl FieldError {
    /// `field: Required value: detail`.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError { kind: FieldErrorKind::Required, field: field.into(), value: None, detail: detail.into() }
    }

    /// `field: Invalid value: value: detail`.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        FieldError { kind: FieldErrorKind::Invalid, field, value: Some(value.into()), detail }
    }

    /// `field: Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError {
            kind: FieldErrorKind::Forbidden,
            field: field.into(),
            value: None,
            detail: detail.into(),
        }
    }

    /// `field: Internal error: detail`.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError { kind: FieldErrorKind::Internal, field: field.into(), value: None, detail: detail.into() }
    }

    /// `field: Duplicate value: value`.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        let field = field.into();
        FieldError {
            kind: FieldErrorKind::Duplicate,
            field,
            value: Some(value.into()),
            detail: String::new(),
        }
    }

    /// `field: Not found: value`.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        let field = field.into();
        FieldError { kind: FieldErrorKind::NotFound, field, value: Some(value.into()), detail: String::new() }
    }

    /// `field: Unsupported value: value: supported values: "a", "b"`.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| quote_str(s)).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        FieldError {
            kind: FieldErrorKind::NotSupported,
            field: field.into(),
            value: Some(value.into()),
            detail,
        }
    }

    /// `field: Too long: may not be more than N bytes`.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let detail = format!("may not be more than {max} bytes");
        FieldError { kind: FieldErrorKind::TooLong, field: field.into(), value: None, detail }
    }

    /// `field: Too many: actual: must have at most max items`.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let noun = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {noun}");
        FieldError { kind: FieldErrorKind::TooMany, field: field.into(), value: Some(actual.into()), detail }
    }

    /// The text after the field path.
    pub fn body(&self) -> String {
        let head = match (self.kind, &self.value) {
            (FieldErrorKind::Required | FieldErrorKind::Forbidden | FieldErrorKind::TooLong, _) => {
                self.kind.text().to_owned()
            }
            (FieldErrorKind::Internal, _) | (_, None) => self.kind.text().to_owned(),
            (_, Some(v)) => format!("{}: {}", self.kind.text(), go_value(v)),
        };
        if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
    }
}

/// A value the way Go's field errors print it.
fn go_value(v: &Value) -> String {
    match v {
        Value::String(s) => quote_str(s),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
