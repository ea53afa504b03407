//! Which resources the server has: the built-in kinds and those that CustomResourceDefinitions add.
//!
//! A [`Catalog`] is immutable; a new one is built when a definition is established, changed or removed.

pub(crate) mod builtin;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use crate::crd::CustomVersion;

/// A subresource such as `status` or `scale`.
#[derive(Debug, Clone)]
pub(crate) struct Subresource {
    pub name: String,
    pub verbs: Vec<&'static str>,
    /// Group, version and kind of its objects; `None` when they are those of the resource.
    pub response: Option<(String, String, String)>,
}

/// One resource in one served version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<&'static str>,
    pub subresources: Vec<Subresource>,
    /// Table in the store; the versions of a resource share it.
    pub table: Arc<str>,
    /// `apiVersion` of the stored objects.
    pub storage_version: String,
    pub custom: Option<Arc<CustomVersion>>,
}

impl Resource {
    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// `apps/v1`, or `v1` for the core group.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `("apps", "v1")` of `apps/v1`.
pub(crate) fn split_group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The versions of a group, best first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub versions: Vec<String>,
    /// Resources by version, in order of their names.
    pub resources: BTreeMap<String, Vec<Arc<Resource>>>,
    pub builtin: bool,
}

/// Everything that is served at one moment.
#[derive(Default)]
pub(crate) struct Catalog {
    by_path: HashMap<(String, String, String), Arc<Resource>>,
    /// Groups in the order discovery lists them.
    pub groups: Vec<(String, Group)>,
    /// Rendered documents, computed once per catalog.
    pub documents: OnceLock<crate::discovery::Documents>,
    pub openapi: crate::openapi::Cache,
}

impl Catalog {
    /// The built-in resources and `custom` ones.
    pub fn new(custom: Vec<Resource>) -> Self {
        let mut catalog = Catalog::default();
        for r in builtin::resources() {
            catalog.add(r.clone(), true);
        }
        let mut custom: Vec<Arc<Resource>> = custom.into_iter().map(Arc::new).collect();
        custom.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
        for r in custom {
            catalog.add(r, false);
        }
        catalog.groups.sort_by_cached_key(|(name, g)| {
            let version = g.versions.first().map(String::as_str).unwrap_or_default();
            (-priorities(name, version, g.builtin).group, name.clone())
        });
        for (_, g) in &mut catalog.groups {
            g.versions.sort_by(|a, b| version_priority(b).cmp(&version_priority(a)).then(a.cmp(b)));
            for list in g.resources.values_mut() {
                list.sort_by(|a, b| a.plural.cmp(&b.plural));
            }
        }
        catalog
    }

    fn add(&mut self, r: Arc<Resource>, builtin: bool) {
        let index = match self.groups.iter().position(|(g, _)| *g == r.group) {
            Some(i) => i,
            None => {
                self.groups.push((r.group.clone(), Group { builtin, ..Group::default() }));
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[index].1;
        if !group.versions.contains(&r.version) {
            group.versions.push(r.version.clone());
        }
        group.resources.entry(r.version.clone()).or_default().push(r.clone());
        self.by_path.insert((r.group.clone(), r.version.clone(), r.plural.clone()), r);
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    pub fn group(&self, group: &str) -> Option<&Group> {
        self.groups.iter().find(|(g, _)| g == group).map(|(_, g)| g)
    }

    /// The resource of a kind, in the version asked for.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = split_group_version(api_version);
        self.group(group)?.resources.get(version)?.iter().find(|r| r.kind == kind)
    }

    /// A served resource of a table, in the best version.
    pub fn by_table(&self, table: &str) -> Option<&Arc<Resource>> {
        self.resources()
            .find(|r| *r.table == *table && r.api_version() == r.storage_version)
            .or_else(|| self.resources().find(|r| *r.table == *table))
    }

    /// Every served resource in every version.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.iter().flat_map(|(_, g)| g.versions.iter().filter_map(|v| g.resources.get(v)).flatten())
    }
}

/// Kubernetes' order of versions: v2, v1, v2beta1, v1beta2, v1alpha1, everything else.
pub(crate) fn version_priority(v: &str) -> (u8, u32, u32) {
    let Some(rest) = v.strip_prefix('v') else { return (0, 0, 0) };
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    let Ok(major) = rest[..digits].parse::<u32>() else { return (0, 0, 0) };
    let tail = &rest[digits..];
    let minor = |t: &str| t.parse::<u32>().ok();
    if tail.is_empty() {
        (3, major, 0)
    } else if let Some(n) = tail.strip_prefix("beta").and_then(minor) {
        (2, major, n)
    } else if let Some(n) = tail.strip_prefix("alpha").and_then(minor) {
        (1, major, n)
    } else {
        (0, 0, 0)
    }
}

/// Where discovery lists a group among others, and a version in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Priorities {
    pub group: i64,
    pub version: i64,
}

/// The priorities that a group and version are registered with.
pub(crate) fn priorities(group: &str, version: &str, builtin: bool) -> Priorities {
    let minimum = match group {
        _ if !builtin => return Priorities { group: 1000, version: 100 },
        "" => return Priorities { group: 18000, version: 1 },
        "apiregistration.k8s.io" => 17900,
        "apps" => 17800,
        "events.k8s.io" => 17750,
        "authentication.k8s.io" => 17700,
        "authorization.k8s.io" => 17600,
        "autoscaling" => 17500,
        "batch" => 17400,
        "certificates.k8s.io" => 17300,
        "networking.k8s.io" => 17200,
        "policy" => 17100,
        "rbac.authorization.k8s.io" => 17000,
        "storage.k8s.io" => 16800,
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => 16700,
        "scheduling.k8s.io" => 16600,
        "coordination.k8s.io" => 16500,
        "node.k8s.io" => 16300,
        "flowcontrol.apiserver.k8s.io" => 16100,
        _ => 16200,
    };
    let priority = match (group, version) {
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io" | "resource.k8s.io", _) => 21,
        _ => 15,
    };
    Priorities { group: minimum, version: priority }
}
