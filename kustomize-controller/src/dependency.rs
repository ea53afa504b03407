//! Decides whether what a Kustomization depends on is ready, and remembers who waits.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fluxide_apply::health;
use fluxide_cel::Expression;
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::DependencyReference;
use fluxide_runtime::Key;
use fluxide_runtime::conditions::{self, READY};
use kube::ResourceExt as _;

/// The Kustomizations that look at what they depend on right now, or have found it not ready.
///
/// A status says so too, but only once it is written and has come back: a dependency that becomes ready in between would
/// be missed, and who waits for it would sleep until the next look.
#[derive(Debug, Default)]
pub struct Waiting {
    keys: Mutex<HashSet<Key>>,
}

impl Waiting {
    /// To be called before looking.
    pub fn begin(&self, key: &Key) {
        self.keys().insert(key.clone());
    }

    /// Everything was ready, or something else came up.
    pub fn end(&self, key: &Key) {
        self.keys().remove(key);
    }

    /// Whether this one waits.
    pub fn contains(&self, key: &Key) -> bool {
        self.keys().contains(key)
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a dependency is not ready, for the built-in check; `None` when it is.
///
/// A dependency on the same source must have applied the revision that is about to be applied.
pub fn not_ready(
    kustomization: &Kustomization,
    reference: &DependencyReference,
    dependency: &Kustomization,
    revision: &str,
) -> Option<String> {
    let namespace = kustomization.namespace().unwrap_or_default();
    let subject = format!("'{}/{}'", reference.namespace_or(&namespace), reference.name);
    let status = dependency.status.as_ref();
    let observed = status.map_or(0, |status| status.observed_generation);
    let has_conditions = status.is_some_and(|status| !status.conditions.is_empty());
    if !has_conditions
        || dependency.metadata.generation.unwrap_or(0) != observed
        || !conditions::is_true(dependency, READY)
    {
        return Some(format!("dependency {subject} is not ready"));
    }
    let applied = status.and_then(|status| status.last_applied_revision.as_deref());
    if has_same_source(kustomization, dependency) && applied != Some(revision) {
        return Some(format!("dependency {subject} revision is not up to date"));
    }
    None
}

/// Why a dependency is not ready by its own expression; `None` when it is.
pub fn not_ready_by_expression(
    kustomization: &Kustomization,
    reference: &DependencyReference,
    dependency: &Kustomization,
    expression: &Expression,
) -> Option<String> {
    let value = |object: &Kustomization| serde_json::to_value(object).unwrap_or_default();
    match health::is_ready(expression, value(kustomization), value(dependency)) {
        Ok(true) => None,
        Ok(false) => {
            let own = kustomization.namespace().unwrap_or_default();
            let (namespace, name) = (reference.namespace_or(&own), &reference.name);
            Some(format!("dependency '{namespace}/{name}' is not ready according to readyExpr eval"))
        }
        Err(error) => Some(error.to_string()),
    }
}

fn has_same_source(a: &Kustomization, b: &Kustomization) -> bool {
    let source = |kustomization: &Kustomization| {
        let reference = &kustomization.spec.source_ref;
        let own = kustomization.namespace().unwrap_or_default();
        (reference.kind.clone(), reference.name.clone(), reference.namespace_or(&own).to_owned())
    };
    source(a) == source(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kustomization(name: &str, source: &str, status: serde_json::Value) -> Kustomization {
        serde_json::from_value(json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "apps", "generation": 2},
            "spec": {"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": source}},
            "status": status,
        }))
        .unwrap()
    }

    fn status(ready: &str, generation: i64, revision: &str) -> serde_json::Value {
        json!({
            "observedGeneration": generation,
            "lastAppliedRevision": revision,
            "conditions": [{
                "type": "Ready", "status": ready, "reason": "X", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        })
    }

    fn check(source: &str, status: serde_json::Value) -> Option<String> {
        let own = kustomization("app", "fleet", json!({}));
        let reference = DependencyReference { name: "infra".into(), namespace: None, ready_expr: None };
        not_ready(&own, &reference, &kustomization("infra", source, status), "main@sha1:2")
    }

    #[test]
    fn needs_ready_at_the_current_generation() {
        let not_ready = Some("dependency 'apps/infra' is not ready".to_owned());
        assert_eq!(check("other", json!({})), not_ready);
        assert_eq!(check("other", status("False", 2, "x")), not_ready);
        assert_eq!(check("other", status("True", 1, "x")), not_ready);
        assert_eq!(check("other", status("True", 2, "x")), None);
    }

    #[test]
    fn same_source_must_have_the_same_revision() {
        assert_eq!(
            check("fleet", status("True", 2, "main@sha1:1")),
            Some("dependency 'apps/infra' revision is not up to date".to_owned())
        );
        assert_eq!(check("fleet", status("True", 2, "main@sha1:2")), None);
        assert_eq!(check("other", status("True", 2, "main@sha1:1")), None);
    }
}
