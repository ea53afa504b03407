//! Azure Key Vault.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fluxide_auth::azure::Azure;
use fluxide_auth::{AuthError, Environment, Token};
use serde_json::json;
use url::Url;

use crate::credentials::AzureCredentials;
use crate::{KmsError, Services, http};

const SERVICE: &str = "Azure Key Vault";
const OPERATION: &str = "decrypt_with_azure";
const API_VERSION: &str = "7.4";
const ALGORITHM: &str = "RSA-OAEP-256";

/// The domains of vaults, and of the managed HSMs of each cloud.
const DOMAINS: [&str; 7] = [
    "vault.azure.net",
    "vault.azure.cn",
    "vault.usgovcloudapi.net",
    "vault.microsoftazure.de",
    "managedhsm.azure.net",
    "managedhsm.azure.cn",
    "managedhsm.usgovcloudapi.net",
];

/// Opens a data key with a key of a vault.
pub async fn decrypt(
    services: &mut Services,
    vault_url: &str,
    name: &str,
    version: &str,
    encrypted: &str,
) -> Result<Vec<u8>, KmsError> {
    let ciphertext =
        BASE64_URL_SAFE_NO_PAD.decode(encrypted.trim()).map_err(|_| KmsError::Encoding("base64url"))?;
    let endpoint = services.settings.endpoints.azure.clone();
    let (url, domain) = key_url(vault_url, name, version, endpoint.is_some())?;
    let scope = format!("https://{domain}/.default");
    let client = services.client()?;
    let azure = |environment: Environment| {
        let azure = Azure::new(environment);
        match &endpoint {
            Some(endpoint) => azure.with_metadata(endpoint.clone()),
            None => azure,
        }
    };
    let token = match &services.settings.credentials.azure {
        Some(credentials) => of_credentials(&azure, &client, credentials, &scope).await?,
        None => {
            let azure = azure(services.settings.environment.clone());
            let make = || async {
                let account = services.account().await?;
                azure.token(&client, account.as_ref(), &scope).await
            };
            services.token(OPERATION, &scope, make).await?
        }
    };
    let value = BASE64_URL_SAFE_NO_PAD.encode(ciphertext);
    let request =
        client.post(url).bearer_auth(&token.secret).json(&json!({"alg": ALGORITHM, "value": value}));
    let refused = |source| {
        let key = format!("{}/keys/{name}/{version}", vault_url.trim_end_matches('/'));
        KmsError::Refused { with: format!("with Azure Key Vault key '{key}'"), source }
    };
    let answer = http::send(SERVICE, request).await.map_err(refused)?;
    let plain = answer["value"].as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    plain.ok_or_else(|| refused(http::incomplete(SERVICE, "value")))
}

async fn of_credentials(
    azure: impl Fn(Environment) -> Azure,
    client: &reqwest::Client,
    credentials: &AzureCredentials,
    scope: &str,
) -> Result<Token, AuthError> {
    let authority = |host: &Option<String>| host.clone().unwrap_or_default();
    match credentials {
        AzureCredentials::Secret { tenant, client_id, secret, authority_host } => {
            let environment = Environment::of(&[
                ("AZURE_TENANT_ID", tenant),
                ("AZURE_CLIENT_ID", client_id),
                ("AZURE_CLIENT_SECRET", secret),
                ("AZURE_AUTHORITY_HOST", &authority(authority_host)),
            ]);
            azure(environment).token(client, None, scope).await
        }
        AzureCredentials::Certificate { tenant, client_id, certificate, authority_host } => {
            let environment = Environment::of(&[("AZURE_AUTHORITY_HOST", &authority(authority_host))]);
            azure(environment)
                .token_by_certificate(client, tenant, client_id, certificate.as_bytes(), scope)
                .await
        }
        AzureCredentials::ManagedIdentity { client_id } => {
            azure(Environment::of(&[("AZURE_CLIENT_ID", client_id)])).token(client, None, scope).await
        }
    }
}

/// Where a key is decrypted with, and the domain of its vault: a token is for that domain alone.
fn key_url(
    vault_url: &str,
    name: &str,
    version: &str,
    anywhere: bool,
) -> Result<(Url, &'static str), KmsError> {
    let invalid = |reason: &str| KmsError::Key {
        field: "vault_url",
        value: vault_url.to_owned(),
        reason: reason.to_owned(),
    };
    let mut url = Url::parse(vault_url).map_err(|error| invalid(&format!("is no URL: {error}")))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let is_below = |domain: &&&str| {
        host.strip_suffix(**domain)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|vault| !vault.is_empty())
    };
    let domain = match DOMAINS.iter().find(is_below) {
        Some(domain) if url.scheme() == "https" && url.port().is_none() => domain,
        _ if anywhere => DOMAINS[0],
        _ => return Err(invalid("is not the https:// address of an Azure Key Vault")),
    };
    for (field, value) in [("name", name), ("version", version)] {
        let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain || value.is_empty() && field == "name" {
            let reason = "is not what keys of Azure Key Vault have".to_owned();
            return Err(KmsError::Key { field, value: value.to_owned(), reason });
        }
    }
    let version = if version.is_empty() { String::new() } else { format!("/{version}") };
    url.set_path(&format!("/keys/{name}{version}/decrypt"));
    url.set_query(Some(&format!("api-version={API_VERSION}")));
    Ok((url, domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_vaults_of_azure() {
        let url =
            |vault: &str| key_url(vault, "sops", "abc", false).map(|(url, domain)| (url.to_string(), domain));
        assert_eq!(
            url("https://team.vault.azure.net/").unwrap(),
            (
                "https://team.vault.azure.net/keys/sops/abc/decrypt?api-version=7.4".to_owned(),
                "vault.azure.net"
            )
        );
        assert_eq!(url("https://t.vault.usgovcloudapi.net").unwrap().1, "vault.usgovcloudapi.net");
        for other in [
            "http://team.vault.azure.net",
            "https://vault.azure.net",
            "https://vault.azure.net.evil.test",
            "https://evilvault.azure.net",
            "https://team.vault.azure.net:8443",
            "https://10.0.0.1",
        ] {
            assert!(url(other).is_err(), "{other}");
        }
        assert!(key_url("https://team.vault.azure.net", "../secrets/x", "1", false).is_err());
        assert!(key_url("https://team.vault.azure.net", "x", "1?y", false).is_err());
    }
}
