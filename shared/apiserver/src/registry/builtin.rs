//! The built-in resources, from the paths that a real server documents, with the names that only code knows.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::{Resource, Subresource, group_version};

const PATHS: &str = include_str!("../../data/kubernetes-1.36-paths.json");

#[derive(Deserialize)]
struct PathFacts {
    actions: Vec<String>,
    gvk: Gvk,
}

#[derive(Deserialize, Clone)]
struct Gvk {
    group: String,
    version: String,
    kind: String,
}

/// Every built-in resource in each stable version, in the order of their paths.
pub(crate) fn resources() -> &'static [Arc<Resource>] {
    static ALL: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| parse().into_iter().map(Arc::new).collect());
    &ALL
}

#[derive(Default)]
struct Draft {
    kind: String,
    namespaced: bool,
    verbs: Vec<&'static str>,
    subresources: BTreeMap<String, (Gvk, Vec<&'static str>)>,
}

fn parse() -> Vec<Resource> {
    let facts: BTreeMap<String, PathFacts> = serde_json::from_str(PATHS).unwrap_or_default();
    let mut drafts: BTreeMap<(String, String, String), Draft> = BTreeMap::new();
    for (path, fact) in &facts {
        let Some((group, version, rest)) = split(path) else { continue };
        if !is_stable(version) {
            continue;
        }
        let (watch, rest) = match rest.strip_prefix("watch/") {
            Some(r) => (true, r),
            None => (false, rest),
        };
        let (namespaced, rest) = match rest.strip_prefix("namespaces/{namespace}/") {
            Some(r) => (true, r),
            None => (false, rest),
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let plural = parts[0];
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        let draft = drafts.entry(key).or_default();
        draft.namespaced |= namespaced;
        let mut verbs: Vec<&'static str> = fact.actions.iter().filter_map(|a| verb(a)).collect();
        if fact.actions.iter().any(|a| a == "connect") {
            verbs.extend(connecting(parts.last().copied().unwrap_or_default()));
        }
        match parts.as_slice() {
            [_] | [_, "{name}"] if watch => push(&mut draft.verbs, &["watch"]),
            [_] | [_, "{name}"] => {
                draft.kind.clone_from(&fact.gvk.kind);
                push(&mut draft.verbs, &verbs);
            }
            [_, "{name}", sub] => {
                let entry = draft
                    .subresources
                    .entry((*sub).to_owned())
                    .or_insert_with(|| (fact.gvk.clone(), Vec::new()));
                push(&mut entry.1, &verbs);
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    for ((group, version, plural), d) in drafts {
        if d.kind.is_empty() {
            continue;
        }
        let names = names_of(&group, &plural);
        let subresources = d
            .subresources
            .into_iter()
            .map(|(name, (gvk, mut verbs))| {
                verbs.sort_unstable();
                let own = gvk.group == group && gvk.kind == d.kind;
                let response = if own { None } else { Some((gvk.group, gvk.version, gvk.kind)) };
                Subresource { name, verbs, response }
            })
            .collect();
        let mut verbs = d.verbs;
        verbs.sort_unstable();
        out.push(Resource {
            singular: d.kind.to_ascii_lowercase(),
            list_kind: format!("{}List", d.kind),
            short_names: names.0.iter().map(|s| (*s).to_owned()).collect(),
            categories: names.1.iter().map(|s| (*s).to_owned()).collect(),
            namespaced: d.namespaced,
            verbs,
            subresources,
            table: table_of(&group, &plural),
            storage_version: storage_version(&group, &version, &plural),
            custom: None,
            kind: d.kind,
            group,
            version,
            plural,
        });
    }
    out
}

/// Events are one set of objects in two groups.
fn table_of(group: &str, plural: &str) -> Arc<str> {
    match (group, plural) {
        ("events.k8s.io", "events") | ("", "events") => "events".into(),
        ("", p) => p.into(),
        (g, p) => format!("{p}.{g}").into(),
    }
}

fn storage_version(group: &str, version: &str, plural: &str) -> String {
    match (group, plural) {
        ("events.k8s.io", "events") => "v1".to_owned(),
        ("autoscaling", "horizontalpodautoscalers") => "autoscaling/v2".to_owned(),
        _ => group_version(group, version),
    }
}

fn split(path: &str) -> Option<(&str, &str, &str)> {
    if let Some(rest) = path.strip_prefix("/api/v1/") {
        return Some(("", "v1", rest));
    }
    let mut parts = path.strip_prefix("/apis/")?.splitn(3, '/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

fn is_stable(version: &str) -> bool {
    version.strip_prefix('v').is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
}

fn verb(action: &str) -> Option<&'static str> {
    Some(match action {
        "list" => "list",
        "post" => "create",
        "put" => "update",
        "patch" => "patch",
        "delete" => "delete",
        "deletecollection" => "deletecollection",
        "get" => "get",
        _ => return None,
    })
}

/// The verbs of subresources that connect to what runs.
fn connecting(subresource: &str) -> &'static [&'static str] {
    match subresource {
        "proxy" => &["create", "delete", "get", "patch", "update"],
        _ => &["create", "get"],
    }
}

fn push(verbs: &mut Vec<&'static str>, more: &[&'static str]) {
    for v in more {
        if !verbs.contains(v) {
            verbs.push(v);
        }
    }
}

/// Short names and categories.
fn names_of(group: &str, plural: &str) -> (&'static [&'static str], &'static [&'static str]) {
    const ALL: &[&str] = &["all"];
    match (group, plural) {
        ("", "componentstatuses") => (&["cs"], &[]),
        ("", "configmaps") => (&["cm"], &[]),
        ("", "endpoints") => (&["ep"], &[]),
        ("" | "events.k8s.io", "events") => (&["ev"], &[]),
        ("", "limitranges") => (&["limits"], &[]),
        ("", "namespaces") => (&["ns"], &[]),
        ("", "nodes") => (&["no"], &[]),
        ("", "persistentvolumeclaims") => (&["pvc"], &[]),
        ("", "persistentvolumes") => (&["pv"], &[]),
        ("", "pods") => (&["po"], ALL),
        ("", "replicationcontrollers") => (&["rc"], ALL),
        ("", "resourcequotas") => (&["quota"], &[]),
        ("", "serviceaccounts") => (&["sa"], &[]),
        ("", "services") => (&["svc"], ALL),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => (&[], &["api-extensions"]),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => (&[], &["api-extensions"]),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => (&[], &["api-extensions"]),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => (&[], &["api-extensions"]),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => (&[], &["api-extensions"]),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings") => (&[], &["api-extensions"]),
        ("apiextensions.k8s.io", "customresourcedefinitions") => (&["crd", "crds"], &["api-extensions"]),
        ("apiregistration.k8s.io", "apiservices") => (&[], &["api-extensions"]),
        ("apps", "daemonsets") => (&["ds"], ALL),
        ("apps", "deployments") => (&["deploy"], ALL),
        ("apps", "replicasets") => (&["rs"], ALL),
        ("apps", "statefulsets") => (&["sts"], ALL),
        ("autoscaling", "horizontalpodautoscalers") => (&["hpa"], ALL),
        ("batch", "cronjobs") => (&["cj"], ALL),
        ("batch", "jobs") => (&[], ALL),
        ("certificates.k8s.io", "certificatesigningrequests") => (&["csr"], &[]),
        ("networking.k8s.io", "ingresses") => (&["ing"], &[]),
        ("networking.k8s.io", "networkpolicies") => (&["netpol"], &[]),
        ("networking.k8s.io", "ipaddresses") => (&["ip"], &[]),
        ("policy", "poddisruptionbudgets") => (&["pdb"], &[]),
        ("scheduling.k8s.io", "priorityclasses") => (&["pc"], &[]),
        ("storage.k8s.io", "storageclasses") => (&["sc"], &[]),
        ("storage.k8s.io", "volumeattributesclasses") => (&["vac"], &[]),
        _ => (&[], &[]),
    }
}
