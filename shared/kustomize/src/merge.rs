//! Strategic merge of a patch into a resource, with kyaml's rules: maps merge, lists merge where the schema says so,
//! null deletes, and whatever the patch touches or not is normalised on the way.

mod list;

use crate::node::{self, NodeError};
use crate::schema::{Schema, Schemas};
use fluxide_goyaml::node::{Kind, Node};
use thiserror::Error;

const DIRECTIVE: &str = "$patch";

/// Why a patch cannot be merged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    /// Patch and resource have different kinds of nodes at the same place.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// `$patch` with a value other than `merge`, `replace` or `delete`.
    #[error("unknown patch strategy '{0}'")]
    UnknownDirective(String),
}

/// Merges `patch` into `target`; false when the patch deletes the whole resource. A patch that is to replace the whole
/// resource does nothing: kustomize loses the result.
pub(crate) fn strategic_merge(
    target: &mut Node,
    mut patch: Node,
    schemas: &Schemas,
) -> Result<bool, MergeError> {
    let merger = Merger { schemas };
    match merger.merge(Some(target), Patch::Given(&mut patch), None)? {
        Outcome::InPlace | Outcome::Null | Outcome::Replaced(_) => Ok(true),
        Outcome::Nothing => Ok(false),
    }
}

struct Merger<'s> {
    schemas: &'s Schemas,
}

/// What is merged into a node.
enum Patch<'p> {
    /// Nothing; the node is normalised all the same.
    Absent,
    /// The node itself: it came from the patch as a whole, and its own nulls and directives have yet to act.
    Itself,
    /// A part of the patch.
    Given(&'p mut Node),
}

/// What has become of a node.
enum Outcome {
    /// It was changed where it is.
    InPlace,
    /// It is a null that stays.
    Null,
    /// Another node takes its place.
    Replaced(Node),
    /// It is gone.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

impl<'s> Merger<'s> {
    fn merge(
        &self,
        target: Option<&mut Node>,
        patch: Patch<'_>,
        schema: Option<Schema<'s>>,
    ) -> Result<Outcome, MergeError> {
        let target_kind = target.as_deref().filter(|node| !node::is_null(node)).map(|node| node.kind);
        let patch_kind = match &patch {
            Patch::Given(patch) if !node::is_null(patch) => Some(patch.kind),
            _ => None,
        };
        let Some(kind) = target_kind.or(patch_kind) else {
            return Ok(self.merge_nulls(target.as_deref(), &patch));
        };
        if let (Some(_), Patch::Given(patch)) = (target_kind, &patch) {
            node::expect_kind(patch, kind)?;
        }
        let schema = schema.or_else(|| self.own_schema(target.as_deref(), &patch));
        match kind {
            Kind::Mapping => self.merge_map(target.filter(|_| target_kind.is_some()), patch, schema),
            Kind::Sequence => {
                let target = target.filter(|_| target_kind.is_some());
                match schema.and_then(|schema| self.schemas.merge_keys(schema).map(|keys| (schema, keys))) {
                    Some((schema, keys)) => self.merge_list(target, patch, schema, &keys),
                    None => Ok(replace(target, patch)),
                }
            }
            _ => Ok(replace(target, patch)),
        }
    }

    /// An explicit null that the patch does not mention stays; an empty value and a null of the patch go.
    fn merge_nulls(&self, target: Option<&Node>, patch: &Patch<'_>) -> Outcome {
        match (target, patch) {
            (Some(target), Patch::Absent) if !target.value.is_empty() => Outcome::Null,
            _ => Outcome::Nothing,
        }
    }

    /// The schema of an object that says itself what it is, such as a Pod inside a custom resource.
    fn own_schema(&self, target: Option<&Node>, patch: &Patch<'_>) -> Option<Schema<'s>> {
        let patch = match patch {
            Patch::Given(patch) => Some(&**patch),
            _ => None,
        };
        [target, patch].into_iter().flatten().find_map(|node| {
            let api_version = node.get_text("apiVersion").filter(|text| !text.is_empty())?;
            let kind = node.get_text("kind").filter(|text| !text.is_empty())?;
            self.schemas.of_type(api_version, kind)
        })
    }

    fn merge_map(
        &self,
        target: Option<&mut Node>,
        patch: Patch<'_>,
        schema: Option<Schema<'s>>,
    ) -> Result<Outcome, MergeError> {
        let Some(target) = target else {
            let Patch::Given(patch) = patch else { return Ok(Outcome::Nothing) };
            // An unknown directive in what is new is not looked at here, only below.
            if let Ok(Directive::Delete) = take_map_directive(patch) {
                return Ok(Outcome::Nothing);
            }
            return self.adopt_map(patch, schema);
        };
        match patch {
            Patch::Absent => {
                self.merge_fields(target, None, schema)?;
                Ok(Outcome::InPlace)
            }
            Patch::Itself => match take_map_directive(target)? {
                Directive::Delete => Ok(Outcome::Nothing),
                Directive::Merge | Directive::Replace => {
                    self.merge_own_fields(target, schema)?;
                    Ok(Outcome::InPlace)
                }
            },
            Patch::Given(patch) if node::is_null(patch) => Ok(Outcome::Nothing),
            Patch::Given(patch) => {
                if target.content.is_empty() {
                    target.style = patch.style;
                }
                match take_map_directive(patch)? {
                    Directive::Delete => Ok(Outcome::Nothing),
                    Directive::Replace => self.adopt_map(patch, schema),
                    Directive::Merge => {
                        self.merge_fields(target, Some(patch), schema)?;
                        Ok(Outcome::InPlace)
                    }
                }
            }
        }
    }

    fn adopt_map(&self, patch: &mut Node, schema: Option<Schema<'s>>) -> Result<Outcome, MergeError> {
        let mut node = std::mem::replace(patch, Node::empty_mapping());
        self.merge_own_fields(&mut node, schema)?;
        Ok(Outcome::Replaced(node))
    }

    fn merge_fields(
        &self,
        target: &mut Node,
        mut patch: Option<&mut Node>,
        schema: Option<Schema<'s>>,
    ) -> Result<(), MergeError> {
        for key in sorted_keys(target, patch.as_deref()) {
            let schema = schema.and_then(|schema| self.schemas.field(schema, &key));
            let child = match patch.as_deref_mut().and_then(|patch| patch.get_mut(&key)) {
                Some(node) => Patch::Given(node),
                None => Patch::Absent,
            };
            let outcome = self.merge(target.get_mut(&key), child, schema)?;
            set(target, &key, outcome)?;
        }
        Ok(())
    }

    fn merge_own_fields(&self, target: &mut Node, schema: Option<Schema<'s>>) -> Result<(), MergeError> {
        for key in sorted_keys(target, None) {
            let schema = schema.and_then(|schema| self.schemas.field(schema, &key));
            let outcome = self.merge(target.get_mut(&key), Patch::Itself, schema)?;
            set(target, &key, outcome)?;
        }
        Ok(())
    }
}

/// A scalar, or a list that does not merge: the patch wins as a whole.
fn replace(target: Option<&mut Node>, patch: Patch<'_>) -> Outcome {
    let Patch::Given(patch) = patch else { return Outcome::InPlace };
    if node::is_null(patch) {
        return Outcome::Nothing;
    }
    if let Some(target) = target.filter(|target| target.kind != Kind::Scalar && target.content.is_empty()) {
        target.style = patch.style;
    }
    Outcome::Replaced(std::mem::replace(patch, Node::null()))
}

fn set(target: &mut Node, key: &str, outcome: Outcome) -> Result<(), NodeError> {
    match outcome {
        Outcome::InPlace => {
            if let Some(field) = target.get_mut(key) {
                node::quote_if_string(field);
            }
        }
        Outcome::Null => {}
        Outcome::Replaced(node) => node::set_field(target, key, node)?,
        Outcome::Nothing => {
            target.remove(key);
        }
    }
    Ok(())
}

fn sorted_keys(target: &Node, patch: Option<&Node>) -> Vec<String> {
    let mut keys: Vec<String> = target
        .pairs()
        .chain(patch.into_iter().flat_map(Node::pairs))
        .map(|(key, _)| key.value.to_string())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Reads and removes `$patch` of a mapping.
fn take_map_directive(patch: &mut Node) -> Result<Directive, MergeError> {
    if patch.kind != Kind::Mapping {
        return Ok(Directive::Merge);
    }
    let Some(value) = patch.get(DIRECTIVE) else { return Ok(Directive::Merge) };
    let directive = parse_directive(&value.value)?;
    patch.remove(DIRECTIVE);
    Ok(directive)
}

fn parse_directive(text: &str) -> Result<Directive, MergeError> {
    match text {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        other => Err(MergeError::UnknownDirective(other.to_owned())),
    }
}
