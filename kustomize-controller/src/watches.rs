//! Which Kustomizations become due when something else changes, and in which order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_api::kustomization::VariablesKind;
use fluxide_meta::Artifact;
use fluxide_runtime::conditions::{self, READY, reason};
use fluxide_runtime::{Change, Key, Store, Watched};
use kube::ResourceExt as _;

use crate::dependency::Waiting;

/// The Kustomizations that a changed source makes due: those that have not applied its revision.
pub fn by_source<S: Watched>(
    change: &Change<S>,
    kustomizations: &Store<Kustomization>,
    artifact: impl Fn(&S) -> Option<Artifact>,
) -> Vec<Key> {
    let revision = |source: &Option<Arc<S>>| Some(artifact(source.as_ref()?)?.revision);
    let (old, new) = (revision(&change.old), revision(&change.new));
    let Some(current) = new.clone().or_else(|| old.clone()) else { return Vec::new() };
    if change.old.is_some() && change.new.is_some() && old == new {
        return Vec::new();
    }
    let Some(source) = change.object() else { return Vec::new() };
    let (kind, name) = (S::kind(&()), source.name_any());
    let namespace = source.namespace().unwrap_or_default();
    in_dependency_order(kustomizations.list().into_iter().filter(|kustomization| {
        let reference = &kustomization.spec.source_ref;
        let own = kustomization.namespace().unwrap_or_default();
        reference.kind.as_str() == kind
            && reference.name == name
            && reference.namespace_or(&own) == namespace
            && !has_seen(kustomization, &current)
    }))
}

/// True when a Kustomization has applied a revision, or is at it.
fn has_seen(kustomization: &Kustomization, revision: &str) -> bool {
    let attempted =
        kustomization.status.as_ref().and_then(|status| status.last_attempted_revision.as_deref());
    attempted == Some(revision)
        && (conditions::is_ready(kustomization)
            || conditions::is_reconciling(kustomization) && !is_retrying(kustomization))
}

/// True when the last attempt failed and will be tried again.
fn is_retrying(kustomization: &Kustomization) -> bool {
    conditions::is_false(kustomization, READY)
}

/// The Kustomizations that use a changed ConfigMap or Secret.
pub fn by_config(kind: &VariablesKind, key: &Key, kustomizations: &Store<Kustomization>) -> Vec<Key> {
    in_dependency_order(kustomizations.list().into_iter().filter(|kustomization| {
        kustomization.namespace().as_deref() == Some(&key.namespace) && uses(kustomization, kind, &key.name)
    }))
}

fn uses(kustomization: &Kustomization, kind: &VariablesKind, name: &str) -> bool {
    let spec = &kustomization.spec;
    let variables = spec
        .post_build
        .iter()
        .flat_map(|post_build| &post_build.substitute_from)
        .any(|reference| reference.kind == *kind && reference.name == name);
    let kube_config = spec.kube_config.as_ref();
    let other = match kind {
        VariablesKind::Secret => {
            let decryption = spec.decryption.as_ref().and_then(|decryption| decryption.secret_ref.as_ref());
            decryption.is_some_and(|reference| reference.name == name)
                || kube_config
                    .and_then(|config| config.secret_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
        }
        VariablesKind::ConfigMap => kube_config
            .and_then(|config| config.config_map_ref.as_ref())
            .is_some_and(|reference| reference.name == name),
        VariablesKind::Other(_) => false,
    };
    variables || other
}

/// The Kustomizations that were waiting for one that has just become ready or is gone: by their status, or, while that is
/// not written yet, because their reconcile is at it.
pub fn by_dependency(
    change: &Change<Kustomization>,
    kustomizations: &Store<Kustomization>,
    waiting: &Waiting,
) -> Vec<Key> {
    let Some(dependency) = change.object() else { return Vec::new() };
    let is_gone = change.new.is_none();
    if !is_gone && (change.initial || !conditions::is_ready(dependency.as_ref())) {
        return Vec::new();
    }
    let applied = |kustomization: &Kustomization| {
        let status = kustomization.status.as_ref()?;
        Some((status.last_applied_revision.clone(), status.observed_generation))
    };
    let was_ready = change
        .old
        .as_ref()
        .is_some_and(|old| conditions::is_ready(old.as_ref()) && applied(old) == applied(dependency));
    if was_ready && !is_gone {
        return Vec::new();
    }
    let key = Key::of(dependency.as_ref());
    kustomizations.keys_where(|kustomization| {
        let depends = kustomization.spec.depends_on.iter().any(|reference| {
            let own = kustomization.metadata.namespace.as_deref().unwrap_or_default();
            reference.name == key.name && reference.namespace_or(own) == key.namespace
        });
        depends
            && (reason(kustomization, READY) == fluxide_meta::condition::reasons::DEPENDENCY_NOT_READY
                || waiting.contains(&Key::of(kustomization)))
    })
}

/// Keys of Kustomizations, each after those of them that it depends on. In a cycle the order is
/// any.
fn in_dependency_order(affected: impl Iterator<Item = Arc<Kustomization>>) -> Vec<Key> {
    let affected: Vec<Arc<Kustomization>> = affected.collect();
    let by_key: HashMap<Key, usize> = affected
        .iter()
        .enumerate()
        .map(|(index, kustomization)| (Key::of(kustomization.as_ref()), index))
        .collect();
    let mut ordered = Vec::with_capacity(affected.len());
    let mut visited = HashSet::new();
    for start in 0..affected.len() {
        // Depth first without recursion: chains can be as long as there are objects.
        let mut stack = vec![(start, false)];
        while let Some((index, dependencies_done)) = stack.pop() {
            let kustomization = affected[index].as_ref();
            if dependencies_done {
                ordered.push(Key::of(kustomization));
                continue;
            }
            if !visited.insert(index) {
                continue;
            }
            stack.push((index, true));
            let own = kustomization.namespace().unwrap_or_default();
            for reference in kustomization.spec.depends_on.iter().rev() {
                let key = Key::new(reference.namespace_or(&own), &*reference.name);
                if let Some(&dependency) = by_key.get(&key)
                    && !visited.contains(&dependency)
                {
                    stack.push((dependency, false));
                }
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kustomization(name: &str, depends_on: &[&str]) -> Arc<Kustomization> {
        let depends_on: Vec<_> = depends_on.iter().map(|name| json!({"name": name})).collect();
        let value = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "apps"},
            "spec": {
                "interval": "1m", "prune": true, "dependsOn": depends_on,
                "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            },
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn order(objects: Vec<Arc<Kustomization>>) -> Vec<String> {
        in_dependency_order(objects.into_iter()).into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn dependencies_come_first_and_only_affected_ones() {
        let objects = vec![
            kustomization("app", &["db", "infra"]),
            kustomization("db", &["infra", "elsewhere"]),
            kustomization("infra", &[]),
        ];
        assert_eq!(order(objects), ["infra", "db", "app"]);
    }

    #[test]
    fn who_looks_at_a_dependency_while_it_becomes_ready_is_not_missed() {
        let (store, waiting) = (Store::new(), Waiting::default());
        for object in [kustomization("app", &["infra"]), kustomization("other", &["infra"])] {
            store.apply(Arc::unwrap_or_clone(object));
        }
        let mut ready = Arc::unwrap_or_clone(kustomization("infra", &[]));
        ready.status = serde_json::from_value(json!({"conditions": [{
            "type": "Ready", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}))
        .unwrap();
        let change = Change { old: None, new: Some(Arc::new(ready)), initial: false };
        assert_eq!(by_dependency(&change, &store, &waiting), []);
        // Its status does not say yet that it waits.
        let app = Key { namespace: "apps".into(), name: "app".into() };
        waiting.begin(&app);
        assert_eq!(by_dependency(&change, &store, &waiting), std::slice::from_ref(&app));
        waiting.end(&app);
        assert_eq!(by_dependency(&change, &store, &waiting), []);
    }

    #[test]
    fn cycles_do_not_lose_anything() {
        let mut names =
            order(vec![kustomization("a", &["b"]), kustomization("b", &["a"]), kustomization("c", &["c"])]);
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
