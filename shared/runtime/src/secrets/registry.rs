//! Credentials of container registries, as Docker writes them.

use super::{BasicAuth, Hidden};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The credentials of several registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryAuths {
    auths: BTreeMap<String, RegistryAuth>,
}

/// How to log in to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAuth {
    /// User name and password.
    Basic(BasicAuth),
    /// An identity token, exchanged for access tokens.
    IdentityToken(Hidden<String>),
    /// A token used as it is.
    RegistryToken(Hidden<String>),
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl RegistryAuths {
    /// Reads a Docker configuration; the error does not contain its text.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let config: DockerConfig = serde_json::from_slice(json).map_err(|error| {
            format!(
                "key '.dockerconfigjson' is not a Docker configuration (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let mut auths = BTreeMap::new();
        for (address, entry) in config.auths {
            if let Some(auth) = entry.auth(&address)? {
                auths.insert(normalize(&address), auth);
            }
        }
        Ok(Self { auths })
    }

    /// Adds those of another configuration; the first one with a registry wins.
    pub fn merge(&mut self, other: Self) {
        for (address, auth) in other.auths {
            self.auths.entry(address).or_insert(auth);
        }
    }

    /// The credentials for a repository such as `ghcr.io/org/app`: the entry with the longest path
    /// that contains it wins, then the one of its host.
    pub fn find(&self, repository: &str) -> Option<&RegistryAuth> {
        let mut address = normalize(repository);
        loop {
            if let Some(auth) = self.auths.get(&address) {
                return Some(auth);
            }
            let (parent, _) = address.rsplit_once('/')?;
            address = parent.to_owned();
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.auths.is_empty()
    }
}

impl Entry {
    fn auth(self, address: &str) -> Result<Option<RegistryAuth>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(RegistryAuth::IdentityToken(Hidden(self.identitytoken))));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(RegistryAuth::RegistryToken(Hidden(self.registrytoken))));
        }
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            let invalid = || format!("the auth of registry '{address}' is not base64 of user:password");
            let decoded = STANDARD.decode(self.auth.trim()).map_err(|_| invalid())?;
            let text = String::from_utf8(decoded).map_err(|_| invalid())?;
            let (username, password) = text.split_once(':').ok_or_else(invalid)?;
            let password = password.trim_matches('\0');
            (username.to_owned(), password.to_owned())
        };
        if username.is_empty() && password.is_empty() {
            return Ok(None);
        }
        Ok(Some(RegistryAuth::Basic(BasicAuth { username, password: Hidden(password) })))
    }
}

/// A registry's address without scheme and API path; Docker Hub has many names.
fn normalize(address: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.trim_end_matches('/');
    let address = address.strip_suffix("/v1").or_else(|| address.strip_suffix("/v2")).unwrap_or(address);
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let host = match host {
        "docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "index.docker.io",
        host => host,
    };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_most_specific_entry() {
        let config = br#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dTpw"},
            "ghcr.io": {"username": "a", "password": "b"},
            "ghcr.io/org": {"identitytoken": "t"},
            "empty.io": {}
        }}"#;
        let auths = RegistryAuths::parse(config).unwrap();
        let user = |repository: &str| match auths.find(repository) {
            Some(RegistryAuth::Basic(basic)) => basic.username.clone(),
            Some(_) => "token".to_owned(),
            None => "none".to_owned(),
        };
        assert_eq!(user("docker.io/library/alpine"), "u");
        assert_eq!(user("ghcr.io/other/app"), "a");
        assert_eq!(user("ghcr.io/org/app"), "token");
        assert_eq!(user("ghcr.io.evil/org"), "none");
        assert_eq!(user("empty.io/x"), "none");
    }

    #[test]
    fn errors_do_not_repeat_the_configuration() {
        let error = RegistryAuths::parse(br#"{"auths": {"x": {"auth": "c2VjcmV0"}}}"#).unwrap_err();
        assert_eq!(error, "the auth of registry 'x' is not base64 of user:password");
        let error = RegistryAuths::parse(b"hunter2").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
