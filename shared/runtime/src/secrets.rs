//! Credentials in Secrets: one reading of each shape for all controllers.
//!
//! Values never appear in errors or `Debug`; errors name the Secret and the key.

use crate::{client, key::Key};
use k8s_openapi::api::core::v1::{Secret as CoreSecret, ServiceAccount};
use kube::{Api, Client};
use std::{collections::BTreeMap, fmt};

mod registry;

pub use registry::{RegistryAuth, RegistryAuths};

const PROXY_URL_LIMIT: usize = 2048;

/// A Secret that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("secret '{0}' not found")]
    NotFound(Key),
    /// It cannot be read.
    #[error("failed to get secret '{secret}': {reason}")]
    Get {
        /// Which.
        secret: Key,
        /// The API server's words.
        reason: String,
    },
    /// The ServiceAccount that lists pull secrets does not exist.
    #[error("serviceaccount '{0}' not found")]
    ServiceAccountNotFound(Key),
    /// The ServiceAccount that lists pull secrets cannot be read.
    #[error("failed to get serviceaccount '{account}': {reason}")]
    GetServiceAccount {
        /// Which.
        account: Key,
        /// The API server's words.
        reason: String,
    },
    /// A Secret that a ServiceAccount lists cannot be read.
    #[error("failed to get image pull secret for serviceaccount '{account}': {error}")]
    PullSecret {
        /// Which ServiceAccount.
        account: Key,
        /// What is wrong with the Secret.
        error: Box<Error>,
    },
    /// A key is missing.
    #[error("secret '{secret}': key '{key}' not found")]
    KeyNotFound {
        /// Which Secret.
        secret: Key,
        /// Which key.
        key: &'static str,
    },
    /// Only one half of a user name and password.
    #[error("secret '{secret}': malformed basic auth - has '{present}' but missing '{missing}'")]
    HalfBasicAuth {
        /// Which Secret.
        secret: Key,
        /// What it has.
        present: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
    /// A certificate without key, or the reverse.
    #[error("secret '{secret}' contains '{present}' but missing '{missing}'")]
    HalfCertificate {
        /// Which Secret.
        secret: Key,
        /// What it has.
        present: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
    /// Nothing for TLS.
    #[error("secret '{0}' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'")]
    NoTls(Key),
    /// Both or none of the two ways to name a GitHub App installation.
    #[error(
        "secret '{0}' must contain exactly one of 'githubAppInstallationOwner' or 'githubAppInstallationID'"
    )]
    GithubInstallation(Key),
    /// A value that is not what its key promises.
    #[error("secret '{secret}': {reason}")]
    Invalid {
        /// Which Secret.
        secret: Key,
        /// What is wrong, without the value.
        reason: String,
    },
}

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden<T>(T);

impl<T> Hidden<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value; do not print it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The data of a Secret, with its name for errors.
#[derive(Clone)]
pub struct Secret {
    key: Key,
    data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.data.keys().collect();
        write!(formatter, "Secret({} {keys:?})", self.key)
    }
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Hidden<String>,
}

/// Certificates for TLS, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities to trust.
    pub ca: Option<Vec<u8>>,
    /// Client certificate and private key.
    pub identity: Option<ClientCertificate>,
}

/// A client certificate and its private key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Hidden<Vec<u8>>,
}

/// What SSH needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAuth {
    /// The private key.
    pub identity: Hidden<Vec<u8>>,
    /// The public key, if given.
    pub public_key: Option<Vec<u8>>,
    /// The keys hosts may have.
    pub known_hosts: String,
    /// The passphrase of the private key.
    pub passphrase: Option<Hidden<String>>,
}

/// A GitHub App's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubApp {
    /// The app's id.
    pub app_id: String,
    /// Which installation of it.
    pub installation: GithubInstallation,
    /// The app's private key.
    pub private_key: Hidden<Vec<u8>>,
    /// The API of a GitHub Enterprise Server.
    pub base_url: Option<String>,
}

/// An installation of a GitHub App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GithubInstallation {
    /// By its id.
    Id(String),
    /// By the organisation or user it is installed for.
    Owner(String),
}

/// Everything a Secret offers for authentication; what it lacks is `None`.
#[derive(Clone, Debug, Default)]
pub struct AuthMethods {
    /// User name and password.
    pub basic: Option<BasicAuth>,
    /// A token for the `Authorization: Bearer` header.
    pub bearer: Option<Hidden<String>>,
    /// A token of an API.
    pub token: Option<Hidden<String>>,
    /// SSH key and known hosts.
    pub ssh: Option<SshAuth>,
    /// A GitHub App.
    pub github_app: Option<GithubApp>,
    /// Certificates.
    pub tls: Option<Tls>,
}

impl Secret {
    /// Reads a Secret from the API server.
    pub async fn get(client: &Client, namespace: &str, name: &str) -> Result<Self, Error> {
        let key = Key::new(namespace, name);
        let api = Api::<CoreSecret>::namespaced(client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(Some(secret)) => Ok(Self::new(key, secret)),
            Ok(None) => Err(Error::NotFound(key)),
            Err(error) => Err(Error::Get { secret: key, reason: client::message(&error) }),
        }
    }

    /// Reads the Secrets a ServiceAccount lists for pulling images.
    pub async fn pull_secrets(
        client: &Client,
        namespace: &str,
        service_account: &str,
    ) -> Result<Vec<Self>, Error> {
        let account = Key::new(namespace, service_account);
        let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        let found = match api.get_opt(service_account).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Error::ServiceAccountNotFound(account)),
            Err(error) => {
                return Err(Error::GetServiceAccount { account, reason: client::message(&error) });
            }
        };
        let mut secrets = Vec::new();
        for reference in found.image_pull_secrets.unwrap_or_default() {
            let secret = Self::get(client, namespace, &reference.name).await;
            secrets.push(
                secret.map_err(|error| Error::PullSecret {
                    account: account.clone(),
                    error: Box::new(error),
                })?,
            );
        }
        Ok(secrets)
    }

    /// The data of a Secret that was read already.
    pub fn new(key: Key, secret: CoreSecret) -> Self {
        let data = secret.data.unwrap_or_default();
        let data = data.into_iter().map(|(key, value)| (key, value.0));
        Self { key, data: data.collect() }
    }

    /// Namespace and name.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// All keys and values.
    pub fn data(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.data
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }

    /// The value of a key as text.
    pub fn text(&self, key: &'static str) -> Result<Option<String>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match std::str::from_utf8(value) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(self.invalid(format!("key '{key}' is not valid UTF-8"))),
        }
    }

    /// Everything the Secret offers for authentication. Half of something is an error, but for TLS.
    pub fn auth_methods(&self) -> Result<AuthMethods, Error> {
        let optional = |error: Error| match error {
            Error::KeyNotFound { .. } => Ok(()),
            error => Err(error),
        };
        let ssh = match self.ssh() {
            Ok(ssh) => Some(ssh),
            Err(error) => {
                optional(error)?;
                None
            }
        };
        Ok(AuthMethods {
            basic: self.basic_auth()?,
            bearer: self.bearer_token()?,
            token: self.token()?,
            ssh,
            github_app: self.github_app()?,
            tls: self.tls().ok(),
        })
    }

    /// `username` and `password`; `None` without either.
    pub fn basic_auth(&self) -> Result<Option<BasicAuth>, Error> {
        let half = |present, missing| Error::HalfBasicAuth { secret: self.key.clone(), present, missing };
        match (self.text("username")?, self.text("password")?) {
            (Some(username), Some(password)) => Ok(Some(BasicAuth { username, password: Hidden(password) })),
            (Some(_), None) => Err(half("username", "password")),
            (None, Some(_)) => Err(half("password", "username")),
            (None, None) => Ok(None),
        }
    }

    /// `bearerToken`.
    pub fn bearer_token(&self) -> Result<Option<Hidden<String>>, Error> {
        Ok(self.text("bearerToken")?.map(Hidden))
    }

    /// `token`.
    pub fn token(&self) -> Result<Option<Hidden<String>>, Error> {
        Ok(self.text("token")?.map(Hidden))
    }

    /// `identity` and `known_hosts`, both required, with `identity.pub` and `password` if there.
    pub fn ssh(&self) -> Result<SshAuth, Error> {
        let identity = self.require("identity")?.to_vec();
        self.require("known_hosts")?;
        Ok(SshAuth {
            identity: Hidden(identity),
            public_key: self.value("identity.pub").map(<[u8]>::to_vec),
            known_hosts: self.text("known_hosts")?.unwrap_or_default(),
            passphrase: self.text("password")?.map(Hidden),
        })
    }

    /// `ca.crt`, `tls.crt` and `tls.key`, or their old names `caFile`, `certFile` and `keyFile`.
    pub fn tls(&self) -> Result<Tls, Error> {
        let ca = self.with_legacy("ca.crt", "caFile");
        let certificate = self.with_legacy("tls.crt", "certFile");
        let key = self.with_legacy("tls.key", "keyFile");
        let half = |present, missing| Error::HalfCertificate { secret: self.key.clone(), present, missing };
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(ClientCertificate { certificate: certificate.to_vec(), key: Hidden(key.to_vec()) })
            }
            (Some(_), None) => return Err(half("tls.crt", "tls.key")),
            (None, Some(_)) => return Err(half("tls.key", "tls.crt")),
            (None, None) if ca.is_none() => return Err(Error::NoTls(self.key.clone())),
            (None, None) => None,
        };
        Ok(Tls { ca: ca.map(<[u8]>::to_vec), identity })
    }

    /// `address` of a proxy, with `username` and `password` put into it.
    pub fn proxy(&self) -> Result<Hidden<url::Url>, Error> {
        self.require("address")?;
        let address = self.text("address")?.unwrap_or_default();
        if address.is_empty() {
            return Err(self.invalid("proxy address is empty".to_owned()));
        }
        if address.len() > PROXY_URL_LIMIT {
            return Err(
                self.invalid(format!("proxy URL exceeds maximum length of {PROXY_URL_LIMIT} characters"))
            );
        }
        let mut url = url::Url::parse(&address)
            .map_err(|error| self.invalid(format!("failed to parse proxy address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https" | "socks5") {
            return Err(self.invalid(format!(
                "proxy URL must use one of the supported schemes (http, https, socks5), got '{}'",
                url.scheme()
            )));
        }
        let no_credentials = || self.invalid("proxy address cannot have credentials".to_owned());
        if let Some(username) = self.text("username")? {
            url.set_username(&username).map_err(|()| no_credentials())?;
            let password = self.text("password")?;
            url.set_password(password.as_deref()).map_err(|()| no_credentials())?;
        }
        Ok(Hidden(url))
    }

    /// The credentials of a GitHub App; `None` without any of them.
    pub fn github_app(&self) -> Result<Option<GithubApp>, Error> {
        const KEYS: [&str; 4] =
            ["githubAppID", "githubAppInstallationOwner", "githubAppInstallationID", "githubAppPrivateKey"];
        if !KEYS.iter().any(|key| self.data.contains_key(*key)) {
            return Ok(None);
        }
        self.require("githubAppID")?;
        let private_key = self.require("githubAppPrivateKey")?.to_vec();
        let owner = self.text("githubAppInstallationOwner")?;
        let id = self.text("githubAppInstallationID")?;
        let installation = match (owner, id) {
            (Some(owner), None) => GithubInstallation::Owner(owner),
            (None, Some(id)) => GithubInstallation::Id(id),
            _ => return Err(Error::GithubInstallation(self.key.clone())),
        };
        Ok(Some(GithubApp {
            app_id: self.text("githubAppID")?.unwrap_or_default(),
            installation,
            private_key: Hidden(private_key),
            base_url: self.text("githubAppBaseURL")?,
        }))
    }

    /// The registries of a `kubernetes.io/dockerconfigjson` Secret.
    pub fn registry_auths(&self) -> Result<RegistryAuths, Error> {
        let config = self.require(".dockerconfigjson")?;
        RegistryAuths::parse(config).map_err(|reason| self.invalid(reason))
    }

    fn require(&self, key: &'static str) -> Result<&[u8], Error> {
        self.value(key).ok_or_else(|| Error::KeyNotFound { secret: self.key.clone(), key })
    }

    fn with_legacy(&self, key: &'static str, legacy: &'static str) -> Option<&[u8]> {
        let value = self.value(key).or_else(|| {
            let value = self.value(legacy)?;
            tracing::info!(
                secret = %self.key,
                key = legacy,
                preferred = key,
                "using legacy key in secret data"
            );
            Some(value)
        });
        value.filter(|value| !value.is_empty())
    }

    fn invalid(&self, reason: String) -> Error {
        Error::Invalid { secret: self.key.clone(), reason }
    }
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority's certificate.
    #[error("failed to parse CA certificate")]
    Ca,
    /// The client certificate or its key.
    #[error("failed to parse TLS certificate and key")]
    Identity,
}

impl Tls {
    /// Makes an HTTP client trust and present these certificates. The system's authorities stay
    /// trusted if `with_system_roots`.
    pub fn configure(
        &self,
        mut builder: reqwest::ClientBuilder,
        with_system_roots: bool,
    ) -> Result<reqwest::ClientBuilder, TlsError> {
        if let Some(ca) = &self.ca {
            let authorities = reqwest::Certificate::from_pem_bundle(ca).map_err(|_| TlsError::Ca)?;
            if authorities.is_empty() {
                return Err(TlsError::Ca);
            }
            builder = if with_system_roots {
                builder.tls_certs_merge(authorities)
            } else {
                builder.tls_certs_only(authorities)
            };
        }
        if let Some(identity) = &self.identity {
            let mut pem = identity.certificate.clone();
            pem.push(b'\n');
            pem.extend_from_slice(identity.key.expose());
            let identity = reqwest::Identity::from_pem(&pem).map_err(|_| TlsError::Identity)?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests;
