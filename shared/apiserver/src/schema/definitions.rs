//! Reading the definitions that Kubernetes 1.36 publishes into merge types.

use std::collections::{BTreeMap, HashMap};

use fluxide_structured_merge::schema::{
    Field, Format, ListRelationship, ListType, MapType, PatchStrategy, Presence, Scalar, SchemaBuilder, Type,
    TypeId, TypeUse,
};
use serde::Deserialize;
use serde_json::Value;

use super::Builtin;

const DEFINITIONS: &str = include_str!("../../data/kubernetes-1.36-schema.json");
const PRESENCE: &str = include_str!("../../data/kubernetes-1.36-presence.json");

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";

/// Reads every definition. The data is part of the program: unreadable data leaves no types, which the tests notice.
pub(super) fn read() -> Builtin {
    let definitions: BTreeMap<String, Definition> = serde_json::from_str(DEFINITIONS).unwrap_or_default();
    let presence: HashMap<String, PresenceFacts> = serde_json::from_str(PRESENCE).unwrap_or_default();
    let mut builder = SchemaBuilder::new();
    let ids: HashMap<String, TypeId> =
        definitions.keys().map(|name| (name.clone(), builder.declare())).collect();
    let mut reader = Reader { builder, ids, go_types: HashMap::new() };
    let mut kinds = HashMap::new();
    for (name, definition) in &definitions {
        let id = reader.ids[name];
        let ty = match name.as_str() {
            QUANTITY => scalar(Scalar::Untyped, Format::Quantity),
            MICRO_TIME => scalar(Scalar::Untyped, Format::MicroTime),
            RAW_EXTENSION => reader.anything(),
            _ => {
                let facts = presence.get(name).cloned().unwrap_or_default();
                for (field, go_type) in &facts.types {
                    reader.go_types.insert((id, field.clone()), go_type.clone());
                }
                reader.read(definition, name, &facts)
            }
        };
        reader.builder.define(id, ty);
        for gvk in &definition.gvk {
            kinds.insert((gvk.group.clone(), gvk.version.clone(), gvk.kind.clone()), TypeUse::from(id));
        }
    }
    let names = reader.ids.iter().map(|(name, id)| (*id, name.clone())).collect();
    let root = reader.builder.deduced();
    Builtin {
        schema: reader.builder.finish(root),
        kinds,
        definitions: reader.ids,
        names,
        go_types: reader.go_types,
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Definition {
    #[serde(rename = "type")]
    kind: String,
    format: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    fields: BTreeMap<String, Definition>,
    items: Option<Box<Definition>>,
    #[serde(rename = "additionalProperties")]
    additional_properties: Option<Box<Definition>>,
    list_type: Option<String>,
    list_map_keys: Vec<String>,
    map_type: Option<String>,
    patch_strategy: String,
    patch_merge_key: Option<String>,
    gvk: Vec<Gvk>,
}

#[derive(Deserialize)]
struct Gvk {
    group: String,
    version: String,
    kind: String,
}

/// What Go knows of the fields of a struct beyond the published schema.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct PresenceFacts {
    /// Fields that are always written, with the value written when none is set.
    zero: BTreeMap<String, Value>,
    /// Fields whose zero value is told apart from absence.
    pointers: Vec<String>,
    /// The names of scalar types, where they have one.
    types: BTreeMap<String, String>,
}

struct Reader {
    builder: SchemaBuilder,
    ids: HashMap<String, TypeId>,
    go_types: HashMap<(TypeId, String), String>,
}

impl Reader {
    fn read(&mut self, definition: &Definition, name: &str, facts: &PresenceFacts) -> Type {
        match definition.kind.as_str() {
            "" => Type {
                scalar: Some(Scalar::Untyped),
                list: Some(ListType {
                    element: self.builder.untyped(),
                    relationship: ListRelationship::Atomic,
                }),
                map: Some(MapType { additional: Some(self.builder.deduced()), ..MapType::default() }),
                format: Format::Json,
            },
            "object" => Type { map: Some(self.read_map(definition, name, facts)), ..Type::default() },
            "array" => Type { list: Some(self.read_list(definition, name)), ..Type::default() },
            "integer" if definition.format == "int64" => scalar(Scalar::Numeric, Format::Int64),
            "integer" => scalar(Scalar::Numeric, Format::Int32),
            "number" => scalar(Scalar::Numeric, Format::Double),
            "boolean" => scalar(Scalar::Boolean, Format::Plain),
            _ => match definition.format.as_str() {
                "" => scalar(Scalar::String, Format::Plain),
                "byte" => scalar(Scalar::String, Format::Bytes),
                "int-or-string" => scalar(Scalar::Untyped, Format::IntOrString),
                "date-time" => scalar(Scalar::Untyped, Format::Time),
                _ => scalar(Scalar::Untyped, Format::Plain),
            },
        }
    }

    fn read_map(&mut self, definition: &Definition, name: &str, facts: &PresenceFacts) -> MapType {
        let fields: BTreeMap<String, Field> = definition
            .fields
            .iter()
            .map(|(field_name, field)| {
                let mut read = Field::new(self.type_of(field, name));
                let zero = facts.zero.get(field_name);
                read.presence = match zero {
                    Some(Value::Null) => Presence::Nullable,
                    Some(_) => Presence::Always,
                    None if facts.pointers.contains(field_name) => Presence::Pointer,
                    None => Presence::Optional,
                };
                read.default = key_default(name, field_name, zero);
                let has_strategy = |name| field.patch_strategy.split(',').any(|part| part == name);
                read.patch = PatchStrategy {
                    merge: has_strategy("merge"),
                    replace: has_strategy("replace"),
                    retain_keys: has_strategy("retainKeys"),
                    merge_key: field.patch_merge_key.clone(),
                };
                (field_name.clone(), read)
            })
            .collect();
        let additional = match &definition.additional_properties {
            Some(values) => Some(self.type_of(values, name)),
            None if fields.is_empty() => Some(self.builder.deduced()),
            None => None,
        };
        MapType { fields, additional, atomic: definition.map_type.as_deref() == Some("atomic") }
    }

    fn read_list(&mut self, definition: &Definition, name: &str) -> ListType {
        let element = match &definition.items {
            Some(items) => self.type_of(items, name),
            None => self.builder.untyped(),
        };
        let relationship = match definition.list_type.as_deref() {
            Some("set") => ListRelationship::Set,
            Some("map") => ListRelationship::Map(definition.list_map_keys.clone()),
            Some(_) => ListRelationship::Atomic,
            None if definition.patch_strategy.split(',').any(|part| part == "merge") => {
                match &definition.patch_merge_key {
                    Some(key) => ListRelationship::Map(vec![key.clone()]),
                    None => ListRelationship::Set,
                }
            }
            None => ListRelationship::Atomic,
        };
        ListType { element, relationship }
    }

    fn type_of(&mut self, definition: &Definition, name: &str) -> TypeUse {
        if let Some(reference) = &definition.reference {
            let atomic_map = definition.map_type.as_deref().map(|map_type| map_type == "atomic");
            return match self.ids.get(reference) {
                Some(id) => TypeUse { id: *id, atomic_map },
                None => self.builder.deduced(),
            };
        }
        let ty = self.read(definition, name, &PresenceFacts::default());
        self.builder.add(ty).into()
    }

    fn anything(&self) -> Type {
        Type {
            scalar: Some(Scalar::Untyped),
            list: Some(ListType { element: self.builder.untyped(), relationship: ListRelationship::Atomic }),
            map: Some(MapType {
                additional: Some(self.builder.untyped()),
                atomic: true,
                ..MapType::default()
            }),
            format: Format::Json,
        }
    }
}

/// The value that stands for an absent key of a list item.
fn key_default(definition: &str, field: &str, zero: Option<&Value>) -> Option<Value> {
    let marked = match (definition, field) {
        ("io.k8s.api.core.v1.ContainerPort" | "io.k8s.api.core.v1.ServicePort", "protocol") => Some("TCP"),
        ("io.k8s.api.core.v1.LocalObjectReference", "name") => Some(""),
        _ => None,
    };
    marked.map(Value::from).or_else(|| zero.filter(|zero| !zero.is_null() && !zero.is_object()).cloned())
}

fn scalar(scalar: Scalar, format: Format) -> Type {
    Type { scalar: Some(scalar), format, ..Type::default() }
}
