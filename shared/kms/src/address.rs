//! Which addresses of Vault servers may be asked.

use std::net::SocketAddr;

use fluxide_auth::Environment;
use url::{Host, Url};

use crate::KmsError;

/// The variable with addresses of Vault servers that may be asked.
const ALLOW_LIST: &str = "SOPS_HC_VAULT_ALLOWLIST";

/// Addresses of Vault servers that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedVaults {
    /// All of them.
    All,
    /// Those that begin with one of these texts.
    Only(Vec<String>),
}

impl AllowedVaults {
    /// What the environment says; all when it says nothing.
    pub fn of(environment: &Environment) -> Result<Self, KmsError> {
        let text = environment.get(ALLOW_LIST).unwrap_or_else(|| "all".to_owned());
        match text.as_str() {
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::Only(Vec::new())),
            _ => {}
        }
        let mut addresses = Vec::new();
        for (index, address) in text.split(',').map(str::trim).enumerate() {
            if address.is_empty() {
                return Err(KmsError::VaultLogin(format!("{ALLOW_LIST}'s entry {} is empty", index + 1)));
            }
            addresses.push(with_slash(address));
        }
        Ok(Self::Only(addresses))
    }

    /// Whether an address may be asked.
    pub fn allows(&self, address: &str) -> bool {
        self.names(address) || *self == Self::All
    }

    /// Whether an address is in the list itself.
    pub fn names(&self, address: &str) -> bool {
        match self {
            Self::All => false,
            Self::Only(addresses) => {
                let address = with_slash(address);
                addresses.iter().any(|allowed| address.starts_with(allowed))
            }
        }
    }
}

fn with_slash(address: &str) -> String {
    if address.ends_with('/') { address.to_owned() } else { format!("{address}/") }
}

/// Where a Vault server really is. A name that leads to this machine or its link leads nowhere: there are only things
/// that trust this machine.
pub async fn resolve(url: &Url, trusted: bool) -> Result<Vec<SocketAddr>, KmsError> {
    let invalid = |reason: String| KmsError::Key {
        field: "vault_address",
        value: url.as_str().trim_end_matches('/').to_owned(),
        reason,
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let found: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port))
            .await
            .map_err(|error| invalid(format!("cannot be resolved: {error}")))?
            .collect(),
        None => Vec::new(),
    };
    if found.is_empty() {
        return Err(invalid("has no address".to_owned()));
    }
    match found.iter().find(|address| !trusted && fluxide_address::is_local(address.ip())) {
        Some(address) => Err(invalid(format!(
            "leads to {}, which is of this machine: allow it with {ALLOW_LIST} if it should",
            address.ip()
        ))),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> AllowedVaults {
        AllowedVaults::of(&Environment::of(&[(ALLOW_LIST, text)])).unwrap()
    }

    #[test]
    fn the_list_allows_what_begins_with_an_entry() {
        assert_eq!(AllowedVaults::of(&Environment::of(&[])).unwrap(), AllowedVaults::All);
        assert!(of("all").allows("https://x") && !of("all").names("https://x"));
        assert!(!of("none").allows("https://x"));
        let list = of("https://vault.test:8200, https://other.test/");
        assert!(list.allows("https://vault.test:8200") && list.names("https://other.test"));
        assert!(!list.allows("https://vault.test:82000") && !list.allows("https://other.test.evil"));
        assert!(AllowedVaults::of(&Environment::of(&[(ALLOW_LIST, "a,,b")])).is_err());
    }

    #[tokio::test]
    async fn this_machine_is_not_asked() {
        let ask =
            async |address: &str, trusted| resolve(&Url::parse(address).unwrap(), trusted).await.is_ok();
        for address in [
            "http://127.0.0.1:8200",
            "http://169.254.169.254",
            "http://[::1]",
            "http://localhost",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0",
            "http://[fe80::1]",
            "http://[fd00:ec2::254]",
        ] {
            assert!(!ask(address, false).await, "{address}");
        }
        assert!(ask("http://127.0.0.1:8200", true).await);
        assert!(ask("http://10.1.2.3:8200", false).await);
        assert!(ask("https://192.0.2.1", false).await);
    }
}
