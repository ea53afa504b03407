//! Putting a schema together, type by type; types may refer to types that come later.

use super::{ListRelationship, ListType, MapType, Scalar, Schema, Type, TypeId, TypeUse};

/// The type of anything, each value atomic.
pub(super) const UNTYPED: TypeId = TypeId(0);
/// The type of anything, maps merging by member.
pub(super) const DEDUCED: TypeId = TypeId(1);

/// Puts a [`Schema`] together.
#[derive(Debug, Clone)]
pub struct SchemaBuilder {
    types: Vec<Type>,
}

impl Default for SchemaBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl SchemaBuilder {
    /// A builder that knows the untyped and the deduced type.
    pub fn new() -> Self {
        Self { types: vec![anything(UNTYPED, true), anything(DEDUCED, false)] }
    }

    /// The type of anything, each value atomic.
    pub fn untyped(&self) -> TypeUse {
        UNTYPED.into()
    }

    /// The type of anything: maps merge by member, lists are atomic.
    pub fn deduced(&self) -> TypeUse {
        DEDUCED.into()
    }

    /// Adds a type.
    pub fn add(&mut self, definition: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).unwrap_or(u32::MAX));
        self.types.push(definition);
        id
    }

    /// Reserves a type that [`define`](Self::define) fills later; until then it allows nothing.
    pub fn declare(&mut self) -> TypeId {
        self.add(Type::default())
    }

    /// Fills a declared type.
    pub fn define(&mut self, id: TypeId, definition: Type) {
        if let Some(slot) = self.types.get_mut(id.0 as usize) {
            *slot = definition;
        }
    }

    /// The schema whose objects have the type `root`.
    pub fn finish(self, root: impl Into<TypeUse>) -> Schema {
        Schema { types: self.types, root: root.into() }
    }
}

fn anything(id: TypeId, atomic: bool) -> Type {
    Type {
        scalar: Some(Scalar::Untyped),
        list: Some(ListType { element: UNTYPED.into(), relationship: ListRelationship::Atomic }),
        map: Some(MapType { additional: Some(id.into()), atomic, ..MapType::default() }),
        ..Type::default()
    }
}
