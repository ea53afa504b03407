//! Rendered text split into documents, and these sorted into hooks and resources in the order of installation.

use std::collections::BTreeMap;

use fluxide_goyaml::{Value, sigs};
use thiserror::Error;

use crate::decode::decode_value;
use crate::file::base_name;
use crate::hook::{Hook, HookEvent};

/// The annotation that makes a manifest a hook.
pub const HOOK_ANNOTATION: &str = "helm.sh/hook";
/// The annotation that orders the hooks of one event.
pub const HOOK_WEIGHT_ANNOTATION: &str = "helm.sh/hook-weight";
/// The annotation that says when a hook's objects are deleted.
pub const HOOK_DELETE_ANNOTATION: &str = "helm.sh/hook-delete-policy";
/// The annotation that says when the logs of a hook are printed.
pub const HOOK_OUTPUT_LOG_ANNOTATION: &str = "helm.sh/hook-output-log-policy";

/// The kinds in the order in which they are installed; others follow by name.
pub const INSTALL_ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The kinds in the order in which they are uninstalled; others follow by name.
pub const UNINSTALL_ORDER: [&str; 38] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

/// Rendered text that is no Kubernetes object.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("YAML parse error on {path}: {problem}")]
pub struct ManifestError {
    /// The template it came from.
    pub path: String,
    /// What is wrong.
    pub problem: String,
}

/// One document of the rendered text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The template it came from: `web/templates/service.yaml`.
    pub path: String,
    /// The text.
    pub content: String,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`; empty when the document has none.
    pub kind: String,
}

/// Splits a text at lines that begin with `---`. What stands behind it on the line belongs to the next document;
/// blank documents are dropped.
pub fn split_manifests(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text.trim_start();
    // Behind a separator a line has begun already, so that a run of dashes is one separator and text behind it.
    let mut separator = if rest.starts_with("---") { Some(0) } else { next_separator(rest) };
    loop {
        let content = rest[..separator.unwrap_or(rest.len())].trim_start();
        if !content.is_empty() {
            documents.push(content);
        }
        match separator {
            None => return documents,
            Some(at) => rest = rest[at + 3..].trim_start_matches([' ', '\t']),
        }
        separator = next_separator(rest);
    }
}

fn next_separator(rest: &str) -> Option<usize> {
    rest.find("\n---").map(|at| at + 1)
}

/// The hooks of files up to the first document that cannot be read.
pub(crate) fn readable_hooks(files: &BTreeMap<String, String>) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !base_name(path).starts_with('_')) {
        for document in split_manifests(text) {
            let Ok(head) = Head::read(document) else { return hooks };
            let events = head.annotations.as_ref().and_then(|annotations| annotations.get(HOOK_ANNOTATION));
            hooks.extend(events.and_then(|events| head.hook(path, document, events)));
        }
    }
    hooks
}

/// The hooks and the other manifests of rendered files, each in the order of installation.
///
/// Files whose name begins with `_` are left out, and so are hooks for events that do not exist. `files` is sorted by
/// path; documents of one kind keep that order.
pub fn sort_manifests(
    files: impl IntoIterator<Item = (String, String)>,
) -> Result<(Vec<Hook>, Vec<Manifest>), ManifestError> {
    let mut hooks = Vec::new();
    let mut manifests = Vec::new();
    for (path, mut text) in files {
        if base_name(&path).starts_with('_') {
            continue;
        }
        let documents = split_manifests(&text);
        let mut only = None;
        for document in &documents {
            let head =
                Head::read(document).map_err(|problem| ManifestError { path: path.clone(), problem })?;
            match head.annotations.as_ref().and_then(|annotations| annotations.get(HOOK_ANNOTATION)) {
                Some(events) => hooks.extend(head.hook(&path, document, events)),
                None => {
                    let mut manifest = Manifest {
                        path: path.clone(),
                        content: String::new(),
                        api_version: head.api_version,
                        kind: head.kind,
                    };
                    // The only document of a file needs no copy.
                    if documents.len() == 1 {
                        let start = document.as_ptr() as usize - text.as_ptr() as usize;
                        only = Some((start..start + document.len(), manifest));
                    } else {
                        (*document).clone_into(&mut manifest.content);
                        manifests.push(manifest);
                    }
                }
            }
        }
        if let Some((range, mut manifest)) = only {
            text.truncate(range.end);
            text.drain(..range.start);
            text.shrink_to_fit();
            manifest.content = text;
            manifests.push(manifest);
        }
    }
    hooks.sort_by(|left, right| install_rank(&left.kind).cmp(&install_rank(&right.kind)));
    manifests.sort_by(|left, right| install_rank(&left.kind).cmp(&install_rank(&right.kind)));
    Ok((hooks, manifests))
}

/// Where a kind stands in the order of installation: the list first, then unknown kinds by name.
pub fn install_rank(kind: &str) -> (usize, &str) {
    rank(&INSTALL_ORDER, kind)
}

/// Where a kind stands in the order of uninstallation.
pub fn uninstall_rank(kind: &str) -> (usize, &str) {
    rank(&UNINSTALL_ORDER, kind)
}

fn rank<'k>(order: &[&str], kind: &'k str) -> (usize, &'k str) {
    match order.iter().position(|known| *known == kind) {
        Some(at) => (at, ""),
        None => (order.len(), kind),
    }
}

/// What is read of every document.
#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
    name: String,
    annotations: Option<BTreeMap<String, String>>,
}

/// The struct of `metadata`, as Go prints its type.
const METADATA_TYPE: &str = "struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \
                             \"json:\\\"annotations\\\"\" }";

impl Head {
    fn read(document: &str) -> Result<Head, String> {
        let mut head = Head::default();
        let wanted = |key: &str| {
            ["apiVersion", "kind", "metadata"].iter().any(|member| member.eq_ignore_ascii_case(key))
        };
        let value = sigs::from_yaml_selected(document.as_bytes(), wanted)
            .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        decode_value(&value, "util.SimpleHead", |decoder, key, value| match key {
            "apiversion" => decoder.string("apiVersion", value, &mut head.api_version),
            "kind" => decoder.string("kind", value, &mut head.kind),
            "metadata" => decoder.field("metadata", |decoder| match value {
                Value::Object(_) => decoder.structure(value, "", |decoder, key, value| match key {
                    "name" => decoder.string("name", value, &mut head.name),
                    "annotations" => decoder.string_map("annotations", value, &mut head.annotations),
                    _ => {}
                }),
                Value::Null => {}
                other => decoder.report(other, METADATA_TYPE),
            }),
            _ => {}
        })?;
        Ok(head)
    }

    /// The hook, unless one of its events is unknown.
    fn hook(&self, path: &str, document: &str, events: &str) -> Option<Hook> {
        let annotation = |name: &str| self.annotations.as_ref().and_then(|annotations| annotations.get(name));
        let list = |name: &str| annotation(name).map(|text| words(text).collect()).unwrap_or_default();
        Some(Hook {
            name: self.name.clone(),
            kind: self.kind.clone(),
            path: path.to_owned(),
            manifest: document.to_owned(),
            events: words(events).map(|event| HookEvent::parse(&event)).collect::<Option<_>>()?,
            weight: annotation(HOOK_WEIGHT_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or(0),
            delete_policies: list(HOOK_DELETE_ANNOTATION),
            output_log_policies: list(HOOK_OUTPUT_LOG_ANNOTATION),
            ..Hook::default()
        })
    }
}

fn words(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(|word| word.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_as_helm_does() {
        for (text, expected) in [
            ("a: 1\n---\nb: 2\n", vec!["a: 1\n", "b: 2\n"]),
            ("---apiVersion: v1\n", vec!["apiVersion: v1\n"]),
            ("--- # c\na: 1\n", vec!["# c\na: 1\n"]),
            ("a: 1\n ---\nb: 2\n", vec!["a: 1\n ---\nb: 2\n"]),
            ("---\n---\n\n---\na: 1", vec!["a: 1"]),
            (" \n---\n", vec![]),
        ] {
            assert_eq!(split_manifests(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_orders_mirror_each_other() {
        let reversed: Vec<_> = UNINSTALL_ORDER.iter().rev().filter(|kind| **kind != "Service").collect();
        let install: Vec<_> = INSTALL_ORDER.iter().filter(|kind| **kind != "Service").collect();
        assert_eq!(reversed, install);
        assert!(
            install_rank("Zebra") > install_rank("Apple") && install_rank("Apple") > install_rank("Ingress")
        );
    }
}
