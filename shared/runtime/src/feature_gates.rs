//! Feature gates: `--feature-gates=A=true,B=false`.

use std::collections::BTreeMap;

/// The gates every controller has.
const COMMON: [(&str, bool); 2] =
    [(CACHE_SECRETS_AND_CONFIG_MAPS, false), (OBJECT_LEVEL_WORKLOAD_IDENTITY, false)];

/// The gate of Secrets and ConfigMaps that are kept in memory instead of read each time.
pub const CACHE_SECRETS_AND_CONFIG_MAPS: &str = "CacheSecretsAndConfigMaps";

/// The gate of not watching Secrets and ConfigMaps, where a controller has it.
pub const DISABLE_CONFIG_WATCHERS: &str = "DisableConfigWatchers";

/// The gate of workload identity by `spec.serviceAccountName`.
pub const OBJECT_LEVEL_WORKLOAD_IDENTITY: &str = "ObjectLevelWorkloadIdentity";

/// A gate that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such gate.
    #[error("feature-gate '{0}' not supported")]
    Unsupported(String),
    /// Not `Name=bool`.
    #[error("malformed pair, expect string=bool: {0:?}")]
    Malformed(String),
}

/// The state of a controller's feature gates.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FeatureGates {
    gates: BTreeMap<String, bool>,
    set: BTreeMap<String, bool>,
    retired: Vec<String>,
}

impl FeatureGates {
    /// Reads the values of `--feature-gates`; later ones win. Gates that are `retired` may be set to anything.
    pub fn parse<'a>(
        defaults: &[(&str, bool)],
        retired: &[&str],
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let known = COMMON.iter().chain(defaults);
        let mut gates: BTreeMap<String, bool> = known.map(|(name, on)| ((*name).to_owned(), *on)).collect();
        let mut set = BTreeMap::new();
        let mut ignored = Vec::new();
        let pairs = values
            .into_iter()
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|pair| !pair.is_empty());
        for pair in pairs {
            let malformed = || Error::Malformed(pair.to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
            let on = crate::options::parse_bool(value.trim()).map_err(|_| malformed())?;
            let name = name.trim();
            match gates.get_mut(name) {
                Some(gate) => *gate = on,
                None if retired.contains(&name) => {
                    ignored.push(name.to_owned());
                    continue;
                }
                None => return Err(Error::Unsupported(name.to_owned())),
            }
            set.insert(name.to_owned(), on);
        }
        Ok(Self { gates, set, retired: ignored })
    }

    /// Whether a gate is on; a gate this controller does not have is off.
    pub fn enabled(&self, name: &str) -> bool {
        self.gates.get(name).copied().unwrap_or(false)
    }

    /// All gates and their states, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.gates.iter().map(|(name, on)| (name.as_str(), *on))
    }

    /// The gates set on the command line that have no effect any more.
    pub fn retired(&self) -> impl Iterator<Item = &str> {
        self.retired.iter().map(String::as_str)
    }

    /// The gates set on the command line.
    pub fn explicit(&self) -> impl Iterator<Item = (&str, bool)> {
        self.set.iter().map(|(name, on)| (name.as_str(), *on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_and_defaults_stay() {
        let gates = FeatureGates::parse(
            &[("A", true), ("B", false), ("C", true)],
            &[],
            ["A=false,B=true", "", "B=false , C=1"],
        )
        .unwrap();
        let states: Vec<_> =
            ["A", "B", "C", OBJECT_LEVEL_WORKLOAD_IDENTITY, "Z"].map(|name| gates.enabled(name)).into();
        assert_eq!(states, [false, false, true, false, false]);
    }

    #[test]
    fn unknown_and_malformed_gates_are_refused() {
        let error = |value| FeatureGates::parse(&[], &["Old"], [value]).unwrap_err().to_string();
        assert_eq!(error("X=true"), "feature-gate 'X' not supported");
        assert_eq!(error("X"), "malformed pair, expect string=bool: \"X\"");
    }

    #[test]
    fn retired_gates_are_accepted_and_do_nothing() {
        let gates = FeatureGates::parse(&[("A", false)], &["Old"], ["Old=true,A=true"]).unwrap();
        assert_eq!(gates.retired().collect::<Vec<_>>(), ["Old"]);
        assert!(gates.enabled("A") && !gates.enabled("Old"));
        assert!(gates.explicit().all(|(name, _)| name == "A"));
    }
}
