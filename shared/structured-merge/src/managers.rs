//! Who owns which fields, and `metadata.managedFields`, where that is written down.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::fieldset::{FieldSet, FieldSetError};

/// What tells the entries of `managedFields` apart.
///
/// Appliers keep their entry when they change versions: their identity has no version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerId {
    /// The name given by the client.
    pub manager: String,
    /// How the fields were written.
    pub operation: Operation,
    /// The version of an [`Operation::Update`]; empty for [`Operation::Apply`].
    pub api_version: String,
    /// The subresource through which the fields were written; empty for the object itself.
    pub subresource: String,
}

impl ManagerId {
    /// The identity of a manager; a nameless one is called `unknown`.
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = match operation {
            Operation::Apply => "",
            Operation::Update => api_version,
        };
        Self {
            manager: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// The manager as conflicts name it.
    pub fn describe(&self) -> String {
        let mut text = fluxide_gotext::quote_str(&self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", fluxide_gotext::quote_str(&self.subresource)));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// How fields were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Every other write.
    Update,
}

impl Operation {
    /// The name in `managedFields`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The fields.
    pub fields: FieldSet,
    /// The version that the fields are of.
    pub api_version: String,
    /// When the manager last changed a value.
    pub time: Option<String>,
}

/// Every manager of an object and what it owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managers(pub BTreeMap<ManagerId, Owned>);

impl Managers {
    /// Reads `metadata.managedFields`.
    pub fn decode(entries: &Value) -> Result<Self, ManagersError> {
        let entries = match entries {
            Value::Null => return Ok(Self::default()),
            Value::Array(entries) => entries,
            _ => return Err(ManagersError::NotAList),
        };
        let mut managers = BTreeMap::new();
        for (position, entry) in entries.iter().enumerate() {
            let (id, owned) = decode_entry(position, entry)?;
            managers.insert(id, owned);
        }
        Ok(Self(managers))
    }

    /// Reads the managers that an object names; none when they are unreadable, as Kubernetes does.
    pub fn of_object(object: &Value) -> Self {
        object
            .pointer("/metadata/managedFields")
            .and_then(|entries| Self::decode(entries).ok())
            .unwrap_or_default()
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries of `metadata.managedFields`, in the order of Kubernetes.
    pub fn encode(&self) -> Vec<Value> {
        let mut entries: Vec<(&ManagerId, &Owned)> = self.0.iter().collect();
        entries.sort_by(|(a, a_owned), (b, b_owned)| {
            a.operation
                .cmp(&b.operation)
                .then_with(|| compare_times(a_owned.time.as_deref(), b_owned.time.as_deref()))
                .then_with(|| a.manager.cmp(&b.manager))
                .then_with(|| a_owned.api_version.cmp(&b_owned.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        entries.into_iter().map(|(id, owned)| encode_entry(id, owned)).collect()
    }

    /// Writes the managers into an object; no managers leave no `managedFields`.
    pub fn write_to(&self, object: &mut Value) {
        let Value::Object(members) = object else { return };
        if self.is_empty() {
            if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
                metadata.remove("managedFields");
            }
            return;
        }
        let metadata = members.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        if let Value::Object(metadata) = metadata {
            metadata.insert("managedFields".to_owned(), Value::Array(self.encode()));
        }
    }
}

/// Checks the `metadata.managedFields` of a request.
pub fn validate_managed_fields(entries: &Value) -> Result<(), ManagersError> {
    Managers::decode(entries).map(|_| ())
}

/// Why `metadata.managedFields` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManagersError {
    /// Something else than a list.
    #[error("managedFields must be a list")]
    NotAList,
    /// An entry that is no object.
    #[error("managed fields entry {0} must be an object")]
    NotAnObject(usize),
    /// An operation other than the two there are.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// No version.
    #[error("apiVersion must not be empty")]
    ApiVersion,
    /// No type of the fields.
    #[error("missing fieldsType in managed fields entry {0}")]
    MissingFieldsType(usize),
    /// A type of fields that is not known.
    #[error("invalid fieldsType {fields_type} in managed fields entry {position}")]
    FieldsType {
        /// The type, quoted.
        fields_type: String,
        /// Which entry.
        position: usize,
    },
    /// Unreadable fields.
    #[error("error decoding versioned set from managed fields entry {position}: {source}")]
    Fields {
        /// Which entry.
        position: usize,
        /// What is wrong with them.
        source: FieldSetError,
    },
}

fn decode_entry(position: usize, entry: &Value) -> Result<(ManagerId, Owned), ManagersError> {
    let Value::Object(members) = entry else { return Err(ManagersError::NotAnObject(position)) };
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(ManagersError::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(ManagersError::ApiVersion);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(ManagersError::MissingFieldsType(position)),
        other => {
            return Err(ManagersError::FieldsType {
                fields_type: fluxide_gotext::quote_str(other),
                position,
            });
        }
    }
    let fields = match members.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::new(),
        Some(fields) => {
            FieldSet::from_json(fields).map_err(|source| ManagersError::Fields { position, source })?
        }
    };
    let id = ManagerId {
        manager: text("manager").to_owned(),
        operation,
        api_version: if operation == Operation::Apply { String::new() } else { api_version.to_owned() },
        subresource: text("subresource").to_owned(),
    };
    let time = members.get("time").and_then(Value::as_str).map(str::to_owned);
    Ok((id, Owned { fields, api_version: api_version.to_owned(), time }))
}

fn encode_entry(id: &ManagerId, owned: &Owned) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            members.insert(name.to_owned(), Value::from(text));
        }
    };
    put("manager", &id.manager);
    put("operation", id.operation.name());
    put("apiVersion", &owned.api_version);
    put("time", owned.time.as_deref().unwrap_or_default());
    put("fieldsType", "FieldsV1");
    put("subresource", &id.subresource);
    members.insert("fieldsV1".to_owned(), owned.fields.to_json());
    Value::Object(members)
}

/// Times as the server writes them (UTC, whole seconds) sort as texts; no time comes first.
pub(crate) fn compare_times(a: Option<&str>, b: Option<&str>) -> Ordering {
    a.unwrap_or_default().cmp(b.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decodes_and_encodes() {
        let entries = json!([
            {"manager": "b", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "a", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}},
            {"manager": "a", "operation": "Update", "apiVersion": "v1", "time": "2025-01-01T00:00:00Z", "subresource": "status", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {}}}
        ]);
        let managers = Managers::decode(&entries).unwrap();
        assert_eq!(Value::Array(managers.encode()), entries);
        let names: Vec<String> = managers.0.keys().map(ManagerId::describe).collect();
        assert_eq!(names, ["\"a\"", "\"a\" with subresource \"status\" using v1", "\"b\""]);
    }

    #[test]
    fn refuses_what_the_server_refuses() {
        let refusal = |entry: Value| validate_managed_fields(&json!([entry])).unwrap_err().to_string();
        assert_eq!(refusal(json!({})), "operation must be `Apply` or `Update`");
        assert_eq!(refusal(json!({"operation": "Apply"})), "apiVersion must not be empty");
        assert_eq!(
            refusal(json!({"operation": "Apply", "apiVersion": "v1"})),
            "missing fieldsType in managed fields entry 0"
        );
        assert_eq!(
            refusal(json!({"operation": "Apply", "apiVersion": "v1", "fieldsType": "V2"})),
            "invalid fieldsType \"V2\" in managed fields entry 0"
        );
    }
}
