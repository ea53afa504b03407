//! Field sets written before a list or map of the schema became atomic.

use crate::fieldset::FieldSet;
use crate::path::PathElement;
use crate::schema::{Form, TypeRef};

/// `fields` as they read under the schema of today: who owned something within what is atomic now, owns all of it.
///
/// Returns `None` when nothing changes.
pub fn reconcile(fields: &FieldSet, ty: TypeRef<'_>) -> Option<FieldSet> {
    let mut walker = Walker { path: Vec::new(), atomic: FieldSet::new() };
    walker.visit(Some(fields), false, ty);
    if walker.atomic.is_empty() {
        return None;
    }
    Some(fields.recursive_difference(&walker.atomic).union(&walker.atomic))
}

struct Walker {
    path: Vec<PathElement>,
    atomic: FieldSet,
}

impl Walker {
    fn visit(&mut self, fields: Option<&FieldSet>, owned_whole: bool, ty: TypeRef<'_>) {
        match ty.atom().form() {
            Some(Form::List(list)) => {
                if list.is_atomic() {
                    if !owned_whole {
                        self.atomic.insert(&self.path);
                    }
                    return;
                }
                self.children(fields, |_| Some(list.element()));
            }
            Some(Form::Map(map)) if !map.is_deduced() => {
                if map.is_atomic() {
                    if !owned_whole && fields.is_some_and(|fields| !fields.is_empty()) {
                        self.atomic.insert(&self.path);
                    }
                    return;
                }
                self.children(fields, |element| match element {
                    PathElement::Field(name) => map.member_type(name),
                    _ => map.additional(),
                });
            }
            _ => {}
        }
    }

    fn children<'a>(
        &mut self,
        fields: Option<&FieldSet>,
        type_of: impl Fn(&PathElement) -> Option<TypeRef<'a>>,
    ) {
        for (element, member, below) in fields.into_iter().flat_map(FieldSet::children) {
            let Some(ty) = type_of(element) else { continue };
            let below = Some(below).filter(|below| !below.is_empty());
            self.path.push(element.clone());
            self.visit(below, member && below.is_none(), ty);
            self.path.pop();
        }
    }
}
