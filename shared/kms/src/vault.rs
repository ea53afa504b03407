//! The transit engine of Vault and OpenBao.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fluxide_auth::service_account::{Account, TOKEN_FILE, subject};
use fluxide_auth::{AuthError, Environment};
use fluxide_goyaml::sigs;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use reqwest::{Certificate, Client, Identity, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::address::{AllowedVaults, resolve};
use crate::{KmsError, Services, http};

const SERVICE: &str = "Vault";

/// The key of the ConfigMap that says how to log in.
const CONFIG_KEY: &str = "config.yaml";

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A ConfigMap that says how ServiceAccounts log in to Vault servers.
#[derive(Clone)]
pub struct Logins {
    /// Who reads it, and makes tokens.
    pub client: kube::Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Opens a data key with a transit key.
pub async fn decrypt(
    services: &mut Services,
    address: &str,
    engine_path: &str,
    key_name: &str,
    encrypted: &str,
) -> Result<Vec<u8>, KmsError> {
    let environment = services.settings.environment.clone();
    let allowed = AllowedVaults::of(&environment)?;
    let invalid = |reason: &str| KmsError::Key {
        field: "vault_address",
        value: address.to_owned(),
        reason: reason.to_owned(),
    };
    if !allowed.allows(address) {
        return Err(invalid("is not in SOPS_HC_VAULT_ALLOWLIST"));
    }
    let url = Url::parse(address).map_err(|error| invalid(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("must start with https:// or http://"));
    }
    let is_named = allowed.names(address) || is_same(environment.get("VAULT_ADDR").as_deref(), &url);
    let trusts = services.settings.trusts_addresses;
    let addresses = resolve(&url, is_named || trusts).await?;
    let mut builder = client_builder(&environment)?;
    if let Some(host) = url.host_str() {
        // What was checked is what is asked.
        builder = builder.resolve_to_addrs(host, &addresses);
    }
    let client = builder.build().map_err(|error| {
        AuthError::Settings(format!("cannot use the VAULT_ settings: {}", error.without_url()))
    })?;

    let token = match &services.settings.credentials.vault_token {
        Some(token) => token.clone(),
        None => match services.settings.vault_logins.clone() {
            Some(logins) => login(services, &client, &logins, address, &url).await?,
            None => own_token(&environment, address, is_named || trusts)?,
        },
    };
    let path = path(engine_path, "decrypt", key_name)?;
    let request = client.put(below(&url, &path)).json(&json!({"ciphertext": encrypted}));
    let refused = |source| KmsError::Refused {
        with: format!("from Vault transit backend '{}'", path.join("/")),
        source,
    };
    let answer = send(&environment, request, Some(&token)).await.map_err(refused)?;
    let plain = answer["data"]["plaintext"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    plain.ok_or_else(|| refused(http::incomplete(SERVICE, "plaintext")))
}

/// The token of the process. It is for servers that the process was told of, and for nobody whom a file names.
fn own_token(environment: &Environment, address: &str, is_named: bool) -> Result<String, KmsError> {
    let from_file = || {
        let home = environment.get("HOME")?;
        let token = std::fs::read_to_string(PathBuf::from(home).join(".vault-token")).ok()?;
        Some(token.trim().to_owned()).filter(|token| !token.is_empty())
    };
    let token = environment.get("VAULT_TOKEN").or_else(from_file).ok_or_else(|| {
        AuthError::NoIdentity(
            "there is no Vault token: put one into the key 'sops.vault-token' of the decryption Secret"
                .to_owned(),
        )
    })?;
    if !is_named {
        return Err(KmsError::Key {
            field: "vault_address",
            value: address.to_owned(),
            reason: "is neither VAULT_ADDR nor in SOPS_HC_VAULT_ALLOWLIST, so it does not get the token of the controller"
                .to_owned(),
        });
    }
    Ok(token)
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    address: String,
    login_path: String,
}

/// Logs in as a ServiceAccount. A token is for one server, and kept as long as these services are.
async fn login(
    services: &mut Services,
    client: &Client,
    logins: &Logins,
    address: &str,
    url: &Url,
) -> Result<String, KmsError> {
    if let Some(token) = services.vaults.get(address) {
        return Ok(token.clone());
    }
    let config_map = format!("{}/{}", logins.namespace, logins.name);
    let wrong = |reason: String| {
        KmsError::VaultLogin(format!("cannot use the Vault ConfigMap '{config_map}': {reason}"))
    };
    let api = Api::<ConfigMap>::namespaced(logins.client.clone(), &logins.namespace);
    let found = api.get(&logins.name).await.map_err(|error| wrong(error.to_string()))?;
    let text = found.data.unwrap_or_default().remove(CONFIG_KEY);
    let text = text.ok_or_else(|| wrong(format!("it has no key '{CONFIG_KEY}'")))?;
    let value = sigs::from_yaml(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let config: Config =
        serde_json::from_value(Value::from(value)).map_err(|error| wrong(error.to_string()))?;
    let instance = config.instances.into_iter().find(|instance| instance.address == address);
    let instance = instance.ok_or_else(|| {
        KmsError::VaultLogin(format!(
            "no Vault login path configured for address '{address}' in ConfigMap '{config_map}'"
        ))
    })?;
    let account = match services.account().await? {
        Some(account) => account,
        None => own_account(&logins.client).await?,
    };
    let jwt = account.token(address).await?;
    let (namespace, name) = subject(&jwt).ok_or_else(|| {
        AuthError::NoIdentity("the API server made a token whose subject is no service account".to_owned())
    })?;
    let segments: Vec<String> = instance.login_path.trim_matches('/').split('/').map(str::to_owned).collect();
    let request =
        client.put(below(url, &segments)).json(&json!({"role": format!("{namespace}_{name}"), "jwt": jwt}));
    let answer = send(&services.settings.environment, request, None).await.map_err(|source| {
        KmsError::VaultLogin(format!(
            "failed to log in to Vault '{address}' as '{namespace}/{name}': {source}"
        ))
    })?;
    let token = answer["auth"]["client_token"].as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| http::incomplete(SERVICE, "client_token"))?.to_owned();
    services.vaults.insert(address.to_owned(), token.clone());
    Ok(token)
}

/// The ServiceAccount of this pod.
async fn own_account(client: &kube::Client) -> Result<Account, AuthError> {
    let token = tokio::fs::read_to_string(TOKEN_FILE).await.map_err(|error| {
        AuthError::NoIdentity(format!(
            "the process has no service account: cannot read {TOKEN_FILE}: {error}"
        ))
    })?;
    let (namespace, name) = subject(&token).ok_or_else(|| {
        AuthError::NoIdentity(format!("the subject of the token in {TOKEN_FILE} is no service account"))
    })?;
    Account::get(client, &namespace, &name).await
}

async fn send(
    environment: &Environment,
    mut request: RequestBuilder,
    token: Option<&str>,
) -> Result<Value, AuthError> {
    request = request.header("X-Vault-Request", "true");
    if let Some(namespace) = environment.get("VAULT_NAMESPACE") {
        request = request.header("X-Vault-Namespace", namespace);
    }
    if let Some(token) = token {
        request = request.header("X-Vault-Token", token);
    }
    http::send(SERVICE, request).await
}

/// A client with the TLS settings that Vault's own tools read.
fn client_builder(environment: &Environment) -> Result<reqwest::ClientBuilder, KmsError> {
    let wrong = |what: &str, reason: String| AuthError::Settings(format!("cannot use {what}: {reason}"));
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("fluxide/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .timeout(TIMEOUT);
    let bundle = match environment.get("VAULT_CACERT_BYTES") {
        Some(bundle) => Some(bundle),
        None => environment.file("VAULT_CACERT")?,
    };
    if let Some(bundle) = bundle {
        let certificates = Certificate::from_pem_bundle(bundle.as_bytes())
            .map_err(|error| wrong("VAULT_CACERT", error.to_string()))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let (Some(certificate), Some(key)) =
        (environment.file("VAULT_CLIENT_CERT")?, environment.file("VAULT_CLIENT_KEY")?)
    {
        let identity = Identity::from_pem(format!("{certificate}\n{key}").as_bytes())
            .map_err(|_| wrong("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY", "they are not PEM".to_owned()))?;
        builder = builder.identity(identity);
    }
    if environment
        .get("VAULT_SKIP_VERIFY")
        .is_some_and(|value| matches!(&*value, "1" | "t" | "T" | "true" | "True" | "TRUE"))
    {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

fn is_same(configured: Option<&str>, url: &Url) -> bool {
    configured.and_then(|configured| Url::parse(configured).ok()).is_some_and(|configured| {
        configured.scheme() == url.scheme()
            && configured.host() == url.host()
            && configured.port_or_known_default() == url.port_or_known_default()
    })
}

/// The segments of a path below `/v1`. None of them leads elsewhere.
fn path(engine_path: &str, verb: &str, key_name: &str) -> Result<Vec<String>, KmsError> {
    let mut segments: Vec<String> = Vec::new();
    let parts = [("engine_path", engine_path.trim_matches('/')), ("", verb), ("key_name", key_name)];
    for (field, text) in parts {
        for segment in text.split('/') {
            let is_wrong = matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
            if is_wrong || field == "key_name" && text.contains('/') {
                let reason = "is not part of a path in Vault".to_owned();
                return Err(KmsError::Key { field, value: text.to_owned(), reason });
            }
            segments.push(segment.to_owned());
        }
    }
    Ok(segments)
}

/// A URL below `/v1` of a server.
fn below(url: &Url, segments: &[String]) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("v1").extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_engine() {
        let url = Url::parse("https://vault.test:8200/").unwrap();
        let full =
            |engine: &str, key: &str| path(engine, "decrypt", key).map(|path| below(&url, &path).to_string());
        assert_eq!(full("transit", "sops").unwrap(), "https://vault.test:8200/v1/transit/decrypt/sops");
        assert_eq!(full("/a/b/", "k").unwrap(), "https://vault.test:8200/v1/a/b/decrypt/k");
        assert_eq!(full("t?x", "k#y").unwrap(), "https://vault.test:8200/v1/t%3Fx/decrypt/k%23y");
        for (engine, key) in [("..", "k"), ("a/../b", "k"), ("a", "../x"), ("a", "x/y"), ("", "k"), ("a", "")]
        {
            assert!(full(engine, key).is_err(), "{engine} {key}");
        }
    }

    #[test]
    fn the_token_of_the_process_is_for_servers_it_knows() {
        let environment = Environment::of(&[("VAULT_TOKEN", "hidden")]);
        assert_eq!(own_token(&environment, "https://vault.test", true).unwrap(), "hidden");
        let error = own_token(&environment, "https://vault.test", false).unwrap_err().to_string();
        assert!(error.contains("does not get the token") && !error.contains("hidden"), "{error}");
        assert!(own_token(&Environment::of(&[]), "https://vault.test", true).is_err());
    }
}
