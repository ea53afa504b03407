//! Google Cloud: access tokens for a workload, or of a key.

mod key;

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::service_account::Account;
use crate::{AuthError, Environment, Token, http};

pub use key::Key;

/// What most services want tokens for.
pub const CLOUD_PLATFORM_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

const METADATA: &str = "http://metadata.google.internal";
const STS: &str = "https://sts.googleapis.com";
const IAM: &str = "https://iamcredentials.googleapis.com";

/// The Google service account that a ServiceAccount acts as.
const EMAIL: &str = "iam.gke.io/gcp-service-account";
/// The provider of identities that trusts this cluster, on clusters that are not Google's.
const PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";

const METADATA_SERVICE: &str = "the GKE metadata service";

/// Where Google's services are.
#[derive(Clone, Debug)]
pub struct Gcp {
    environment: Environment,
    metadata: String,
    sts: String,
    iam: String,
    /// Where keys get tokens, whatever they say themselves.
    tokens: Option<String>,
}

impl Gcp {
    /// As the environment says.
    pub fn new(environment: Environment) -> Self {
        let metadata = environment.get("GCE_METADATA_HOST").map(|host| format!("http://{host}"));
        Gcp {
            environment,
            metadata: metadata.unwrap_or_else(|| METADATA.to_owned()),
            sts: STS.to_owned(),
            iam: IAM.to_owned(),
            tokens: None,
        }
    }

    /// The same with all services below one address, for tests.
    pub fn with_endpoint(self, address: &str) -> Self {
        Gcp {
            environment: self.environment,
            metadata: address.to_owned(),
            sts: address.to_owned(),
            iam: address.to_owned(),
            tokens: Some(format!("{address}/token")),
        }
    }

    /// A token for a scope, or several with spaces between them, of the account or else of the process: of the key that its environment names, or of its machine.
    /// The metadata service, which is on the machine, is asked by `direct`, everything else by `client`.
    pub async fn token(
        &self,
        client: &Client,
        direct: &Client,
        account: Option<&Account>,
        scope: &str,
    ) -> Result<Token, AuthError> {
        let Some(account) = account else {
            if let Some(json) = self.environment.file("GOOGLE_APPLICATION_CREDENTIALS")? {
                return self.of_key(client, &Key::parse(json.as_bytes())?, scope).await;
            }
            let path = "instance/service-accounts/default/token";
            let request = self.metadata_request(direct, path).query(&[("scopes", scope.replace(' ', ","))]);
            return http::json::<TokenAnswer>(METADATA_SERVICE, request).await.map(Token::from);
        };
        let email = email(account)?;
        let (pool, audience) = match provider(account)? {
            Some(provider) => {
                let audience = format!("//iam.googleapis.com/{provider}");
                (audience.clone(), audience)
            }
            None => self.cluster(direct).await?,
        };
        let subject = account.token(&pool).await?;
        // To act as another, a token must be good for everything until it has become one.
        let own_scope = if email.is_some() { CLOUD_PLATFORM_SCOPE } else { scope };
        let form = [
            ("audience", audience.as_str()),
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("scope", own_scope),
            ("subject_token", &subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        let request = client.post(format!("{}/v1/token", self.sts)).form(&form);
        let federated: Token = http::json::<TokenAnswer>("Google STS", request).await?.into();
        match email {
            None => Ok(federated),
            Some(email) => self.impersonate(client, &federated, email, scope).await,
        }
    }

    async fn impersonate(
        &self,
        client: &Client,
        federated: &Token,
        email: &str,
        scope: &str,
    ) -> Result<Token, AuthError> {
        let url = format!("{}/v1/projects/-/serviceAccounts/{email}:generateAccessToken", self.iam);
        let body = json!({"lifetime": "3600s", "scope": scope.split(' ').collect::<Vec<_>>()});
        let request = client.post(url).bearer_auth(&federated.secret).json(&body);
        let answer: Impersonated = http::json("Google IAM", request).await?;
        Ok(Token { secret: answer.access_token, expires: answer.expire_time.into() })
    }

    /// The pool of identities of this GKE cluster, and the audience for its tokens.
    async fn cluster(&self, direct: &Client) -> Result<(String, String), AuthError> {
        let project = self.attribute(direct, "project/project-id").await?;
        let location = self.attribute(direct, "instance/attributes/cluster-location").await?;
        let name = self.attribute(direct, "instance/attributes/cluster-name").await?;
        let pool = format!("{project}.svc.id.goog");
        let cluster = format!(
            "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"
        );
        let audience = format!("identitynamespace:{pool}:{cluster}");
        Ok((pool, audience))
    }

    async fn attribute(&self, direct: &Client, path: &str) -> Result<String, AuthError> {
        let (status, body) = http::send(METADATA_SERVICE, self.metadata_request(direct, path)).await?;
        if status != 200 {
            return Err(http::refused(METADATA_SERVICE, status, &body));
        }
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        if text.is_empty() {
            let reason = format!("{path} is empty");
            return Err(AuthError::Answer { service: METADATA_SERVICE.to_owned(), reason });
        }
        Ok(text)
    }

    fn metadata_request(&self, direct: &Client, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/computeMetadata/v1/{path}", self.metadata);
        direct.get(url).header("Metadata-Flavor", "Google")
    }
}

fn email(account: &Account) -> Result<Option<&str>, AuthError> {
    let Some(email) = account.optional_annotation(EMAIL) else { return Ok(None) };
    let is_name = |text: &str| {
        (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let parts = email.strip_suffix(".iam.gserviceaccount.com").and_then(|rest| rest.split_once('@'));
    match parts {
        Some((name, project)) if is_name(name) && is_name(project) => Ok(Some(email)),
        _ => Err(account.failed(format!(
            "the annotation '{EMAIL}' must be NAME@PROJECT.iam.gserviceaccount.com, it is '{email}'"
        ))),
    }
}

fn provider(account: &Account) -> Result<Option<&str>, AuthError> {
    let Some(provider) = account.optional_annotation(PROVIDER) else { return Ok(None) };
    let parts: Vec<&str> = provider.split('/').collect();
    let is_id = |text: &str| (1..=100).contains(&text.len());
    match parts.as_slice() {
        ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", id]
            if (1..=30).contains(&number.len())
                && number.bytes().all(|b| b.is_ascii_digit())
                && is_id(pool)
                && is_id(id) =>
        {
            Ok(Some(provider))
        }
        _ => Err(account.failed(format!(
            "the annotation '{PROVIDER}' must be projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, it is '{provider}'"
        ))),
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl From<TokenAnswer> for Token {
    fn from(answer: TokenAnswer) -> Self {
        let life = Duration::from_secs(answer.expires_in.min(7 * 24 * 3600));
        Token { secret: answer.access_token, expires: SystemTime::now() + life }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: Timestamp,
}
