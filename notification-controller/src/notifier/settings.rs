//! The settings of a provider: its spec and Secrets brought together, in Flux's order of precedence.

use std::collections::BTreeMap;
use std::time::Duration;

use fluxide_notification_api::{Provider, ProviderType};
use fluxide_runtime::secrets::{self, GithubApp, Secret, Tls};
use kube::{Client, ResourceExt};
use url::Url;

use super::git;
use super::redact::Redactor;

/// The limit of a delivery when the provider has none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest address, in bytes.
const ADDRESS_LIMIT: usize = 2048;

/// Everything that sending to a provider needs. It holds credentials, so it has no `Debug`.
#[derive(Clone)]
pub struct Settings {
    /// The type of the provider.
    pub provider_type: ProviderType,
    /// Namespace of the provider.
    pub namespace: String,
    /// Name of the provider.
    pub name: String,
    /// UID of the provider.
    pub uid: String,
    /// Where to send.
    pub address: String,
    /// The channel; each type has its own meaning for it.
    pub channel: String,
    /// Name to post under, or to log in with.
    pub username: String,
    /// Password for logging in.
    pub password: String,
    /// Token, as it is in the Secret.
    pub token: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// All keys of the Secret.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Credentials of a GitHub App.
    pub github_app: Option<GithubApp>,
    /// Certificates for TLS.
    pub tls: Option<Tls>,
    /// The proxy to use.
    pub proxy: Option<Url>,
    /// Limit for one delivery with all its attempts.
    pub timeout: Duration,
    /// The ServiceAccount whose identity to use.
    pub service_account: String,
}

/// Why the settings of a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Secret cannot be read or lacks something.
    #[error("{message}")]
    Secret {
        /// What is wrong.
        message: String,
        /// Whether it may work later without any change.
        transient: bool,
    },
    /// Something is wrong with a value.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// Whether it may work later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Secret { transient: true, .. })
    }
}

impl Settings {
    /// What the spec alone says.
    pub fn of_spec(provider: &Provider) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let spec = &provider.spec;
        let timeout = spec.timeout.as_ref().and_then(|timeout| timeout.to_std().ok());
        Self {
            provider_type: spec.provider_type.clone(),
            namespace: provider.namespace().unwrap_or_default(),
            name: provider.name_any(),
            uid: provider.uid().unwrap_or_default(),
            address: text(&spec.address),
            channel: text(&spec.channel),
            username: text(&spec.username),
            password: String::new(),
            token: String::new(),
            headers: BTreeMap::new(),
            data: BTreeMap::new(),
            github_app: None,
            tls: None,
            proxy: None,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            service_account: text(&spec.service_account_name),
        }
    }

    /// Reads the Secrets a provider refers to and brings everything together.
    pub async fn resolve(provider: &Provider, client: &Client) -> Result<Self, Error> {
        let mut settings = Self::of_spec(provider);
        let spec = &provider.spec;
        let namespace = settings.namespace.clone();
        if let Some(proxy) = spec.proxy.as_deref().filter(|proxy| !proxy.is_empty()) {
            tracing::info!(
                provider = %format_args!("{namespace}/{}", settings.name),
                "warning: specifying the proxy with '.spec.proxy' is deprecated, use '.spec.proxySecretRef' instead"
            );
            settings.proxy = Some(proxy_url(proxy)?);
        }
        let secret = match &spec.secret_ref {
            Some(reference) => {
                let secret = read(client, &namespace, &reference.name).await?;
                settings.take(&secret)?;
                Some(secret)
            }
            None => None,
        };
        if let Some(reference) = &spec.proxy_secret_ref {
            let secret = read(client, &namespace, &reference.name).await?;
            let proxy = secret.proxy().map_err(|error| Error::Secret {
                message: format!("failed to get proxy URL: {error}"),
                transient: false,
            })?;
            settings.proxy = Some(proxy.expose().clone());
        }
        let tls_error = |error: secrets::Error| Error::Secret {
            message: format!("failed to get TLS config: {error}"),
            transient: false,
        };
        if let Some(reference) = &spec.cert_secret_ref {
            let secret = read(client, &namespace, &reference.name).await?;
            settings.tls = Some(secret.tls().map_err(tls_error)?);
        } else if let Some(secret) = secret.filter(|_| git::is_commit_status(&settings.provider_type)) {
            match secret.tls() {
                Ok(tls) => settings.tls = Some(tls),
                Err(secrets::Error::NoTls(_)) => {}
                Err(error) => return Err(tls_error(error)),
            }
        }
        Ok(settings)
    }

    /// Takes over what a provider's Secret says. Of credentials that come in pairs, a half is used
    /// for what it is; what cannot be used at all is reported.
    pub fn take(&mut self, secret: &Secret) -> Result<(), Error> {
        let key = secret.key().clone();
        let text = |name: &'static str| {
            secret
                .text(name)
                .map_err(|error| Error::Invalid(error.to_string()))
                .map(Option::unwrap_or_default)
        };
        if secret.value("address").is_some() {
            text("address")?.trim().clone_into(&mut self.address);
            if self.address.len() > ADDRESS_LIMIT {
                return Err(Error::Invalid(format!(
                    "secret '{key}': the address exceeds the maximum length of {ADDRESS_LIMIT} bytes"
                )));
            }
        }
        let proxy = text("proxy")?;
        if !proxy.trim().is_empty() {
            self.proxy = Some(proxy_url(proxy.trim())?);
        }
        if let Some(headers) = secret.value("headers") {
            let headers: Option<BTreeMap<String, String>> = serde_yaml::from_slice(headers).map_err(|_| {
                Error::Invalid(format!(
                    "failed to read headers from secret '{key}': the key 'headers' must be a YAML map of strings"
                ))
            })?;
            self.headers = headers.unwrap_or_default();
        }
        self.token = text("token")?;
        let username = text("username")?;
        self.password = text("password")?;
        if !username.is_empty() && secret.value("password").is_some() {
            self.username = username;
        } else if !username.is_empty() {
            tracing::info!(secret = %key, "the key 'username' has no effect without the key 'password'");
        }
        self.github_app = secret.github_app().map_err(|error| Error::Invalid(error.to_string()))?;
        self.data = secret.data().clone();
        Ok(())
    }

    /// The token without the line break at its end that files tend to have.
    pub fn header_token(&self) -> &str {
        self.token.trim_end_matches(['\r', '\n'])
    }

    /// The token, or the password where that may stand for it.
    pub fn token_or_password(&self) -> &str {
        if self.token.is_empty() { &self.password } else { self.header_token() }
    }

    /// What must not be seen outside: everything in the Secret, and an address from it.
    pub fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.hide(&self.token);
        redactor.hide(&self.password);
        self.headers.values().for_each(|value| redactor.hide(value));
        for (key, value) in &self.data {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            match key.as_str() {
                "username"
                | "githubAppID"
                | "githubAppInstallationID"
                | "githubAppInstallationOwner"
                | "githubAppBaseURL"
                | "headers"
                | "ca.crt"
                | "caFile"
                | "tls.crt"
                | "certFile" => {}
                "address" | "proxy" => redactor.hide_address(value.trim()),
                _ => redactor.hide(value),
            }
        }
        if let Some(password) = self.proxy.as_ref().and_then(Url::password) {
            redactor.hide(password);
        }
        redactor
    }
}

async fn read(client: &Client, namespace: &str, name: &str) -> Result<Secret, Error> {
    Secret::get(client, namespace, name).await.map_err(|error| match error {
        secrets::Error::NotFound(key) => Error::Secret {
            message: format!("failed to get secret '{key}': secrets \"{name}\" not found"),
            transient: false,
        },
        error => Error::Secret { message: error.to_string(), transient: true },
    })
}

fn proxy_url(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| Error::Invalid(format!("unable to parse proxy URL: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxide_runtime::Key;
    use serde_json::json;

    fn provider(spec: serde_json::Value) -> Provider {
        serde_json::from_value(json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
            "metadata": {"name": "p", "namespace": "n", "uid": "0c9c2e41-5f0a"}, "spec": spec,
        }))
        .unwrap()
    }

    fn secret(data: serde_json::Value) -> Secret {
        let secret = serde_json::from_value(json!({"metadata": {"name": "s"}})).unwrap();
        let mut secret: k8s_openapi::api::core::v1::Secret = secret;
        let data = data.as_object().unwrap().iter();
        let bytes =
            |value: &serde_json::Value| k8s_openapi::ByteString(value.as_str().unwrap().as_bytes().to_vec());
        secret.data = Some(data.map(|(key, value)| (key.clone(), bytes(value))).collect());
        Secret::new(Key::new("n", "s"), secret)
    }

    fn taken(data: serde_json::Value) -> Result<Settings, Error> {
        let mut settings = Settings::of_spec(&provider(
            json!({"type": "generic", "address": "http://spec", "username": "spec-user"}),
        ));
        settings.take(&secret(data)).map(|()| settings)
    }

    #[test]
    fn the_secret_goes_before_the_spec() {
        let settings =
            taken(json!({"address": " http://secret/x\n", "username": "u", "password": "p"})).unwrap();
        assert_eq!((settings.address.as_str(), settings.username.as_str()), ("http://secret/x", "u"));
        let half = taken(json!({"token": "t\n", "username": "u"})).unwrap();
        assert_eq!((half.username.as_str(), half.header_token()), ("spec-user", "t"));
        let password = taken(json!({"password": "p"})).unwrap();
        assert_eq!(password.token_or_password(), "p");
    }

    #[test]
    fn headers_are_a_map_of_strings_and_addresses_have_a_limit() {
        let error = taken(json!({"headers": "A: [1]"})).err().unwrap().to_string();
        assert!(error.starts_with("failed to read headers from secret 'n/s'"), "{error}");
        assert_eq!(taken(json!({"headers": "A: b\n"})).unwrap().headers["A"], "b");
        assert!(taken(json!({"address": format!("http://{}", "x".repeat(2048))})).is_err());
    }

    #[test]
    fn nothing_of_the_secret_is_seen() {
        let settings = taken(json!({
            "token": "hunter2", "address": "http://hooks.test/services/T0/B0?x=y", "headers": "X: topsecret\n",
        }))
        .unwrap();
        let text = "POST http://hooks.test/services/T0/B0?x=y failed with hunter2 and topsecret";
        assert_eq!(
            settings.redactor().redact(text),
            "POST http://hooks.test***** failed with ***** and *****"
        );
    }
}
