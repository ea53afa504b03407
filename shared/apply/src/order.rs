//! In which order objects are applied: four stages, and inside a stage by kind.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::inventory::Entry;
use crate::object::Object;

/// Kinds that come first, in this order, whatever their group.
const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come last, in this order.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// A kind without its version, as in the flag `--custom-apply-stage-kinds`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKind {
    /// API group, empty for core.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// Objects in the stages in which they are applied; each stage is sorted.
#[derive(Debug, Default, PartialEq)]
pub struct Stages {
    /// CustomResourceDefinitions, Namespaces and ClusterRoles: later objects do not exist without.
    pub definitions: Vec<Object>,
    /// Kinds whose name ends in `Class`.
    pub classes: Vec<Object>,
    /// Kinds that the operator chose to apply before the rest.
    pub custom: Vec<Object>,
    /// Everything else.
    pub resources: Vec<Object>,
}

/// Divides objects into stages and sorts each of them.
pub fn stages(objects: Vec<Object>, custom_kinds: &BTreeSet<GroupKind>) -> Stages {
    let mut stages = Stages::default();
    for object in objects {
        let stage = if is_definition(&object) {
            &mut stages.definitions
        } else if object.kind().ends_with("Class") {
            &mut stages.classes
        } else if custom_kinds
            .contains(&GroupKind { group: object.group().to_owned(), kind: object.kind().to_owned() })
        {
            &mut stages.custom
        } else {
            &mut stages.resources
        };
        stage.push(object);
    }
    for stage in [&mut stages.definitions, &mut stages.classes, &mut stages.custom, &mut stages.resources] {
        sort(stage);
    }
    stages
}

fn is_definition(object: &Object) -> bool {
    let kind = object.kind();
    (object.group() == "apiextensions.k8s.io" && kind.eq_ignore_ascii_case("CustomResourceDefinition"))
        || (object.api_version() == "v1" && kind.eq_ignore_ascii_case("Namespace"))
        || (object.group() == "rbac.authorization.k8s.io" && kind.eq_ignore_ascii_case("ClusterRole"))
}

/// Sorts objects into apply order: kind order, then group, kind, namespace, name.
pub fn sort(objects: &mut [Object]) {
    objects.sort_by(|a, b| {
        compare(
            (a.group(), a.kind(), a.namespace(), a.name()),
            (b.group(), b.kind(), b.namespace(), b.name()),
        )
    });
}

/// Sorts inventory entries into the order in which they are deleted: the reverse of apply order.
pub fn sort_for_deletion(entries: &mut [Entry]) {
    fn key(entry: &Entry) -> (&str, &str, &str, &str) {
        (&entry.id.group, &entry.id.kind, &entry.id.namespace, &entry.id.name)
    }
    entries.sort_by(|a, b| compare(key(b), key(a)));
}

type Key<'a> = (&'a str, &'a str, &'a str, &'a str);

fn compare(a: Key<'_>, b: Key<'_>) -> Ordering {
    rank(a.1).cmp(&rank(b.1)).then_with(|| a.cmp(&b))
}

/// Negative for first kinds, zero for unlisted ones, positive for last ones.
pub(crate) fn rank(kind: &str) -> isize {
    let position = |kinds: &[&str]| kinds.iter().position(|k| *k == kind).map(|i| i as isize);
    match (position(&FIRST), position(&LAST)) {
        (Some(i), _) => i - FIRST.len() as isize,
        (None, Some(i)) => i + 1,
        (None, None) => 0,
    }
}

/// Reads the value of `--custom-apply-stage-kinds`: `group/Kind` separated by commas, core kinds
/// without a group.
pub fn parse_group_kinds(text: &str) -> BTreeSet<GroupKind> {
    if text.is_empty() {
        return BTreeSet::new();
    }
    text.split(',')
        .map(str::trim)
        .map(|item| match item.split_once('/') {
            Some((group, kind)) => GroupKind { group: group.to_owned(), kind: kind.to_owned() },
            None => GroupKind { group: String::new(), kind: item.to_owned() },
        })
        .collect()
}
