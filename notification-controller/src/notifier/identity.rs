//! Tokens of cloud identities: what the pod, or a ServiceAccount, may do at Azure and Google.

use std::path::Path;

use fluxide_runtime::Key;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::http::{self, Http, Request};
use super::settings::Settings;
use super::token_cache::Token;
use super::{Connections, jwt};

/// What Azure wants a ServiceAccount's token to be for.
const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";
const AZURE_METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const GOOGLE_METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/pubsub";
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A request failed.
    #[error("failed to get token: {0}")]
    Request(#[from] http::Error),
    /// Something is missing.
    #[error("failed to get token: {0}")]
    Missing(String),
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// A number, which Azure's metadata service writes as text.
    expires_in: Value,
}

impl Granted {
    fn token(self) -> Token {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_i64().unwrap_or(0),
            Value::String(text) => text.parse().unwrap_or(0),
            _ => 0,
        };
        let expires = Timestamp::now() + SignedDuration::from_secs(seconds.clamp(0, 86_400));
        Token { secret: self.access_token, expires, login: String::new() }
    }
}

/// A token of Entra for a scope: of the provider's ServiceAccount, or of this pod.
pub(super) async fn azure(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    scope: &str,
) -> Result<String, Error> {
    let provider = Key::new(settings.namespace.clone(), settings.name.clone());
    let account = &settings.service_account;
    let namespace = if account.is_empty() { "" } else { &settings.namespace };
    let parts: [&[u8]; 4] = [b"azure", namespace.as_bytes(), account.as_bytes(), scope.as_bytes()];
    let token = connections.tokens.get(&provider, &parts, async {
        if !account.is_empty() {
            let annotations = annotations(connections, settings).await?;
            let annotation = |key: &str| {
                annotations.get(key).cloned().ok_or_else(|| {
                    Error::Missing(format!("the ServiceAccount '{account}' lacks the annotation '{key}'"))
                })
            };
            let client_id = annotation("azure.workload.identity/client-id")?;
            let tenant = annotation("azure.workload.identity/tenant-id")?;
            let assertion = account_token(connections, settings, AZURE_AUDIENCE).await?;
            return entra(http, &tenant, &client_id, &assertion, scope).await;
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let (Some(file), Some(client_id), Some(tenant)) =
            (variable("AZURE_FEDERATED_TOKEN_FILE"), variable("AZURE_CLIENT_ID"), variable("AZURE_TENANT_ID"))
        {
            let assertion = tokio::fs::read_to_string(Path::new(&file)).await.map_err(|error| {
                Error::Missing(format!("cannot read AZURE_FEDERATED_TOKEN_FILE: {error}"))
            })?;
            return entra(http, &tenant, &client_id, assertion.trim(), scope).await;
        }
        managed_identity(settings, scope).await
    });
    Ok(token.await?.secret)
}

async fn entra(
    http: &Http,
    tenant: &str,
    client_id: &str,
    assertion: &str,
    scope: &str,
) -> Result<Token, Error> {
    let authority = std::env::var("AZURE_AUTHORITY_HOST").ok().filter(|host| !host.is_empty());
    let authority = authority.unwrap_or_else(|| "https://login.microsoftonline.com/".to_owned());
    let base =
        Url::parse(&authority).map_err(|_| Error::Missing("AZURE_AUTHORITY_HOST is no URL".to_owned()))?;
    let url = super::git::with_segments(&base, [tenant, "oauth2", "v2.0", "token"]);
    let request = form(
        url,
        &[
            ("client_id", client_id),
            ("scope", scope),
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ],
    );
    let granted: Granted = http.expect(&request).await?.json()?;
    Ok(granted.token())
}

async fn managed_identity(settings: &Settings, scope: &str) -> Result<Token, Error> {
    let mut url = Url::parse(AZURE_METADATA).map_err(|error| Error::Missing(error.to_string()))?;
    let resource = scope.trim_end_matches("/.default");
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", resource);
    let request = Request::new(Method::GET, url).header("Metadata", "true")?;
    let granted: Granted = platform(settings)?.expect(&request).await?.json()?;
    Ok(granted.token())
}

/// A token of Google: of the key in the Secret, or of this pod.
pub(super) async fn google(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
) -> Result<String, Error> {
    let provider = Key::new(settings.namespace.clone(), settings.name.clone());
    let parts: [&[u8]; 2] = [b"google", settings.token.as_bytes()];
    let token = connections.tokens.get(&provider, &parts, async {
        if !settings.service_account.is_empty() {
            return Err(Error::Missing(
                "identities of ServiceAccounts are not supported for Google Pub/Sub; put a key into the secret"
                    .to_owned(),
            ));
        }
        if settings.token.is_empty() {
            let url = Url::parse(GOOGLE_METADATA).map_err(|error| Error::Missing(error.to_string()))?;
            let request = Request::new(Method::GET, url).header("Metadata-Flavor", "Google")?;
            let granted: Granted = platform(settings)?.expect(&request).await?.json()?;
            return Ok(granted.token());
        }
        service_account_key(http, settings).await
    });
    Ok(token.await?.secret)
}

async fn service_account_key(http: &Http, settings: &Settings) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Key {
        client_email: String,
        private_key: String,
        #[serde(default)]
        private_key_id: Option<String>,
        #[serde(default)]
        token_uri: Option<String>,
    }
    let wrong = |reason: &str| Error::Missing(format!("the key 'token' of the secret: {reason}"));
    let key: Key = serde_json::from_str(&settings.token)
        .map_err(|_| wrong("it is no key of a Google service account in JSON"))?;
    let address = key.token_uri.as_deref().unwrap_or(GOOGLE_TOKENS);
    let url = Url::parse(address).map_err(|_| wrong("'token_uri' is no URL"))?;
    let now = Timestamp::now().as_second();
    let claims = serde_json::json!({
        "iss": key.client_email, "scope": GOOGLE_SCOPE, "aud": address, "iat": now, "exp": now + 3600,
    });
    let assertion =
        jwt::sign(&claims, key.private_key.as_bytes(), key.private_key_id.as_deref()).map_err(wrong)?;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let request = form(url, &[("grant_type", grant), ("assertion", &assertion)]);
    let granted: Granted = http.expect(&request).await?.json()?;
    Ok(granted.token())
}

/// Sends to the platform's own addresses, which no policy for those of tenants applies to.
fn platform(settings: &Settings) -> Result<Http, http::Error> {
    let direct = Settings { tls: None, proxy: None, ..settings.clone() };
    http::Clients::new(super::policy::AddressPolicy::default()).for_settings(&direct)
}

fn form(url: Url, pairs: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.body =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

async fn annotations(
    connections: &Connections,
    settings: &Settings,
) -> Result<std::collections::BTreeMap<String, String>, Error> {
    let account = accounts(connections, settings)?.get(&settings.service_account).await;
    let account = account.map_err(|error| Error::Missing(fluxide_runtime::client::message(&error)))?;
    Ok(account.metadata.annotations.unwrap_or_default())
}

/// A token of the provider's ServiceAccount for an audience.
async fn account_token(
    connections: &Connections,
    settings: &Settings,
    audience: &str,
) -> Result<String, Error> {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let created = accounts(connections, settings)?
        .create_token_request(&settings.service_account, &PostParams::default(), &request)
        .await
        .map_err(|error| Error::Missing(fluxide_runtime::client::message(&error)))?;
    created
        .status
        .and_then(|status| status.token)
        .ok_or_else(|| Error::Missing("the API server gave no token".to_owned()))
}

fn accounts(connections: &Connections, settings: &Settings) -> Result<Api<ServiceAccount>, Error> {
    let client = connections.cluster.clone();
    let client = client.ok_or_else(|| Error::Missing("there is no cluster to ask".to_owned()))?;
    Ok(Api::namespaced(client, &settings.namespace))
}
