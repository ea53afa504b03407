//! Clusters that are entered with an identity instead of a kubeconfig: EKS, AKS, GKE, and any cluster that trusts the tokens
//! of this one.
//!
//! [`Settings`] say which cluster it is, an [`Identity`] says who enters it. [`Clusters::enter`] finds out where the cluster is
//! and whom it trusts, as far as the settings leave that open, and gives an [`Access`] that makes a token for each request
//! as long as it is kept.

mod aks;
mod eks;
mod generic;
mod gke;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Client;
use tokio::sync::OnceCell;
use url::Url;

use crate::service_account::{Account, TOKEN_FILE};
use crate::{AuthError, CacheEvents, CacheKey, ClientSettings, Environment, Token, TokenCache, Unobserved};

/// Who runs a cluster, and so who says how to enter it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// EKS.
    Aws,
    /// AKS.
    Azure,
    /// GKE.
    Gcp,
    /// A cluster that trusts ServiceAccount tokens of this one.
    Generic,
}

impl Provider {
    fn parse(name: &str) -> Result<Self, ClusterError> {
        match name {
            "aws" => Ok(Provider::Aws),
            "azure" => Ok(Provider::Azure),
            "gcp" => Ok(Provider::Gcp),
            "generic" => Ok(Provider::Generic),
            other => Err(ClusterError::Provider(other.to_owned())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Provider::Aws => "aws",
            Provider::Azure => "azure",
            Provider::Gcp => "gcp",
            Provider::Generic => "generic",
        }
    }
}

/// What is said about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who runs it.
    pub provider: Provider,
    /// Its name at the provider: an ARN, a resource id or a path.
    pub cluster: Option<String>,
    /// Where its API server is, as `https://host:port`.
    pub address: Option<String>,
    /// The authorities of its API server, in PEM.
    pub ca: Option<String>,
    /// Whom ServiceAccount tokens are for, in place of what the provider usually wants.
    pub audiences: Vec<String>,
    /// The ServiceAccount whose identity is shown.
    pub service_account: Option<String>,
}

impl Settings {
    /// Reads the data of a ConfigMap: `provider`, `cluster`, `address`, `ca.crt`, `audiences` and `serviceAccountName`.
    pub fn of_data(data: &BTreeMap<String, String>) -> Result<Self, ClusterError> {
        let get = |key: &str| data.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let own = |key: &str| get(key).map(str::to_owned);
        let lines = get("audiences").unwrap_or_default().lines().map(str::trim);
        Ok(Settings {
            provider: Provider::parse(get("provider").unwrap_or_default())?,
            cluster: own("cluster"),
            address: get("address").map(address).transpose()?,
            ca: own("ca.crt"),
            audiences: lines.filter(|audience| !audience.is_empty()).map(str::to_owned).collect(),
            service_account: own("serviceAccountName"),
        })
    }

    /// The name of the cluster, or nothing, which no provider takes for a name.
    fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or_default()
    }

    /// Where the cluster is, when all of it is said and nobody need be asked.
    fn location(&self) -> Option<Location> {
        Some(Location { address: self.address.clone()?, ca: Some(self.ca.clone()?) })
    }

    /// Where the cluster is, with what its provider says in place of what is not said.
    fn complete(&self, service: &'static str, endpoint: &str, ca: &str) -> Result<Location, ClusterError> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => address(endpoint)?,
        };
        let ca = match &self.ca {
            Some(ca) => ca.clone(),
            None => authorities(service, self.cluster(), ca)?,
        };
        Ok(Location { address, ca: Some(ca) })
    }
}

/// Who enters a cluster: a ServiceAccount, or else this process.
#[derive(Clone)]
pub struct Identity {
    /// The cluster of the ServiceAccount.
    pub client: kube::Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub account: Option<String>,
}

/// Where a cluster is and whom it trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `https://host:port`
    pub address: String,
    /// The authorities of the API server, in PEM; without them, those of the system.
    pub ca: Option<String>,
}

/// Why a cluster cannot be entered. The text never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The provider is not known.
    #[error("provider '{0}' not implemented")]
    Provider(String),
    /// The name of the cluster is wrong.
    #[error("invalid {what}: '{name}'. must match {form}")]
    Name {
        /// What should stand there.
        what: &'static str,
        /// What does.
        name: String,
        /// How it should look.
        form: &'static str,
    },
    /// The address is wrong.
    #[error("failed to parse cluster address {address}: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Only the settings can tell the address, and they do not.
    #[error("cluster address is required to create a REST config")]
    NoAddress,
    /// There is no token.
    #[error("failed to get access token for cluster: {0}")]
    Token(#[source] AuthError),
    /// The provider does not say where the cluster is.
    #[error("failed to describe {service} cluster '{name}': {source}")]
    Describe {
        /// Whose cluster.
        service: &'static str,
        /// Which.
        name: String,
        /// Why not.
        #[source]
        source: AuthError,
    },
    /// The provider says something about the cluster that is of no use.
    #[error("{service} cluster '{name}' {reason}")]
    Unusable {
        /// Whose cluster.
        service: &'static str,
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The process has no connections to ask anybody with.
    #[error(transparent)]
    Http(AuthError),
}

/// Addresses in place of the clouds' own, for tests and for emulators.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Of EKS.
    pub eks: Option<String>,
    /// Of the AWS token service.
    pub aws_sts: Option<String>,
    /// Of Azure's resource manager.
    pub azure_resource_manager: Option<String>,
    /// Of all Google services.
    pub google: Option<String>,
}

/// Enters clusters. Cloning gives a handle to the same tokens and connections.
#[derive(Clone)]
pub struct Clusters {
    environment: Environment,
    endpoints: Endpoints,
    tokens: TokenCache,
    token_file: PathBuf,
    http: Arc<OnceCell<Client>>,
}

impl Clusters {
    /// Clusters that are entered as the environment says, with tokens that are kept in a cache.
    pub fn new(environment: Environment, tokens: TokenCache) -> Self {
        let (endpoints, token_file) = (Endpoints::default(), TOKEN_FILE.into());
        Clusters { environment, endpoints, tokens, token_file, http: Arc::default() }
    }

    /// The same with other addresses of clouds.
    pub fn with_endpoints(self, endpoints: Endpoints) -> Self {
        Clusters { endpoints, ..self }
    }

    /// The same with the token of the process's own ServiceAccount in another file.
    pub fn with_token_file(self, path: impl Into<PathBuf>) -> Self {
        Clusters { token_file: path.into(), ..self }
    }

    /// Finds a cluster and shows an identity to its provider. `events` hear about the tokens of that.
    pub async fn enter(
        &self,
        settings: Settings,
        identity: Identity,
        events: &dyn CacheEvents,
    ) -> Result<(Location, Access), ClusterError> {
        let connected = self.http.get_or_try_init(async || ClientSettings::default().client());
        let http = connected.await.map_err(ClusterError::Http)?.clone();
        let access = Access { clusters: self.clone(), settings, identity, http, account: Mutex::new(None) };
        access.read_account().await.map_err(ClusterError::Token)?;
        let location = match access.settings.provider {
            Provider::Aws => eks::locate(&access, events).await?,
            Provider::Azure => aks::locate(&access, events).await?,
            Provider::Gcp => gke::locate(&access, events).await?,
            Provider::Generic => generic::locate(&access.settings)?,
        };
        access.make(events).await?;
        Ok((location, access))
    }

    fn endpoint(&self, given: &Option<String>, variable: &str) -> Option<String> {
        given.clone().or_else(|| self.environment.get(variable))
    }
}

/// An identity that is let into a cluster.
pub struct Access {
    clusters: Clusters,
    settings: Settings,
    identity: Identity,
    http: Client,
    account: Mutex<Option<Account>>,
}

impl Access {
    /// A token for a request: what is said of the ServiceAccount is not read again.
    pub async fn token(&self) -> Result<Token, ClusterError> {
        self.make(&Unobserved).await
    }

    /// A token with what is said of the ServiceAccount now; later requests use that too.
    pub async fn renew(&self, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
        self.read_account().await.map_err(ClusterError::Token)?;
        self.make(events).await
    }

    async fn make(&self, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
        match self.settings.provider {
            Provider::Aws => eks::token(self, events).await,
            Provider::Azure => aks::token(self, events).await,
            Provider::Gcp => gke::token(self, events).await,
            Provider::Generic => generic::token(self, events).await,
        }
    }

    async fn read_account(&self) -> Result<(), AuthError> {
        let Some(name) = &self.identity.account else { return Ok(()) };
        let account = Account::get(&self.identity.client, &self.identity.namespace, name).await?;
        let account = account.with_audiences(self.settings.audiences.clone());
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Some(account);
        Ok(())
    }

    fn account(&self) -> Option<Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What decides which token is right: whom it is for, and who gets it.
    fn key(&self, what: &[&str], account: Option<&Account>) -> CacheKey {
        let mut parts = vec!["cluster", self.settings.provider.name()];
        if let Some(account) = account {
            parts.extend(["account", account.namespace(), account.name()]);
            for (key, value) in account.annotations() {
                parts.extend([key.as_str(), value]);
            }
        }
        parts.push("audiences");
        parts.extend(self.settings.audiences.iter().map(String::as_str));
        parts.push("for");
        parts.extend(what);
        CacheKey::of(parts.into_iter().map(str::as_bytes))
    }

    /// Tokens of earlier requests.
    fn tokens(&self) -> &TokenCache {
        &self.clusters.tokens
    }
}

/// The address of an API server as `https://host:port`, its host in lower case. Tokens never go without TLS.
fn address(given: &str) -> Result<String, ClusterError> {
    let wrong = |reason: String| ClusterError::Address { address: given.to_owned(), reason };
    let full = if given.starts_with("http") { given.to_owned() } else { format!("https://{given}") };
    let url = Url::parse(&full).map_err(|error| {
        wrong(format!("failed to parse Kubernetes API server address '{given}': {error}"))
    })?;
    if url.scheme() != "https" {
        return Err(wrong(format!("the Kubernetes API server address '{given}' must use https scheme")));
    }
    let host = url.host_str().unwrap_or_default();
    Ok(format!("https://{host}:{}", url.port().unwrap_or(443)))
}

/// Authorities that a provider gives in base64.
fn authorities(service: &'static str, name: &str, encoded: &str) -> Result<String, ClusterError> {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok();
    decoded.and_then(|pem| String::from_utf8(pem).ok()).ok_or_else(|| ClusterError::Unusable {
        service,
        name: name.to_owned(),
        reason: "has a CA certificate that cannot be decoded".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(data: &[(&str, &str)]) -> Result<Settings, String> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::of_data(&data).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_have_a_scheme_and_a_port() {
        for (given, wanted) in [
            ("https://API.example/", "https://api.example:443"),
            ("API.example:6443", "https://api.example:6443"),
            ("34.1.2.3", "https://34.1.2.3:443"),
            ("[::1]:6443", "https://[::1]:6443"),
            ("https://user:word@api.example/path?x", "https://api.example:443"),
        ] {
            assert_eq!(address(given).unwrap(), wanted, "{given}");
        }
        assert_eq!(
            address("http://a").unwrap_err().to_string(),
            "failed to parse cluster address http://a: the Kubernetes API server address 'http://a' must use https scheme"
        );
        assert!(address("https://").is_err());
    }

    #[test]
    fn settings_are_read_and_wrong_ones_named() {
        let read = settings(&[
            ("provider", "generic"),
            ("address", "https://a"),
            ("audiences", "a\n b \n\n"),
            ("serviceAccountName", " robot\n"),
            ("ca.crt", ""),
        ])
        .unwrap();
        assert_eq!(read.audiences, ["a", "b"]);
        assert_eq!(read.service_account.as_deref(), Some("robot"));
        assert_eq!(read.ca, None);
        assert_eq!(settings(&[]).unwrap_err(), "provider '' not implemented");
        assert_eq!(settings(&[("provider", "x")]).unwrap_err(), "provider 'x' not implemented");
        assert_eq!(
            generic::locate(&settings(&[("provider", "generic")]).unwrap()).unwrap_err().to_string(),
            "cluster address is required to create a REST config"
        );
    }
}
