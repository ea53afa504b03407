//! The inventory: which objects a Kustomization brought to the cluster, as compact ids.

use std::collections::HashSet;
use std::fmt;

use crate::object::{Object, subject};

/// The identity of an object, whatever its version: `<namespace>_<name>_<group>_<kind>`.
///
/// Empty parts are kept. In names of RBAC kinds `:` is written `__`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// API group, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// One line of `status.inventory.entries`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The id of the object.
    pub id: ObjectId,
    /// The version in which it was applied.
    pub version: String,
}

/// An inventory id that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse inventory entry '{0}': expected <namespace>_<name>_<group>_<kind>")]
pub struct InvalidId(pub String);

impl ObjectId {
    /// The identity of an object.
    pub fn of(object: &Object) -> Self {
        Self {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            group: object.group().to_owned(),
            kind: object.kind().to_owned(),
        }
    }

    /// Reads an id as written in an inventory.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let parts = || {
            let (namespace, rest) = text.split_once('_')?;
            let (rest, kind) = rest.rsplit_once('_')?;
            let (name, group) = rest.rsplit_once('_')?;
            Some((namespace, name, group, kind))
        };
        let (namespace, name, group, kind) = parts().ok_or_else(|| InvalidId(text.to_owned()))?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
            group: group.to_owned(),
            kind: kind.to_owned(),
        })
    }

    /// How the object is called in events and messages.
    pub fn subject(&self) -> String {
        subject(&self.kind, &self.namespace, &self.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, group, kind } = self;
        if name.contains(':') && group == "rbac.authorization.k8s.io" && is_rbac_kind(kind) {
            write!(f, "{namespace}_{}_{group}_{kind}", name.replace(':', "__"))
        } else {
            write!(f, "{namespace}_{name}_{group}_{kind}")
        }
    }
}

fn is_rbac_kind(kind: &str) -> bool {
    matches!(kind, "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding")
}

impl Entry {
    /// The inventory line of an object.
    pub fn of(object: &Object) -> Self {
        Self { id: ObjectId::of(object), version: object.version().to_owned() }
    }

    /// `apiVersion` in which the object was applied.
    pub fn api_version(&self) -> String {
        if self.id.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.id.group, self.version)
        }
    }
}

/// The entries of `old` that are not in `new`, whatever their version, in the order of `old`.
pub fn stale(old: &[Entry], new: &[Entry]) -> Vec<Entry> {
    let kept: HashSet<&ObjectId> = new.iter().map(|entry| &entry.id).collect();
    old.iter().filter(|entry| !kept.contains(&entry.id)).cloned().collect()
}

/// `first` and then what only `second` has: nothing that either knows is forgotten.
pub fn union(first: &[Entry], second: &[Entry]) -> Vec<Entry> {
    let mut all = first.to_vec();
    all.extend(stale(second, first));
    all
}
