//! Where a repository may lead to. What it says about submodules and what its server says in redirects comes from
//! strangers: they must not make this process talk to services that trust its own machine or link, such as the metadata
//! services of clouds. Whoever writes the URL of a repository may name any host, so that host is exempt.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::remote::Remote;

/// The hosts that are trusted, and whether others may be on this machine or its link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    trusted: Vec<String>,
    local: bool,
}

impl Reach {
    /// What a repository somebody named may lead to.
    pub fn of(url: &Url) -> Self {
        let local = url.host_str().is_some_and(fluxide_address::is_local_name);
        Reach { trusted: url.host_str().map(fluxide_address::plain).into_iter().collect(), local }
    }

    /// The same with the proxies on the way, which are trusted too.
    pub fn with_proxies(&self, remote: &Remote) -> Self {
        let mut reach = self.clone();
        let from_environment =
            ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
                .into_iter()
                .filter_map(|name| std::env::var(name).ok());
        let proxies = remote.proxy.iter().map(|proxy| proxy.address.clone()).chain(from_environment);
        let hosts =
            proxies.filter_map(|address| Url::parse(&address).ok()?.host_str().map(fluxide_address::plain));
        reach.trusted.extend(hosts);
        reach
    }

    /// Whether a host at an address may be talked to.
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.local || !fluxide_address::is_local(address) || self.trusts(host)
    }

    /// Whether a URL may be followed; one with a name is looked at again when the name is resolved.
    pub fn allows_url(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        self.local || !fluxide_address::is_local_name(host) || self.trusts(host)
    }

    /// The addresses of a host that may be talked to.
    pub async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((host, port)).await?;
        let allowed: Vec<SocketAddr> = found.filter(|address| self.allows(host, address.ip())).collect();
        if allowed.is_empty() {
            return Err(std::io::Error::other(format!("{host} {REFUSED}")));
        }
        Ok(allowed)
    }

    fn trusts(&self, host: &str) -> bool {
        let host = fluxide_address::plain(host);
        self.trusted.contains(&host)
    }
}

/// The end of a sentence that begins with a host.
pub(crate) const REFUSED: &str =
    "is on this machine or its network link, where a repository that is elsewhere must not lead";

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let addresses = Reach::resolve(&reach, name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_local_itself_leads_to_what_is_local() {
        let reach = |url: &str| Reach::of(&Url::parse(url).unwrap());
        let public = reach("https://git.example.com/a");
        for url in [
            "http://127.0.0.1/x",
            "http://localhost/x",
            "http://a.localhost./x",
            "http://169.254.169.254/latest",
            "http://[::1]/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://[64:ff9b::7f00:1]/x",
            "http://[fd00:ec2::254]/x",
            "http://0.0.0.0/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
        ] {
            let allowed = public.allows_url(&Url::parse(url).unwrap());
            assert!(!allowed, "{url}");
        }
        for url in ["http://10.0.0.1/x", "https://other.example.com/x", "http://[fd12::1]/x"] {
            assert!(public.allows_url(&Url::parse(url).unwrap()), "{url}");
        }
        let local = Url::parse("http://127.0.0.1:2/x").unwrap();
        assert!(reach("http://localhost:1/a").allows_url(&local));
        assert!(reach("http://127.0.0.1:1/a").allows_url(&local));
        assert!(public.allows("GIT.example.com.", [127, 0, 0, 1].into()), "the host somebody named");
        assert!(!public.allows("other.example.com", [127, 0, 0, 1].into()));
    }
}
