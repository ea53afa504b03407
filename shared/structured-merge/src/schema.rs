//! The types that decide how objects merge: a compact graph of scalars, lists, maps and structs.
//!
//! A [`Schema`] comes from built-in definitions through a [`SchemaBuilder`], from the OpenAPI schema of a custom resource
//! through [`Schema::from_open_api`], or is [`Schema::deduced`] when nothing is known.

mod builder;
mod open_api;

use std::collections::BTreeMap;

use serde_json::Value;

pub use builder::SchemaBuilder;
pub use open_api::SchemaError;

/// A set of types, and the type of the whole object.
#[derive(Debug, Clone)]
pub struct Schema {
    types: Vec<Type>,
    root: TypeUse,
}

impl Schema {
    /// The schema of objects of which nothing is known: maps merge by member, lists are atomic.
    pub fn deduced() -> Self {
        let builder = SchemaBuilder::new();
        let root = builder.deduced();
        builder.finish(root)
    }

    /// The type of the whole object.
    pub fn root(&self) -> TypeRef<'_> {
        TypeRef { schema: self, used: self.root }
    }

    /// Another type of this schema, such as one of many kinds.
    pub fn type_ref(&self, used: TypeUse) -> TypeRef<'_> {
        TypeRef { schema: self, used }
    }
}

/// The number of a type in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// A type as a field or list uses it: the use may say otherwise than the type whether a map is atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeUse {
    /// Which type.
    pub id: TypeId,
    /// What the use says about maps, when it says something.
    pub atomic_map: Option<bool>,
}

impl From<TypeId> for TypeUse {
    fn from(id: TypeId) -> Self {
        Self { id, atomic_map: None }
    }
}

/// What a value of a type may be; more than one form when the type leaves it open.
#[derive(Debug, Clone, Default)]
pub struct Type {
    /// The scalar form.
    pub scalar: Option<Scalar>,
    /// The list form.
    pub list: Option<ListType>,
    /// The map or struct form.
    pub map: Option<MapType>,
    /// What is known of the text or number beyond its JSON type.
    pub format: Format,
}

/// The kinds of scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Integers and floats.
    Numeric,
    /// Strings.
    String,
    /// Booleans.
    Boolean,
    /// Any of them.
    Untyped,
}

/// What is known of a scalar beyond its JSON type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Nothing.
    #[default]
    Plain,
    /// A 32 bit integer.
    Int32,
    /// A 64 bit integer.
    Int64,
    /// A floating point number.
    Double,
    /// Base64 of bytes.
    Bytes,
    /// An integer or a string such as `25%`.
    IntOrString,
    /// An RFC 3339 time, in whole seconds.
    Time,
    /// An RFC 3339 time with microseconds.
    MicroTime,
    /// A resource quantity such as `500m`.
    Quantity,
    /// Any JSON value.
    Json,
}

/// A list.
#[derive(Debug, Clone)]
pub struct ListType {
    /// The type of the items.
    pub element: TypeUse,
    /// How the items relate.
    pub relationship: ListRelationship,
}

/// How the items of a list relate to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListRelationship {
    /// The list is one value.
    Atomic,
    /// The items are distinct scalars, each with an owner of its own.
    Set,
    /// The items are maps told apart by these members.
    Map(Vec<String>),
}

/// A map or struct.
#[derive(Debug, Clone, Default)]
pub struct MapType {
    /// The declared fields.
    pub fields: BTreeMap<String, Field>,
    /// The type of members that are not declared; `None` forbids them.
    pub additional: Option<TypeUse>,
    /// Whether the map is one value.
    pub atomic: bool,
}

/// A declared field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its type.
    pub used: TypeUse,
    /// The value that counts when the field is the key of a list and absent.
    pub default: Option<Value>,
    /// How a strategic merge patch treats it.
    pub patch: PatchStrategy,
    /// Whether the field is written even when it has no value.
    pub presence: Presence,
}

impl Field {
    /// A field of this type and nothing special.
    pub fn new(used: impl Into<TypeUse>) -> Self {
        Self {
            used: used.into(),
            default: None,
            patch: PatchStrategy::default(),
            presence: Presence::Optional,
        }
    }
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists merge instead of being replaced.
    pub merge: bool,
    /// Structs are replaced instead of being merged.
    pub replace: bool,
    /// Members that the patch does not name go away.
    pub retain_keys: bool,
    /// The member that tells the items of a merged list apart; without it the items are scalars.
    pub merge_key: Option<String>,
}

/// Whether the JSON form of a built-in type contains a field that has no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// Absent when empty (a zero value, an empty list or map, null).
    #[default]
    Optional,
    /// Absent only when null or not given: a pointer, so that zero values stay.
    Pointer,
    /// Always there, with its zero value when not given: `{}` for a struct, `""` for a string.
    Always,
    /// Always there, as null when not given.
    Nullable,
}

/// A type of a schema in hand.
#[derive(Debug, Clone, Copy)]
pub struct TypeRef<'a> {
    schema: &'a Schema,
    used: TypeUse,
}

impl<'a> TypeRef<'a> {
    /// How this type is referred to within its schema.
    pub fn used(&self) -> TypeUse {
        self.used
    }

    /// The definition.
    pub fn definition(&self) -> &'a Type {
        &self.schema.types[self.used.id.0 as usize]
    }

    /// What is known of the scalar form beyond its JSON type.
    pub fn format(&self) -> Format {
        self.definition().format
    }

    /// Every form that a value may have.
    pub fn atom(&self) -> Atom<'a> {
        let definition = self.definition();
        Atom {
            scalar: definition.scalar,
            list: definition.list.as_ref().map(|list| ListRef { schema: self.schema, list }),
            map: definition.map.as_ref().map(|map| MapRef {
                schema: self.schema,
                map,
                atomic: self.used.atomic_map.unwrap_or(map.atomic),
            }),
        }
    }

    /// The forms that fit `value`; all of them when none does, so that validation has something to say.
    pub fn atom_for(&self, value: &Value) -> Atom<'a> {
        let atom = self.atom();
        match value {
            Value::Number(_) | Value::String(_) | Value::Bool(_) if atom.scalar.is_some() => {
                Atom { list: None, map: None, ..atom }
            }
            Value::Array(_) if atom.list.is_some() => Atom { scalar: None, map: None, ..atom },
            Value::Object(_) if atom.map.is_some() => Atom { scalar: None, list: None, ..atom },
            _ => atom,
        }
    }
}

/// The forms of a type in hand. When several are left, map comes before scalar before list.
#[derive(Debug, Clone, Copy)]
pub struct Atom<'a> {
    scalar: Option<Scalar>,
    list: Option<ListRef<'a>>,
    map: Option<MapRef<'a>>,
}

/// The form that decides.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// A map or struct.
    Map(MapRef<'a>),
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(ListRef<'a>),
}

impl<'a> Atom<'a> {
    /// The scalar form.
    pub fn scalar(&self) -> Option<Scalar> {
        self.scalar
    }

    /// The list form.
    pub fn list(&self) -> Option<ListRef<'a>> {
        self.list
    }

    /// The map form.
    pub fn map(&self) -> Option<MapRef<'a>> {
        self.map
    }

    /// The form that decides; `None` for a type that allows nothing.
    pub fn form(&self) -> Option<Form<'a>> {
        let map = self.map.map(Form::Map);
        map.or(self.scalar.map(Form::Scalar)).or(self.list.map(Form::List))
    }

    /// Whether both allow the same forms.
    pub fn same_forms(&self, other: &Self) -> bool {
        (self.scalar.is_some(), self.list.is_some(), self.map.is_some())
            == (other.scalar.is_some(), other.list.is_some(), other.map.is_some())
    }
}

/// A list type in hand.
#[derive(Debug, Clone, Copy)]
pub struct ListRef<'a> {
    schema: &'a Schema,
    list: &'a ListType,
}

impl<'a> ListRef<'a> {
    /// The type of the items.
    pub fn element(&self) -> TypeRef<'a> {
        TypeRef { schema: self.schema, used: self.list.element }
    }

    /// How the items relate.
    pub fn relationship(&self) -> &'a ListRelationship {
        &self.list.relationship
    }

    /// Whether the list is one value.
    pub fn is_atomic(&self) -> bool {
        self.list.relationship == ListRelationship::Atomic
    }

    /// The value that counts when an item has no member `key`; an error when the items are no maps.
    pub fn key_default(&self, key: &str) -> Result<Option<&'a Value>, NotAMap> {
        let map = self.element().atom().map().ok_or(NotAMap)?;
        Ok(map.field(key).and_then(|field| field.default.as_ref()))
    }
}

/// The items of an associative list are no maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("associative list may not have non-map types")]
pub struct NotAMap;

/// A map or struct type in hand.
#[derive(Debug, Clone, Copy)]
pub struct MapRef<'a> {
    schema: &'a Schema,
    map: &'a MapType,
    atomic: bool,
}

impl<'a> MapRef<'a> {
    /// Whether the map is one value.
    pub fn is_atomic(&self) -> bool {
        self.atomic
    }

    /// The declared field `name`.
    pub fn field(&self, name: &str) -> Option<&'a Field> {
        self.map.fields.get(name)
    }

    /// The declared fields.
    pub fn fields(&self) -> &'a BTreeMap<String, Field> {
        &self.map.fields
    }

    /// The type of a declared field.
    pub fn field_type(&self, field: &Field) -> TypeRef<'a> {
        TypeRef { schema: self.schema, used: field.used }
    }

    /// The type of the member `name`, declared or not; `None` when it is forbidden.
    pub fn member_type(&self, name: &str) -> Option<TypeRef<'a>> {
        let used = self.map.fields.get(name).map(|field| field.used).or(self.map.additional)?;
        Some(TypeRef { schema: self.schema, used })
    }

    /// The type of members that are not declared.
    pub fn additional(&self) -> Option<TypeRef<'a>> {
        self.map.additional.map(|used| TypeRef { schema: self.schema, used })
    }

    /// Whether nothing is declared and anything goes, so that types are read off the values.
    pub fn is_deduced(&self) -> bool {
        self.map.fields.is_empty() && self.map.additional.is_some_and(|used| used.id == builder::DEDUCED)
    }
}
