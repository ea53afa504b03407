//! Built-in and custom kinds as the merge sees them.

use std::borrow::Cow;

use fluxide_structured_merge::schema::{Schema, TypeRef};
use fluxide_structured_merge::{FieldSet, Versions};
use serde_json::{Map, Value, json};

use super::{builtin, decode};

/// A built-in kind in all its versions.
pub(crate) struct BuiltinKind<'a> {
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The fields that the write ignores.
    pub reset_fields: FieldSet,
    /// Converts an object to another version.
    pub convert: &'a dyn Fn(&Value, &str) -> Result<Value, String>,
}

impl Versions for BuiltinKind<'_> {
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if group != self.group { None } else { builtin().kind(group, version, self.kind) }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut converted = (self.convert)(object, api_version)?;
        if let Some(ty) = self.type_at(api_version) {
            decode(&mut converted, ty).map_err(|error| error.to_string())?;
        }
        Ok(converted)
    }

    fn reset_fields(&self, _api_version: &str) -> Option<&FieldSet> {
        Some(&self.reset_fields)
    }

    fn empty(&self, api_version: &str) -> Value {
        let mut object = json!({"apiVersion": api_version, "kind": self.kind});
        if let Some(ty) = self.type_at(api_version)
            && decode(&mut object, ty).is_err()
        {
            object = Value::Object(Map::new());
        }
        object
    }
}

/// A custom kind in its served versions.
pub(crate) struct CustomKind<'a> {
    /// The versions, as in `example.com/v1`, with their schemas.
    pub versions: Vec<(Cow<'a, str>, &'a Schema)>,
    /// The fields that the write ignores.
    pub reset_fields: FieldSet,
    /// The versions in which it ignores them.
    pub resetting: Vec<Cow<'a, str>>,
}

impl Versions for CustomKind<'_> {
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>> {
        self.versions.iter().find(|(version, _)| *version == api_version).map(|(_, schema)| schema.root())
    }

    /// Versions differ in nothing but their name.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut converted = object.clone();
        match &mut converted {
            Value::Object(members) => {
                members.insert("apiVersion".to_owned(), Value::from(api_version));
                Ok(converted)
            }
            _ => Err("only objects convert".to_owned()),
        }
    }

    fn reset_fields(&self, api_version: &str) -> Option<&FieldSet> {
        self.resetting.iter().any(|version| version == api_version).then_some(&self.reset_fields)
    }
}
