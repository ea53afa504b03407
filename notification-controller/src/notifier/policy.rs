//! Which addresses providers may have, on clusters whose tenants choose them.
//!
//! A tenant who can create a Provider makes this controller send requests from inside the cluster.
//! With [`Policy::External`] only addresses outside of it are allowed. Names are judged by what they
//! resolve to, each time a connection is made, so that a name cannot change its meaning in between.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

/// Which addresses are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// All.
    #[default]
    Any,
    /// Those outside of the cluster and its network: not loopback, link-local, private or reserved
    /// ones, and no name of the cluster's own domain.
    External,
}

/// A policy with its exceptions.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    policy: Policy,
    exceptions: Arc<[Exception]>,
    #[cfg(test)]
    lookup: Option<Lookup>,
}

/// Answers in place of name servers.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct Lookup(Arc<Answers>);

/// The addresses of a host, with a port.
#[cfg(test)]
pub(crate) type Answers = dyn Fn(&str, u16) -> Vec<SocketAddr> + Send + Sync;

#[cfg(test)]
impl std::fmt::Debug for Lookup {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Lookup")
    }
}

/// A destination that is allowed in spite of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// A network.
    Network(IpAddr, u8),
    /// A host name; with a dot in front, all names below it.
    Name(String),
}

/// A refused address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// By the policy.
    #[error(
        "the address of '{0}' is not allowed by --provider-address-policy=external: it is inside of the cluster or its network"
    )]
    Internal(String),
    /// It has no host.
    #[error("the address has no host")]
    NoHost,
    /// The name cannot be resolved.
    #[error("failed to resolve '{host}': {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// Why not.
        reason: String,
    },
}

/// An exception that is neither a network nor a name.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no network such as 10.1.0.0/16, no IP address and no host name")]
pub struct InvalidException(String);

impl FromStr for Exception {
    type Err = InvalidException;

    fn from_str(text: &str) -> Result<Self, InvalidException> {
        let invalid = || InvalidException(text.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| invalid())?;
            let bits: u8 = bits.parse().map_err(|_| invalid())?;
            if bits > if address.is_ipv4() { 32 } else { 128 } {
                return Err(invalid());
            }
            return Ok(Self::Network(address, bits));
        }
        let is_name = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        if is_name { Ok(Self::Name(text.to_ascii_lowercase())) } else { Err(invalid()) }
    }
}

impl AddressPolicy {
    /// A policy with exceptions.
    pub fn new(policy: Policy, exceptions: Vec<Exception>) -> Self {
        Self {
            policy,
            exceptions: exceptions.into(),
            #[cfg(test)]
            lookup: None,
        }
    }

    /// Resolves names by a function.
    #[cfg(test)]
    pub(crate) fn with_lookup(self, lookup: Arc<Answers>) -> Self {
        Self { lookup: Some(Lookup(lookup)), ..self }
    }

    /// Whether anything may be refused.
    pub fn restricts(&self) -> bool {
        self.policy == Policy::External
    }

    /// Checks what can be known of a URL before its host is resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), Error> {
        if !self.restricts() {
            return Ok(());
        }
        match url.host().ok_or(Error::NoHost)? {
            Host::Ipv4(address) => self.check_ip(address.into(), &address.to_string()),
            Host::Ipv6(address) => self.check_ip(address.into(), &address.to_string()),
            Host::Domain(name) => self.check_name(name),
        }
    }

    /// Checks a URL with what its host resolves to here. The connection may be made elsewhere, by a proxy; a name that only
    /// that can resolve is left to it.
    pub async fn check_target(&self, url: &Url) -> Result<(), Error> {
        self.check_url(url)?;
        let Some(Host::Domain(name)) = url.host().filter(|_| self.restricts()) else { return Ok(()) };
        match self.resolve(name, url.port_or_known_default().unwrap_or(0)).await {
            Err(error @ Error::Internal(_)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Resolves a host and keeps the addresses that are allowed; an error when none is.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let failed = |error: io::Error| Error::Resolve { host: host.to_owned(), reason: error.to_string() };
        let resolved = self.lookup(host, port).await.map_err(failed)?;
        if !self.restricts() || self.is_excepted_name(host) {
            return Ok(resolved);
        }
        self.check_name(host)?;
        self.allowed(host, resolved)
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(Lookup(lookup)) = &self.lookup {
            return Ok(lookup(host, port));
        }
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    fn allowed(&self, host: &str, resolved: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
        let allowed: Vec<SocketAddr> =
            resolved.into_iter().filter(|address| self.check_ip(address.ip(), host).is_ok()).collect();
        if allowed.is_empty() { Err(Error::Internal(host.to_owned())) } else { Ok(allowed) }
    }

    fn check_ip(&self, address: IpAddr, shown: &str) -> Result<(), Error> {
        let address = address.to_canonical();
        let excepted = self.exceptions.iter().any(|exception| match exception {
            Exception::Network(network, bits) => contains(*network, *bits, address),
            Exception::Name(_) => false,
        });
        if excepted || fluxide_address::is_external(address) {
            Ok(())
        } else {
            Err(Error::Internal(shown.to_owned()))
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        if self.is_excepted_name(&lower) {
            return Ok(());
        }
        const INTERNAL: [&str; 6] = ["localhost", "local", "svc", "internal", "intranet", "localdomain"];
        let last = lower.rsplit('.').next().unwrap_or_default();
        // A name without a dot is completed by the search domains of the pod: `kubernetes`.
        if !lower.contains('.') || INTERNAL.contains(&last) {
            return Err(Error::Internal(name.to_owned()));
        }
        Ok(())
    }

    fn is_excepted_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.exceptions.iter().any(|exception| match exception {
            Exception::Name(allowed) if allowed.starts_with('.') => name.ends_with(allowed.as_str()),
            Exception::Name(allowed) => *allowed == name,
            Exception::Network(..) => false,
        })
    }
}

/// Resolves names for HTTP clients by the policy.
#[derive(Clone)]
pub(crate) struct Resolver(pub(crate) AddressPolicy);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let addresses = policy.resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(exceptions: &[&str]) -> AddressPolicy {
        let exceptions = exceptions.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy::new(Policy::External, exceptions)
    }

    fn allowed(policy: &AddressPolicy, url: &str) -> bool {
        policy.check_url(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn internal_addresses_are_refused_however_they_are_written() {
        let policy = policy(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0/",
            "http://169.254.169.254/latest",
            "http://10.0.0.1/",
            "http://172.16.3.4/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://localhost/",
            "http://kubernetes/",
            "http://api.default.svc/",
            "http://x.svc.cluster.local/",
            "http://x.svc.cluster.local./",
            "http://metadata.google.internal/",
            "http://255.255.255.255/",
        ] {
            assert!(!allowed(&policy, url), "{url}");
        }
        for url in ["https://hooks.slack.com/x", "http://8.8.8.8/", "http://[2606:4700::1111]/"] {
            assert!(allowed(&policy, url), "{url}");
        }
        assert!(allowed(&AddressPolicy::default(), "http://127.0.0.1/"));
    }

    #[test]
    fn exceptions_are_networks_and_names() {
        let policy = policy(&["10.1.0.0/16", "gitea.git.svc.cluster.local", ".corp.local", "fd00::/8"]);
        for url in [
            "http://10.1.2.3/",
            "http://gitea.git.svc.cluster.local/",
            "http://a.corp.local/",
            "http://[fd12::1]/",
        ] {
            assert!(allowed(&policy, url), "{url}");
        }
        for url in ["http://10.2.0.1/", "http://corp.local/", "http://x.git.svc.cluster.local/"] {
            assert!(!allowed(&policy, url), "{url}");
        }
        assert!("10.0.0.0/33".parse::<Exception>().is_err());
        assert!("a b".parse::<Exception>().is_err());
    }

    #[test]
    fn of_the_addresses_of_a_name_only_external_ones_are_used() {
        let policy = policy(&["10.1.0.0/16"]);
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mixed = addresses(&["127.0.0.1:80", "8.8.8.8:80", "[::ffff:169.254.169.254]:80", "10.1.2.3:80"]);
        assert_eq!(policy.allowed("rebound.test", mixed).unwrap(), addresses(&["8.8.8.8:80", "10.1.2.3:80"]));
        assert!(policy.allowed("rebound.test", addresses(&["[fd00::1]:80", "0.0.0.0:80"])).is_err());
        assert!(policy.allowed("rebound.test", Vec::new()).is_err());
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to() {
        let error = policy(&[]).resolve("localhost", 80).await.unwrap_err();
        assert!(matches!(error, Error::Internal(_)), "{error}");
        assert!(!policy(&["localhost"]).resolve("localhost", 80).await.unwrap().is_empty());
    }
}
