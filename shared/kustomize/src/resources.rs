//! The list of resources that a build works on and returns.

use crate::allowance::Allowance;
use crate::error::Error;
use crate::id::ResourceId;
use crate::resource::{Behavior, Resource};
use std::collections::HashSet;

/// What is between two objects in a stream of them.
const SEPARATOR: &str = "---\n";

/// The result of a build: objects in order, and what kustomize would have warned of.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    items: Vec<Resource>,
    warnings: Vec<String>,
    /// The ids of the items, as long as nothing but appending has happened.
    ids: Option<HashSet<String>>,
    /// What may still be added to the items.
    pub(crate) allowance: Allowance,
}

impl Resources {
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The objects in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.items.iter()
    }

    /// The objects in order, to change them (decrypt, substitute) before they are printed or applied.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Resource> {
        self.ids = None;
        self.items.iter_mut()
    }

    /// Warnings of deprecated fields, in the order of their appearance.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What `kustomize build` prints: the objects with `---` between them.
    pub fn to_yaml(&self) -> Result<String, Error> {
        let mut all = String::new();
        for (at, resource) in self.items.iter().enumerate() {
            if at > 0 {
                all.push_str(SEPARATOR);
            }
            all.push_str(&resource.to_yaml()?);
        }
        Ok(all)
    }

    /// The text of each object, for a result that is not needed any more: every object is freed once it is printed.
    ///
    /// `kustomize build` prints them with `---` between them.
    pub fn into_documents(self) -> Result<Vec<String>, Error> {
        let print = |resource: Resource| {
            let text = resource.to_yaml()?;
            drop(resource);
            // A copy fits where the object was; the text itself was in need of more room while it grew.
            Ok(text.as_str().to_owned())
        };
        self.items.into_iter().map(print).collect()
    }

    /// The objects as JSON, in order.
    pub fn to_json(&self) -> Result<Vec<serde_json::Value>, Error> {
        self.items.iter().map(Resource::to_json).collect()
    }

    pub(crate) fn set_warnings(&mut self, warnings: Vec<String>) {
        self.warnings = warnings;
    }

    pub(crate) fn items_mut(&mut self) -> &mut Vec<Resource> {
        self.ids = None;
        &mut self.items
    }

    pub(crate) fn take(&mut self) -> Vec<Resource> {
        self.ids = None;
        std::mem::take(&mut self.items)
    }

    /// Adds a resource; its id must be new.
    pub(crate) fn append(&mut self, resource: Resource) -> Result<(), Error> {
        let ids = self.ids.get_or_insert_with(|| self.items.iter().map(id_key).collect());
        if !ids.insert(id_key(&resource)) {
            return Err(Error::DuplicateId { id: resource.current_id().to_string() });
        }
        self.items.push(resource);
        Ok(())
    }

    /// [`Resources::append`] for each of `others`.
    pub(crate) fn append_all(&mut self, others: impl IntoIterator<Item = Resource>) -> Result<(), Error> {
        others.into_iter().try_for_each(|resource| self.append(resource))
    }

    /// Adds a generated resource, or lets it replace or merge with the one it is meant for.
    pub(crate) fn absorb(&mut self, mut resource: Resource) -> Result<(), Error> {
        let id = resource.current_id();
        let behavior = resource.memory.behavior.unwrap_or_default();
        let found = self.positions_of(&id);
        let at = match (found.as_slice(), behavior) {
            ([], Behavior::Merge | Behavior::Replace) => {
                return Err(absorb_error(&id, "does not exist; cannot merge or replace".into()));
            }
            ([], _) => return self.append(resource),
            ([at], Behavior::Merge | Behavior::Replace) => *at,
            ([_], _) => {
                let problem = format!(
                    "exists; can not use behavior: '{}', behavior must be merge or replace",
                    behavior.name()
                );
                return Err(absorb_error(&id, problem));
            }
            (several, _) => {
                let ids: Vec<String> =
                    several.iter().map(|at| self.items[*at].current_id().to_string()).collect();
                let candidates = format!("[{}]", ids.join(" "));
                return Err(Error::AmbiguousMerge { candidates, id: id.to_string() });
            }
        };
        self.ids = None;
        crate::generate::take_over(&mut resource, &self.items[at], behavior == Behavior::Merge)?;
        self.items[at] = resource;
        Ok(())
    }

    /// The positions of the resources that have or had an id.
    pub(crate) fn positions_of(&self, id: &ResourceId) -> Vec<usize> {
        let matches = |resource: &Resource| !resource.is_deleted() && resource.has_id(id);
        (0..self.items.len()).filter(|at| matches(&self.items[*at])).collect()
    }

    /// Writes to all twins what was written to one, in every resource.
    pub(crate) fn spread_twins(&mut self) {
        self.items.iter_mut().for_each(Resource::spread_twins);
    }

    pub(crate) fn drop_deleted(&mut self) {
        if self.items.iter().any(Resource::is_deleted) {
            self.ids = None;
            self.items.retain(|resource| !resource.is_deleted());
        }
    }
}

impl IntoIterator for Resources {
    type Item = Resource;
    type IntoIter = std::vec::IntoIter<Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// A text that is equal for resources with equal current ids.
pub(crate) fn id_key(resource: &Resource) -> String {
    [resource.api_version(), resource.kind(), resource.name(), resource.effective_namespace()].join("\0")
}

fn absorb_error(id: &ResourceId, problem: String) -> Error {
    let id = format!(
        "resid.ResId{{Gvk:resid.Gvk{{Group:{:?}, Version:{:?}, Kind:{:?}, isClusterScoped:{}}}, Name:{:?}, \
         Namespace:{:?}}}",
        id.gvk.group, id.gvk.version, id.gvk.kind, id.cluster_scoped, id.name, id.namespace
    );
    Error::Absorb { id, problem }
}
