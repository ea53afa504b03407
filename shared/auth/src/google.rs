//! Google Cloud: access tokens of a workload or of a key.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::service_account::Account;
use crate::{AuthError, Environment, Token, http, jwt};

/// What most services want tokens for.
pub const CLOUD_PLATFORM_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

const GOOGLE_ACCOUNT: &str = "iam.gke.io/gcp-service-account";
const IDENTITY_PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";
const METADATA: &str = "http://metadata.google.internal";
const STS: &str = "https://sts.googleapis.com/v1/token";
const IAM: &str = "https://iamcredentials.googleapis.com/v1";

/// Hosts that make tokens of keys.
const TOKEN_HOSTS: [&str; 3] = ["oauth2.googleapis.com", "www.googleapis.com", "accounts.google.com"];

/// A key of a Google service account, or of a person that agreed to be it.
#[derive(Clone, Deserialize)]
pub struct Key {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key: String,
    #[serde(default)]
    private_key_id: Option<String>,
    #[serde(default)]
    token_uri: Option<String>,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    refresh_token: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("client_email", &self.client_email).finish_non_exhaustive()
    }
}

impl Key {
    /// Reads a key as Google hands it out, in JSON.
    pub fn parse(json: &[u8]) -> Result<Self, AuthError> {
        let wrong = |reason: &str| AuthError::Settings(format!("cannot use the Google key: {reason}"));
        // The text of the error can quote the key.
        let key: Self = serde_json::from_slice(json)
            .map_err(|error| wrong(&format!("it is not JSON of a key (line {})", error.line())))?;
        let complete = match key.kind.as_str() {
            "service_account" => !key.client_email.is_empty() && !key.private_key.is_empty(),
            "authorized_user" => !key.client_id.is_empty() && !key.refresh_token.is_empty(),
            "" => return Err(wrong("it has no type")),
            other => {
                return Err(wrong(&format!(
                    "its type is '{other}', only service_account and authorized_user are supported"
                )));
            }
        };
        if complete { Ok(key) } else { Err(wrong("a part of it is missing")) }
    }
}

/// Where Google's services are.
#[derive(Clone, Debug)]
pub struct Google {
    environment: Environment,
    metadata: String,
    sts: String,
    iam: String,
    /// Where keys get tokens, whatever they say themselves.
    tokens: Option<String>,
}

impl Google {
    /// As the environment says.
    pub fn new(environment: Environment) -> Self {
        let metadata = environment.get("GCE_METADATA_HOST").map(|host| format!("http://{host}"));
        Google {
            environment,
            metadata: metadata.unwrap_or_else(|| METADATA.to_owned()),
            sts: STS.to_owned(),
            iam: IAM.to_owned(),
            tokens: None,
        }
    }

    /// The same with all services below one address, for tests.
    pub fn with_endpoint(self, address: &str) -> Self {
        Google {
            metadata: address.to_owned(),
            sts: format!("{address}/sts"),
            iam: format!("{address}/iam"),
            tokens: Some(format!("{address}/token")),
            ..self
        }
    }

    /// A token of the account or else of the process: of the key that its environment names, or of its machine.
    pub async fn token(
        &self,
        client: &Client,
        account: Option<&Account>,
        scope: &str,
    ) -> Result<Token, AuthError> {
        if let Some(account) = account {
            return self.of_account(client, account, scope).await;
        }
        if let Some(json) = self.environment.file("GOOGLE_APPLICATION_CREDENTIALS")? {
            return self.of_key(client, &Key::parse(json.as_bytes())?, scope).await;
        }
        let path = "instance/service-accounts/default/token";
        let url = format!("{}/computeMetadata/v1/{path}", self.metadata);
        let request = client.get(url).header("Metadata-Flavor", "Google").query(&[("scopes", scope)]);
        http::json::<TokenAnswer>("the Google metadata service", request).await.map(Token::from)
    }

    /// A token of a key.
    pub async fn of_key(&self, client: &Client, key: &Key, scope: &str) -> Result<Token, AuthError> {
        let url = match &self.tokens {
            Some(url) => url.clone(),
            None => token_url(key.token_uri.as_deref())?,
        };
        let request = client.post(&url);
        let request = if key.kind == "authorized_user" {
            request.form(&[
                ("grant_type", "refresh_token"),
                ("client_id", &key.client_id),
                ("client_secret", &key.client_secret),
                ("refresh_token", &key.refresh_token),
            ])
        } else {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let mut header = json!({});
            if let Some(id) = &key.private_key_id {
                header["kid"] = id.as_str().into();
            }
            let claims = json!({"iss": key.client_email, "scope": scope, "aud": url,
                "iat": now.saturating_sub(10), "exp": now + 3600});
            let assertion = jwt::sign(key.private_key.as_bytes(), header, &claims).map_err(|reason| {
                AuthError::Settings(format!("cannot use the private key of the Google key: {reason}"))
            })?;
            request.form(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", &assertion),
            ])
        };
        http::json::<TokenAnswer>("Google", request).await.map(Token::from)
    }

    /// A token of the account itself, which a workload identity pool trusts, or of the Google service account that it may be.
    async fn of_account(&self, client: &Client, account: &Account, scope: &str) -> Result<Token, AuthError> {
        let (subject, audience) = match account.annotation(IDENTITY_PROVIDER) {
            Ok(provider) => {
                if !is_identity_provider(provider) {
                    return Err(account.failed(format!(
                        "the annotation '{IDENTITY_PROVIDER}' must be \
                         projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>"
                    )));
                }
                let audience = format!("//iam.googleapis.com/{provider}");
                (account.token(&audience).await?, audience)
            }
            Err(_) => {
                let project = self.of_machine(client, "project/project-id").await?;
                let location = self.of_machine(client, "instance/attributes/cluster-location").await?;
                let cluster = self.of_machine(client, "instance/attributes/cluster-name").await?;
                let pool = format!("{project}.svc.id.goog");
                let audience = format!(
                    "identitynamespace:{pool}:https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"
                );
                (account.token(&pool).await?, audience)
            }
        };
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &audience),
            ("scope", scope),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", &subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        let federated: TokenAnswer = http::json("Google STS", client.post(&self.sts).form(&form)).await?;
        let Ok(email) = account.annotation(GOOGLE_ACCOUNT) else { return Ok(federated.into()) };
        if !is_account_email(email) {
            return Err(account.failed(format!(
                "the annotation '{GOOGLE_ACCOUNT}' is not the email of a Google service account"
            )));
        }
        let url = format!("{}/projects/-/serviceAccounts/{email}:generateAccessToken", self.iam);
        let request = client.post(url).bearer_auth(&federated.access_token).json(&json!({"scope": [scope]}));
        let answer: ImpersonationAnswer = http::json("Google IAM", request).await?;
        Ok(Token { secret: answer.access_token, expires: answer.expire_time.into() })
    }

    async fn of_machine(&self, client: &Client, path: &str) -> Result<String, AuthError> {
        const SERVICE: &str = "the Google metadata service";
        let url = format!("{}/computeMetadata/v1/{path}", self.metadata);
        let request = client.get(url).header("Metadata-Flavor", "Google");
        match http::send(SERVICE, request).await? {
            (200, body) => Ok(String::from_utf8_lossy(&body).trim().to_owned()),
            (status, body) => Err(http::refused(SERVICE, status, &body)),
        }
    }
}

/// Where a key says that it gets tokens, if that is Google.
fn token_url(said: Option<&str>) -> Result<String, AuthError> {
    let Some(said) = said.filter(|said| !said.is_empty()) else {
        return Ok(format!("https://{}/token", TOKEN_HOSTS[0]));
    };
    let url = Url::parse(said).ok().filter(|url| url.scheme() == "https" && url.port().is_none());
    match url.as_ref().and_then(Url::host_str) {
        Some(host) if TOKEN_HOSTS.contains(&host) => Ok(said.to_owned()),
        _ => Err(AuthError::Settings("the token_uri of the Google key is not of Google".to_owned())),
    }
}

/// `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`
fn is_identity_provider(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [projects, number, locations, global, pools, pool, providers, provider] = parts.as_slice() else {
        return false;
    };
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    [*projects, *locations, *global, *pools, *providers]
        == ["projects", "locations", "global", "workloadIdentityPools", "providers"]
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && word(pool)
        && word(provider)
}

/// `<name>@<project>.iam.gserviceaccount.com`
fn is_account_email(text: &str) -> bool {
    let word = |text: &str| {
        (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.strip_suffix(".iam.gserviceaccount.com")
        .and_then(|text| text.split_once('@'))
        .is_some_and(|(name, project)| word(name) && word(project))
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl From<TokenAnswer> for Token {
    fn from(answer: TokenAnswer) -> Self {
        let life = Duration::from_secs(answer.expires_in.min(24 * 3600));
        Token { secret: answer.access_token, expires: SystemTime::now() + life }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationAnswer {
    access_token: String,
    expire_time: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_get_tokens_from_google_alone() {
        assert_eq!(token_url(None).unwrap(), "https://oauth2.googleapis.com/token");
        assert!(token_url(Some("https://oauth2.googleapis.com/token")).is_ok());
        for other in [
            "http://oauth2.googleapis.com/token",
            "https://evil.test/token",
            "https://oauth2.googleapis.com:1/",
        ] {
            assert!(token_url(Some(other)).is_err(), "{other}");
        }
    }

    #[test]
    fn names() {
        let provider = "projects/12/locations/global/workloadIdentityPools/p-1/providers/q";
        assert!(is_identity_provider(provider));
        assert!(!is_identity_provider(&provider.replace("12", "x")));
        assert!(!is_identity_provider(&format!("{provider}/../x")));
        assert!(is_account_email("a-b@project-1.iam.gserviceaccount.com"));
        assert!(!is_account_email("a/b@project.iam.gserviceaccount.com"));
        assert!(!is_account_email("a@evil.com"));
    }

    #[test]
    fn keys_are_checked_and_never_shown() {
        let failed = |json: &str| Key::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(failed("{").ends_with("it is not JSON of a key (line 1)"));
        assert!(failed("{}").ends_with("it has no type"));
        assert!(failed(r#"{"type":"external_account"}"#).contains("external_account"));
        assert!(failed(r#"{"type":"service_account"}"#).ends_with("a part of it is missing"));
        let key =
            Key::parse(br#"{"type":"service_account","client_email":"a@b","private_key":"hidden"}"#).unwrap();
        assert!(!format!("{key:?}").contains("hidden"));
    }
}
