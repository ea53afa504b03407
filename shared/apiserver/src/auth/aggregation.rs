//! Aggregated ClusterRoles: their rules are those of the ClusterRoles that their selectors match.

use serde_json::{Value, json};

use super::rbac;
use crate::core::Core;
use crate::object;
use crate::selectors::LabelSelector;
use crate::store::ObjectKey;

/// Table of the ClusterRoles.
pub(crate) const TABLE: &str = "clusterroles.rbac.authorization.k8s.io";
const MANAGER: &str = "clusterrole-aggregation-controller";
const LONGEST_CHAIN: usize = 16;

/// Brings the rules of every aggregated ClusterRole up to date. Called after each change of a ClusterRole.
pub(crate) fn reconcile(core: &Core) {
    for _ in 0..LONGEST_CHAIN {
        if !pass(core) {
            return;
        }
    }
}

/// One pass over the roles. True when one changed, so that those that select it have to be looked at again.
fn pass(core: &Core) -> bool {
    let catalog = core.catalog();
    let Some(resource) = catalog.find(rbac::GROUP, "v1", "clusterroles") else { return false };
    let roles = core.store.list(TABLE, None).objects;
    let mut changed = false;
    for stored in &roles {
        let role = &stored.value;
        let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else { continue };
        let mut rules: Vec<Value> = Vec::new();
        for selector in selectors {
            let selector = LabelSelector::from_object(Some(selector));
            for other in &roles {
                if object::name(&other.value) == object::name(role) || !selector.matches(&other.value) {
                    continue;
                }
                for rule in rbac::rules(&other.value) {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        let have: Vec<Value> = rbac::rules(role).cloned().collect();
        if have == rules {
            continue;
        }
        let applied = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind,
            "metadata": {"name": object::name(role)}, "rules": rules,
        });
        let now = core.clock.now_text();
        let merged = crate::typing::apply(resource, "", Some(role), &applied, MANAGER, true, &now);
        if let Ok(merged) = merged {
            let key = ObjectKey::new("", object::name(role));
            changed |= core.store.update(TABLE, &key, stored.revision, merged.object).is_ok();
        }
    }
    changed
}
