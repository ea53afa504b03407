//! Schemas of custom resources, from the structural OpenAPI v3 schema of their definition.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    Field, Format, ListRelationship, ListType, MapType, Scalar, Schema, SchemaBuilder, Type, TypeUse,
};

/// How deep a schema may nest.
const MAX_DEPTH: usize = 200;

impl Schema {
    /// The schema of a custom resource at one version, from `spec.versions[].schema.openAPIV3Schema`.
    ///
    /// `apiVersion`, `kind` and `metadata` are added as every object has them. `preserve_unknown_fields` is the flag of
    /// old definitions that keeps what no schema declares.
    pub fn from_open_api(schema: &Value, preserve_unknown_fields: bool) -> Result<Self, SchemaError> {
        let mut reader = Reader { builder: SchemaBuilder::new(), metadata: None };
        let mut root = reader.read(schema, preserve_unknown_fields, "", 0)?;
        reader.add_object_fields(&mut root);
        let root = reader.builder.add(root);
        Ok(reader.builder.finish(root))
    }
}

/// Why an OpenAPI schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// A schema that is no object.
    #[error("the schema at {path:?} must be an object")]
    NotAnObject {
        /// Where.
        path: String,
    },
    /// A type that JSON schema does not have.
    #[error("{path}: unrecognized type: '{found}'")]
    UnknownType {
        /// Where.
        path: String,
        /// The type given.
        found: String,
    },
    /// `x-kubernetes-list-type` has another value than `atomic`, `set` or `map`.
    #[error("{path}: unknown list type {found}")]
    UnknownListType {
        /// Where.
        path: String,
        /// The value given.
        found: String,
    },
    /// `x-kubernetes-map-type` has another value than `atomic` or `granular`.
    #[error("{path}: unknown map type {found}")]
    UnknownMapType {
        /// Where.
        path: String,
        /// The value given.
        found: String,
    },
    /// A list of type `map` without `x-kubernetes-list-map-keys`.
    #[error("{path}: missing map keys")]
    MissingMapKeys {
        /// Where.
        path: String,
    },
    /// A list without `items`.
    #[error("{path}: `items` must be specified on arrays")]
    MissingItems {
        /// Where.
        path: String,
    },
    /// Nested deeper than any definition may be.
    #[error("the schema nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

struct Reader {
    builder: SchemaBuilder,
    metadata: Option<TypeUse>,
}

impl Reader {
    fn read(
        &mut self,
        schema: &Value,
        preserve: bool,
        path: &str,
        depth: usize,
    ) -> Result<Type, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(SchemaError::TooDeep);
        }
        let Value::Object(members) = schema else {
            return Err(SchemaError::NotAnObject { path: path.to_owned() });
        };
        let preserve = preserve || flag(members, "x-kubernetes-preserve-unknown-fields");
        let mut definition = match members.get("type").and_then(Value::as_str).unwrap_or_default() {
            "" => Type {
                scalar: Some(Scalar::Untyped),
                list: Some(self.read_list(members, preserve, path, depth)?),
                map: Some(self.read_map(members, preserve, path, depth)?),
                format: if flag(members, "x-kubernetes-int-or-string") {
                    Format::IntOrString
                } else {
                    Format::Json
                },
            },
            "object" => Type { map: Some(self.read_map(members, preserve, path, depth)?), ..Type::default() },
            "array" => {
                Type { list: Some(self.read_list(members, preserve, path, depth)?), ..Type::default() }
            }
            "integer" | "number" => scalar(Scalar::Numeric),
            "boolean" => scalar(Scalar::Boolean),
            "string" => match members.get("format").and_then(Value::as_str).unwrap_or_default() {
                "" | "byte" => scalar(Scalar::String),
                _ => scalar(Scalar::Untyped),
            },
            found => {
                return Err(SchemaError::UnknownType { path: path.to_owned(), found: found.to_owned() });
            }
        };
        if flag(members, "x-kubernetes-embedded-resource") {
            self.add_object_fields(&mut definition);
        }
        Ok(definition)
    }

    fn read_map(
        &mut self,
        members: &Map<String, Value>,
        preserve: bool,
        path: &str,
        depth: usize,
    ) -> Result<MapType, SchemaError> {
        let mut fields = BTreeMap::new();
        if let Some(Value::Object(properties)) = members.get("properties") {
            for (name, property) in properties {
                let definition = self.read(property, preserve, &format!("{path}.{name}"), depth + 1)?;
                let mut field = Field::new(self.builder.add(definition));
                field.default = property.get("default").cloned();
                fields.insert(name.clone(), field);
            }
        }
        let additional = match members.get("additionalProperties") {
            None if preserve || fields.is_empty() => Some(self.builder.deduced()),
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(self.builder.deduced()),
            Some(values) => {
                let definition = self.read(values, preserve, &format!("{path}.*"), depth + 1)?;
                Some(self.builder.add(definition).into())
            }
        };
        let atomic = match members.get("x-kubernetes-map-type").and_then(Value::as_str) {
            None | Some("granular") => false,
            Some("atomic") => true,
            Some(found) => {
                return Err(SchemaError::UnknownMapType { path: path.to_owned(), found: found.to_owned() });
            }
        };
        Ok(MapType { fields, additional, atomic })
    }

    fn read_list(
        &mut self,
        members: &Map<String, Value>,
        preserve: bool,
        path: &str,
        depth: usize,
    ) -> Result<ListType, SchemaError> {
        let element = match members.get("items") {
            Some(items) => {
                let definition = self.read(items, preserve, &format!("{path}[]"), depth + 1)?;
                self.builder.add(definition).into()
            }
            None if members.contains_key("type") => {
                return Err(SchemaError::MissingItems { path: path.to_owned() });
            }
            None => self.builder.untyped(),
        };
        let relationship = match members.get("x-kubernetes-list-type").and_then(Value::as_str) {
            None | Some("atomic") => ListRelationship::Atomic,
            Some("set") => ListRelationship::Set,
            Some("map") => match members.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
                Some(keys) => {
                    ListRelationship::Map(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                None => return Err(SchemaError::MissingMapKeys { path: path.to_owned() }),
            },
            Some(found) => {
                return Err(SchemaError::UnknownListType { path: path.to_owned(), found: found.to_owned() });
            }
        };
        Ok(ListType { element, relationship })
    }

    /// Adds what every object has; a `metadata` that the schema declares gives way to the common one.
    fn add_object_fields(&mut self, definition: &mut Type) {
        let metadata = match self.metadata {
            Some(metadata) => metadata,
            None => *self.metadata.insert(object_meta(&mut self.builder)),
        };
        let text = self.builder.add(scalar(Scalar::String));
        let map = definition.map.get_or_insert_with(MapType::default);
        map.fields.insert("apiVersion".to_owned(), Field::new(text));
        map.fields.insert("kind".to_owned(), Field::new(text));
        map.fields.insert("metadata".to_owned(), Field::new(metadata));
    }
}

/// The type of `metadata`.
fn object_meta(builder: &mut SchemaBuilder) -> TypeUse {
    let text = builder.add(scalar(Scalar::String));
    let number = builder.add(scalar(Scalar::Numeric));
    let boolean = builder.add(scalar(Scalar::Boolean));
    let time = builder.add(Type { format: Format::Time, ..scalar(Scalar::Untyped) });
    let texts = builder.add(map_type(BTreeMap::new(), Some(text.into()), false));
    let finalizers = builder.add(list_type(text.into(), ListRelationship::Set));

    let owner_fields = ["apiVersion", "kind", "name", "uid"]
        .into_iter()
        .map(|name| {
            let default = Some(Value::from(""));
            (name.to_owned(), Field { default, ..Field::new(text) })
        })
        .chain(["blockOwnerDeletion", "controller"].map(|name| (name.to_owned(), Field::new(boolean))))
        .collect();
    let owner = builder.add(map_type(owner_fields, None, true));
    let owners = builder.add(list_type(owner.into(), ListRelationship::Map(vec!["uid".to_owned()])));

    let fields_v1 = builder.deduced();
    let mut entry_fields: BTreeMap<String, Field> =
        ["apiVersion", "fieldsType", "manager", "operation", "subresource"]
            .map(|name| (name.to_owned(), Field::new(text)))
            .into();
    entry_fields.insert("time".to_owned(), Field::new(time));
    entry_fields.insert("fieldsV1".to_owned(), Field::new(fields_v1));
    let entry = builder.add(map_type(entry_fields, None, false));
    let entries = builder.add(list_type(entry.into(), ListRelationship::Atomic));

    let mut fields: BTreeMap<String, Field> =
        ["generateName", "name", "namespace", "resourceVersion", "selfLink", "uid"]
            .map(|name| (name.to_owned(), Field::new(text)))
            .into();
    for (name, used) in [
        ("annotations", texts),
        ("labels", texts),
        ("creationTimestamp", time),
        ("deletionTimestamp", time),
        ("deletionGracePeriodSeconds", number),
        ("generation", number),
        ("finalizers", finalizers),
        ("managedFields", entries),
        ("ownerReferences", owners),
    ] {
        fields.insert(name.to_owned(), Field::new(used));
    }
    builder.add(map_type(fields, None, false)).into()
}

fn scalar(scalar: Scalar) -> Type {
    Type { scalar: Some(scalar), ..Type::default() }
}

fn map_type(fields: BTreeMap<String, Field>, additional: Option<TypeUse>, atomic: bool) -> Type {
    Type { map: Some(MapType { fields, additional, atomic }), ..Type::default() }
}

fn list_type(element: TypeUse, relationship: ListRelationship) -> Type {
    Type { list: Some(ListType { element, relationship }), ..Type::default() }
}

fn flag(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_extensions() {
        let schema = Schema::from_open_api(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "port": {"x-kubernetes-int-or-string": true}
            }}}}),
            false,
        )
        .unwrap();
        let root = schema.root().atom().map().unwrap();
        assert!(root.member_type("metadata").is_some());
        assert!(root.member_type("other").is_none());
        let spec = root.member_type("spec").unwrap().atom().map().unwrap();
        let items = spec.member_type("items").unwrap().atom().list().unwrap();
        assert_eq!(items.relationship(), &ListRelationship::Map(vec!["name".to_owned()]));
        assert!(spec.member_type("free").unwrap().atom().map().unwrap().is_deduced());
        assert_eq!(spec.member_type("port").unwrap().format(), Format::IntOrString);
    }

    #[test]
    fn refuses_what_no_definition_may_say() {
        let read = |schema| Schema::from_open_api(&schema, false).map(|_| ()).unwrap_err().to_string();
        assert_eq!(read(json!({"type": "text"})), ": unrecognized type: 'text'");
        assert_eq!(
            read(json!({"type": "object", "properties": {"a": {"type": "array"}}})),
            ".a: `items` must be specified on arrays"
        );
        assert_eq!(read(json!([])), "the schema at \"\" must be an object");
    }
}
