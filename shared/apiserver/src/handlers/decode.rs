//! Request bodies: JSON and YAML into values, with the duplicate fields that they contained.

use fluxide_goyaml::sigs;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Context;
use crate::api_error::{ApiError, ApiResult};
use crate::protobuf;

/// How a request wants unknown and duplicate fields treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub fn of(ctx: &Context) -> ApiResult<Self> {
        match ctx.request.query.text("fieldValidation") {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => {
                let e = crate::api_error::FieldError::not_supported(
                    "fieldValidation",
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                );
                Err(ApiError::invalid("meta.k8s.io", options_kind(ctx), "", vec![e]))
            }
        }
    }
}

fn options_kind(ctx: &Context) -> &'static str {
    match ctx.target.verb {
        "create" => "CreateOptions",
        "patch" => "PatchOptions",
        _ => "UpdateOptions",
    }
}

/// A decoded body.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub value: Value,
    /// Messages such as `duplicate field "spec.replicas"`.
    pub problems: Vec<String>,
}

/// The media type of a body without its parameters.
pub(crate) fn media_type<'a>(ctx: &'a Context) -> &'a str {
    crate::output::media_type(ctx.request.header("content-type"))
}

/// Decodes the body of a create or update.
pub(crate) fn object(ctx: &Context) -> ApiResult<Decoded> {
    let body = &ctx.request.body;
    let decoded = match media_type(ctx) {
        "" | "application/json" => json(body),
        "application/yaml" => yaml(body, FieldValidation::of(ctx)? == FieldValidation::Strict),
        protobuf::MEDIA_TYPE if ctx.resource.custom.is_none() => protobuf::decode(body)
            .map(|value| Decoded { value, problems: Vec::new() })
            .map_err(|e| e.to_string()),
        other => {
            return Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf{}",
                if other.is_empty() { "," } else { "" }
            )));
        }
    };
    let decoded = decoded.map_err(|e| match media_type(ctx) {
        "application/yaml" | protobuf::MEDIA_TYPE => unrecognized(ctx, &e),
        _ => unrecognized(ctx, &format!("couldn't get version/kind; json parse error: {e}")),
    })?;
    let mut decoded = decoded;
    if decoded.value.is_null() && ctx.resource.custom.is_none() {
        decoded.value = Value::Object(Map::new());
    }
    if !decoded.value.is_object() {
        let why = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ \
             APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            crate::go_value::json_kind(&decoded.value)
        );
        return Err(unrecognized(ctx, &why));
    }
    Ok(decoded)
}

/// 400 for a body of which not even the kind can be read.
pub(crate) fn unrecognized(ctx: &Context, why: &str) -> ApiError {
    const LONGEST_EXCERPT: usize = 30;
    let body = &ctx.request.body;
    let excerpt = &body[..body.len().min(LONGEST_EXCERPT)];
    let mut summary = match excerpt.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(excerpt).into_owned(),
        Some(_) => hex::encode(excerpt),
    };
    if body.len() > LONGEST_EXCERPT {
        summary.push_str(" ...");
    }
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({summary})",
        ctx.resource.kind
    ))
}

/// Parses JSON, noting duplicate members.
pub(crate) fn json(bytes: &[u8]) -> Result<Decoded, String> {
    let mut problems = Vec::new();
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let seed = Node { path: String::new(), problems: &mut problems, order: None };
    let value = seed.deserialize(&mut de).and_then(|value| de.end().map(|()| value));
    match value {
        Ok(value) => Ok(Decoded { value, problems }),
        Err(e) => Err(super::go_json::syntax_error(bytes).unwrap_or_else(|| e.to_string())),
    }
}

/// Parses YAML or JSON as the Go libraries do.
///
/// Duplicate keys are one problem in strict reading, and one each otherwise.
pub(crate) fn yaml(bytes: &[u8], strict: bool) -> Result<Decoded, String> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(decoded) = json(bytes)
        && decoded.problems.is_empty()
    {
        return Ok(decoded);
    }
    let value = yaml_value(bytes).map_err(|e| e.to_string())?;
    let problems = match sigs::from_yaml_strict(bytes) {
        Ok(_) => Vec::new(),
        Err(e) if strict => vec![e.to_string()],
        Err(e) => places(&e),
    };
    Ok(Decoded { value, problems })
}

fn yaml_value(bytes: &[u8]) -> Result<Value, fluxide_goyaml::Error> {
    let text = sigs::yaml_to_json(bytes)?;
    serde_json::from_str(&text).map_err(|e| fluxide_goyaml::Error::Json(e.to_string()))
}

/// The body of an apply patch.
pub(crate) struct ApplyBody {
    pub value: Value,
    /// Why strict reading refuses the body, and each place of it.
    duplicates: Option<(String, Vec<String>)>,
}

/// Reads the body of an apply patch.
pub(crate) fn apply_body(bytes: &[u8]) -> ApiResult<ApplyBody> {
    let refused = |why: String| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let converting = |e: &fluxide_goyaml::Error| format!("error converting YAML to JSON: {e}");
    let quick = match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => json(bytes).ok().filter(|decoded| decoded.problems.is_empty()),
        _ => None,
    };
    if let Some(decoded) = quick {
        return Ok(ApplyBody { value: decoded.value, duplicates: None });
    }
    let duplicates = match sigs::from_yaml_strict(bytes) {
        Ok(_) => None,
        Err(e) => Some((converting(&e), places(&e))),
    };
    match yaml_value(bytes) {
        Ok(Value::Null) => Ok(ApplyBody { value: Value::Object(Map::new()), duplicates }),
        Ok(value @ Value::Object(_)) => Ok(ApplyBody { value, duplicates }),
        Ok(other) => Err(refused(format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type \
             map[string]interface {{}}",
            crate::go_value::json_kind(&other)
        ))),
        Err(e) => Err(refused(converting(&e))),
    }
}

impl ApplyBody {
    /// Turns duplicate keys into warnings or an error.
    pub fn report_duplicates(&self, ctx: &mut Context, validation: FieldValidation) -> ApiResult<()> {
        let Some((text, places)) = &self.duplicates else { return Ok(()) };
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => ctx.warnings.extend(places.iter().cloned()),
            FieldValidation::Strict => {
                return Err(ApiError::bad_request(format!("error strict decoding YAML: {text}")));
            }
        }
        Ok(())
    }
}

fn places(error: &fluxide_goyaml::Error) -> Vec<String> {
    match error {
        fluxide_goyaml::Error::Values(places) => places.clone(),
        fluxide_goyaml::Error::Context { source, .. } => places(source),
        other => vec![other.to_string()],
    }
}

struct Node<'a> {
    path: String,
    problems: &'a mut Vec<String>,
    order: Option<&'a mut Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_string<E: de::Error>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        Value::deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, out.len());
            let order = self.order.as_deref_mut();
            match seq.next_element_seed(Node { path, problems: &mut *self.problems, order })? {
                Some(v) => out.push(v),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = crate::crd::structural::join(&self.path, &key);
            if out.contains_key(&key) {
                let problem = format!("duplicate field \"{path}\"");
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
            if let Some(order) = self.order.as_deref_mut() {
                order.push(path.clone());
            }
            let order = self.order.as_deref_mut();
            let v = map.next_value_seed(Node { path, problems: &mut *self.problems, order })?;
            out.insert(key, v);
        }
        Ok(Value::Object(out))
    }
}

/// Decodes the `DeleteOptions` of a delete.
pub(crate) fn options(ctx: &Context) -> ApiResult<Value> {
    let body = &ctx.request.body;
    let decoded = match media_type(ctx) {
        "application/yaml" => yaml(body, false),
        protobuf::MEDIA_TYPE => protobuf::decode(body)
            .map(|value| Decoded { value, problems: Vec::new() })
            .map_err(|e| e.to_string()),
        _ => json(body),
    };
    match decoded {
        Ok(d) if d.value.is_object() => Ok(d.value),
        Ok(d) => Err(ApiError::bad_request(format!(
            "json: cannot unmarshal {} into Go value",
            crate::go_value::json_kind(&d.value)
        ))),
        Err(e) => Err(ApiError::bad_request(format!("couldn't get version/kind; json parse error: {e}"))),
    }
}

/// The paths of all members in the order of the text, to report what is wrong in that order.
pub(crate) fn member_order(bytes: &[u8]) -> Vec<String> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let mut order = Vec::new();
    let mut problems = Vec::new();
    let seed = Node { path: String::new(), problems: &mut problems, order: Some(&mut order) };
    let _ = seed.deserialize(&mut de);
    order
}
