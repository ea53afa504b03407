//! How a kind looks at each of its versions.

use serde_json::{Value, json};

use crate::fieldset::FieldSet;
use crate::schema::TypeRef;

/// What the merge has to know about the kind of an object: its types, and how versions convert.
pub trait Versions {
    /// The type of the kind at `api_version`; `None` when that version is gone, and with it what its managers own.
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>>;

    /// `object` at `api_version`. Asked only for versions that have a type.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String>;

    /// The fields that a write to this resource or subresource ignores, and so nobody comes to own through it.
    fn reset_fields(&self, api_version: &str) -> Option<&FieldSet>;

    /// The object before it exists: what the JSON form of the kind contains when nothing was given.
    fn empty(&self, api_version: &str) -> Value {
        json!({"apiVersion": api_version})
    }
}

/// A kind that has one version only.
#[derive(Debug, Clone)]
pub struct SingleVersion<'a> {
    /// The version.
    pub api_version: &'a str,
    /// The type.
    pub ty: TypeRef<'a>,
    /// The fields that writes ignore.
    pub reset_fields: Option<FieldSet>,
}

impl<'a> SingleVersion<'a> {
    /// A kind of which writes ignore nothing.
    pub fn new(api_version: &'a str, ty: TypeRef<'a>) -> Self {
        Self { api_version, ty, reset_fields: None }
    }
}

impl Versions for SingleVersion<'_> {
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>> {
        (api_version == self.api_version).then_some(self.ty)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        if api_version == self.api_version {
            return Ok(object.clone());
        }
        Err(format!("no kind is registered for version {api_version:?}"))
    }

    fn reset_fields(&self, _api_version: &str) -> Option<&FieldSet> {
        self.reset_fields.as_ref()
    }
}
