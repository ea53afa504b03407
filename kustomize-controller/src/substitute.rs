//! The variables of a Kustomization's post-build step.

use std::collections::BTreeMap;

use fluxide_kustomize_api::kustomization::{
    PostBuild, SubstituteReference, SubstituteStrategy, VariablesKind,
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::Value;

/// The label or annotation that keeps an object from being substituted.
const KEY: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// Why variables cannot be loaded or replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A ConfigMap or Secret cannot be read.
    #[error("substitute from '{kind}/{name}' error: {reason}")]
    From {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// Why.
        reason: String,
    },
    /// A variable has a name that no expression can refer to.
    #[error("'{0}' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'")]
    Name(String),
    /// An expression is malformed, or a variable is missing.
    #[error("envsubst error: variable substitution failed: {0}")]
    Expression(#[from] fluxide_envsubst::Error),
    /// The object is no YAML any more after its variables were replaced.
    #[error("YAMLToJSON: {0}")]
    NotYaml(String),
}

/// Variables, and when to use them.
#[derive(Clone)]
pub struct Variables {
    values: BTreeMap<String, String>,
    always: bool,
}

impl Variables {
    /// Variables from a map. Unless `always`, nothing is touched while there are none.
    pub fn new(values: BTreeMap<String, String>, always: bool) -> Result<Self, Error> {
        if let Some(name) = values.keys().find(|name| !fluxide_envsubst::is_valid_name(name)) {
            return Err(Error::Name(name.clone()));
        }
        let values = values.into_iter().map(|(name, value)| (name, value.replace('\n', ""))).collect();
        Ok(Self { values, always })
    }

    /// Reads the variables of a Kustomization: references in order, then those of the spec itself.
    pub async fn load(post_build: &PostBuild, client: &kube::Client, namespace: &str) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        for reference in &post_build.substitute_from {
            let read = read(reference, client, namespace).await.map_err(|error| Error::From {
                kind: reference.kind.to_string(),
                name: reference.name.clone(),
                reason: fluxide_runtime::client::message(&error),
            })?;
            match read {
                Some(read) => values.extend(read),
                None if reference.optional => {}
                None => {
                    let plural = format!("{}s", reference.kind.as_str().to_lowercase());
                    return Err(Error::From {
                        kind: reference.kind.to_string(),
                        name: reference.name.clone(),
                        reason: format!("{plural} \"{}\" not found", reference.name),
                    });
                }
            }
        }
        values.extend(post_build.substitute.clone());
        Self::new(values, post_build.substitute_strategy == Some(SubstituteStrategy::Always))
    }

    /// True when the variables of an object are to be replaced.
    pub fn apply_to(&self, object: &Value) -> bool {
        !is_disabled(object) && (self.always || !self.values.is_empty())
    }

    /// Replaces the variables in a text.
    pub fn substitute(&self, text: &str, strict: bool) -> Result<String, Error> {
        Ok(fluxide_envsubst::substitute(text, &self.values, strict)?)
    }
}

/// True when an object asks to be left as it is.
pub fn is_disabled(object: &Value) -> bool {
    ["labels", "annotations"].iter().any(|field| {
        object.get("metadata").and_then(|m| m.get(field)?.get(KEY)?.as_str()) == Some("disabled")
    })
}

/// The variables of one ConfigMap or Secret, `None` when it does not exist.
async fn read(
    reference: &SubstituteReference,
    client: &kube::Client,
    namespace: &str,
) -> Result<Option<BTreeMap<String, String>>, kube::Error> {
    let (client, name) = (client.clone(), &reference.name);
    Ok(match reference.kind {
        VariablesKind::Secret => {
            let secret = Api::<Secret>::namespaced(client, namespace).get_opt(name).await?;
            let data = secret.map(|secret| secret.data.unwrap_or_default());
            data.map(|data| {
                let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
                data.into_iter().map(|(key, value)| (key, text(value.0))).collect()
            })
        }
        VariablesKind::ConfigMap | VariablesKind::Other(_) => {
            let config_map = Api::<ConfigMap>::namespaced(client, namespace).get_opt(name).await?;
            config_map.map(|config_map| config_map.data.unwrap_or_default())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variables(values: &[(&str, &str)], always: bool) -> Result<Variables, Error> {
        Variables::new(values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), always)
    }

    #[test]
    fn line_breaks_are_removed_and_names_checked() {
        let variables = variables(&[("a", "x\ny\n")], false).unwrap();
        assert_eq!(variables.substitute("${a}", true).unwrap(), "xy");
        assert!(matches!(self::variables(&[("a-b", "")], false), Err(Error::Name(name)) if name == "a-b"));
    }

    #[test]
    fn objects_can_opt_out() {
        let variables = variables(&[("a", "1")], false).unwrap();
        assert!(variables.apply_to(&json!({})));
        assert!(!variables.apply_to(&json!({"metadata": {"labels": {KEY: "disabled"}}})));
        assert!(!variables.apply_to(&json!({"metadata": {"annotations": {KEY: "disabled"}}})));
        assert!(variables.apply_to(&json!({"metadata": {"annotations": {KEY: "Disabled"}}})));
    }

    #[test]
    fn without_variables_the_strategy_decides() {
        assert!(!variables(&[], false).unwrap().apply_to(&json!({})));
        assert!(variables(&[], true).unwrap().apply_to(&json!({})));
    }
}
