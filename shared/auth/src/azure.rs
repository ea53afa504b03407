//! Azure: tokens of Entra ID for a workload.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use reqwest::Client;
use ring::rand::SystemRandom;
use ring::{digest, rand};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::service_account::Account;
use crate::{AuthError, Environment, Token, http, jwt};

/// What Azure DevOps wants tokens for.
pub const DEVOPS_SCOPE: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";

/// Whom ServiceAccount tokens are for.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

const TENANT_ID: &str = "azure.workload.identity/tenant-id";
const CLIENT_ID: &str = "azure.workload.identity/client-id";
const AUTHORITY: &str = "https://login.microsoftonline.com/";
const METADATA: &str = "http://169.254.169.254";

/// Where Azure's services are.
#[derive(Clone, Debug)]
pub struct Azure {
    environment: Environment,
    metadata: String,
}

impl Azure {
    /// As the environment says.
    pub fn new(environment: Environment) -> Self {
        Azure { environment, metadata: METADATA.to_owned() }
    }

    /// The same with another metadata service, for tests.
    pub fn with_metadata(self, address: impl Into<String>) -> Self {
        Azure { metadata: address.into(), ..self }
    }

    /// A token for a scope, of the account or else of the process: by its secret, its federated token or the machine's
    /// managed identity, the first that the environment speaks of.
    pub async fn token(
        &self,
        client: &Client,
        account: Option<&Account>,
        scope: &str,
    ) -> Result<Token, AuthError> {
        if let Some(account) = account {
            let (tenant, id) = (account.annotation(TENANT_ID)?, account.annotation(CLIENT_ID)?);
            let assertion = account.token(AUDIENCE).await?;
            return self.by_assertion(client, tenant, id, &assertion, scope).await;
        }
        let (tenant, id) = (self.environment.get("AZURE_TENANT_ID"), self.environment.get("AZURE_CLIENT_ID"));
        if let (Some(tenant), Some(id)) = (&tenant, &id) {
            if let Some(secret) = self.environment.get("AZURE_CLIENT_SECRET") {
                let form = [
                    ("client_id", id.as_str()),
                    ("scope", scope),
                    ("client_secret", &secret),
                    ("grant_type", "client_credentials"),
                ];
                return self.ask(client, tenant, &form).await;
            }
            if let Some(assertion) = self.environment.file("AZURE_FEDERATED_TOKEN_FILE")? {
                return self.by_assertion(client, tenant, id, &assertion, scope).await;
            }
        }
        let resource = scope.trim_end_matches("/.default");
        let mut query = vec![("api-version", "2018-02-01"), ("resource", resource)];
        query.extend(id.as_deref().map(|id| ("client_id", id)));
        let url = format!("{}/metadata/identity/oauth2/token", self.metadata);
        let request = client.get(url).header("Metadata", "true").query(&query);
        http::json::<TokenAnswer>("the Azure metadata service", request).await.map(Token::from)
    }

    /// A token for a scope, of an application that proves itself with a certificate and its RSA key, both in PEM.
    pub async fn token_by_certificate(
        &self,
        client: &Client,
        tenant: &str,
        id: &str,
        pem: &[u8],
        scope: &str,
    ) -> Result<Token, AuthError> {
        let unusable =
            |reason: &str| AuthError::Settings(format!("cannot use the client certificate: {reason}"));
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| unusable("it is not PEM"))?;
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        let chain = BASE64_STANDARD.encode(&certificate);
        let header = json!({"x5t": URL_SAFE_NO_PAD.encode(thumbprint), "x5c": [chain]});
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let random: [u8; 16] =
            rand::generate(&SystemRandom::new()).map_err(|_| unusable("there is no randomness"))?.expose();
        let audience = self.token_url(tenant)?;
        let claims = json!({"aud": audience, "iss": id, "sub": id, "jti": hex::encode(random),
            "nbf": now.saturating_sub(30), "exp": now + 600});
        let assertion = jwt::sign(pem, header, &claims).map_err(|reason| unusable(&reason))?;
        self.by_assertion(client, tenant, id, &assertion, scope).await
    }

    async fn by_assertion(
        &self,
        client: &Client,
        tenant: &str,
        id: &str,
        assertion: &str,
        scope: &str,
    ) -> Result<Token, AuthError> {
        let form = [
            ("client_id", id),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
            ("grant_type", "client_credentials"),
        ];
        self.ask(client, tenant, &form).await
    }

    async fn ask(&self, client: &Client, tenant: &str, form: &[(&str, &str)]) -> Result<Token, AuthError> {
        let url = self.token_url(tenant)?;
        http::json::<TokenAnswer>("Entra ID", client.post(url).form(form)).await.map(Token::from)
    }

    fn token_url(&self, tenant: &str) -> Result<String, AuthError> {
        if !tenant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
            return Err(AuthError::Settings("the tenant id contains characters it cannot have".to_owned()));
        }
        let authority = self.environment.get("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
        Ok(format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
}

impl From<TokenAnswer> for Token {
    fn from(answer: TokenAnswer) -> Self {
        let life = Duration::from_secs(answer.expires_in.min(7 * 24 * 3600));
        Token { secret: answer.access_token, expires: SystemTime::now() + life }
    }
}

/// The metadata service writes numbers as text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("not a number of seconds")),
    }
}
