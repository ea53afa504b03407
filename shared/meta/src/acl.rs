//! Which namespaces may refer to an object of another namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Grants references from other namespaces. Without it only the object's own namespace may refer
/// to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessFrom {
    /// Namespaces that may refer to the object; a namespace is granted when any entry selects it.
    pub namespace_selectors: Vec<NamespaceSelector>,
}

/// Selects namespaces by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels the namespace must have. An empty map selects every namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

impl AccessFrom {
    /// Whether a namespace with these labels is granted access.
    pub fn grants(&self, namespace_labels: &BTreeMap<String, String>) -> bool {
        self.namespace_selectors.iter().any(|selector| {
            selector.match_labels.iter().all(|(key, value)| namespace_labels.get(key) == Some(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn entries_are_alternatives_and_labels_are_conjunctions() {
        let acl = AccessFrom {
            namespace_selectors: vec![
                NamespaceSelector { match_labels: labels(&[("team", "a"), ("stage", "prod")]) },
                NamespaceSelector { match_labels: labels(&[("team", "b")]) },
            ],
        };
        assert!(acl.grants(&labels(&[("team", "b")])));
        assert!(acl.grants(&labels(&[("team", "a"), ("stage", "prod")])));
        assert!(!acl.grants(&labels(&[("team", "a")])));
    }

    #[test]
    fn empty_labels_select_everything_and_no_selector_nothing() {
        let everyone = AccessFrom { namespace_selectors: vec![NamespaceSelector::default()] };
        assert!(everyone.grants(&BTreeMap::new()));
        assert!(!AccessFrom::default().grants(&BTreeMap::new()));
    }
}
