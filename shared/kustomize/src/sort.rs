//! The order of the result: as accumulated, or by the ranks of kinds that kustomize has always had.

use crate::error::Error;
use crate::id::{ResourceId, or};
use crate::kustomization::SortOptions;
use crate::options::ResourceOrder;
use crate::resource::Resource;
use crate::resources::Resources;
use std::collections::HashMap;
use thiserror::Error;

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Why `sortOptions` are refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SortError {
    /// An unknown order.
    #[error("the field 'sortOptions.order' must be one of [fifo, legacy]")]
    Order,
    /// Ranks for an order that has none.
    #[error(
        "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not 'legacy'"
    )]
    RanksWithoutOrder,
}

/// Sorts as the top kustomization says, or by the default when it says nothing.
pub(crate) fn sort(
    resources: &mut Resources,
    options: Option<&SortOptions>,
    default: ResourceOrder,
) -> Result<(), Error> {
    let ranks = match options {
        None if default == ResourceOrder::Accumulation => return Ok(()),
        None => Ranks::Default,
        Some(options) => match (options.order.as_str(), &options.legacy) {
            ("fifo", None) => return Ok(()),
            ("fifo", Some(_)) => return Err(SortError::RanksWithoutOrder.into()),
            ("legacy", None) => Ranks::Default,
            ("legacy", Some(legacy)) => Ranks::new(
                legacy.first.as_deref().unwrap_or_default(),
                legacy.last.as_deref().unwrap_or_default(),
            ),
            _ => return Err(SortError::Order.into()),
        },
    };
    let mut keyed: Vec<(Key, Resource)> =
        resources.take().into_iter().map(|resource| (Key::new(&resource, &ranks), resource)).collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    resources.append_all(keyed.into_iter().map(|(_, resource)| resource))
}

/// The rank of a kind in the default order: negative for what comes first, positive for what comes last.
pub(crate) fn default_rank(kind: &str) -> i32 {
    match FIRST.iter().position(|first| *first == kind) {
        Some(at) => at as i32 - FIRST.len() as i32,
        None => LAST.iter().position(|last| *last == kind).map_or(0, |at| at as i32 + 1),
    }
}

enum Ranks {
    Default,
    Given(HashMap<String, i32>),
}

impl Ranks {
    fn new(first: &[String], last: &[String]) -> Ranks {
        let mut ranks = HashMap::new();
        for (at, kind) in first.iter().enumerate() {
            ranks.insert(kind.clone(), at as i32 - first.len() as i32);
        }
        for (at, kind) in last.iter().enumerate() {
            ranks.insert(kind.clone(), at as i32 + 1);
        }
        Ranks::Given(ranks)
    }

    fn of(&self, kind: &str) -> i32 {
        match self {
            Ranks::Default => default_rank(kind),
            Ranks::Given(ranks) => ranks.get(kind).copied().unwrap_or_default(),
        }
    }
}

struct Key {
    rank: i32,
    is_namespace: bool,
    is_core: bool,
    gvk: String,
    id: String,
}

impl Key {
    fn new(resource: &Resource, ranks: &Ranks) -> Key {
        let id: ResourceId = resource.current_id();
        Key {
            rank: ranks.of(&id.gvk.kind),
            is_namespace: id.gvk.kind == "Namespace",
            is_core: id.gvk.group.is_empty(),
            gvk: id.gvk.sort_text(),
            id: format!("{}|{}|{}", id.gvk, or(&id.namespace, "~X"), or(&id.name, "~N")),
        }
    }

    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        let by_gvk = if self.is_namespace && other.is_namespace && (self.is_core || other.is_core) {
            // Of two Namespaces the core one comes first, although `~G` sorts after every group.
            other.gvk.cmp(&self.gvk)
        } else {
            self.gvk.cmp(&other.gvk)
        };
        self.rank.cmp(&other.rank).then(by_gvk).then_with(|| self.id.cmp(&other.id))
    }
}
