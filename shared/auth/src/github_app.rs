//! GitHub Apps: a signed claim for a token of one of the app's installations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::ACCEPT;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::json;

use crate::{AuthError, Token, http, jwt};

/// The user name that goes with a token of an installation.
pub const USERNAME: &str = "x-access-token";

/// The API when nothing else is said.
pub const API: &str = "https://api.github.com";

/// An app and one installation of it.
#[derive(Clone)]
pub struct GithubApp {
    /// The app's id.
    pub app_id: String,
    /// Which installation.
    pub installation: Installation,
    /// The app's private key, RSA in PEM.
    pub private_key: Vec<u8>,
    /// The API of a GitHub Enterprise Server.
    pub base_url: Option<String>,
}

/// An installation of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installation {
    /// By its id.
    Id(String),
    /// By the organisation or user it is installed for.
    Owner(String),
}

impl GithubApp {
    /// A token of the installation.
    pub async fn token(&self, client: &Client, now: SystemTime) -> Result<Token, AuthError> {
        let claim = self.claim(now)?;
        let request = |method: Method, path: String| -> Result<RequestBuilder, AuthError> {
            let request = client.request(method, self.url(&path)?);
            Ok(request.bearer_auth(&claim).header(ACCEPT, "application/vnd.github+json"))
        };
        let id = match &self.installation {
            Installation::Id(id) => segment(id, "githubAppInstallationID")?,
            Installation::Owner(owner) => {
                let owner = segment(owner, "githubAppInstallationOwner")?;
                let path = format!("orgs/{owner}/installation");
                let (status, body) = http::send(SERVICE, request(Method::GET, path)?).await?;
                let found: InstallationAnswer = match status {
                    // Not an organisation: a user.
                    404 => {
                        let path = format!("users/{owner}/installation");
                        http::json(SERVICE, request(Method::GET, path)?).await?
                    }
                    200..300 => serde_json::from_slice(&body).map_err(|_| AuthError::Answer {
                        service: SERVICE.to_owned(),
                        reason: "the installation has no id".to_owned(),
                    })?,
                    _ => return Err(http::refused(SERVICE, status, &body)),
                };
                found.id.to_string()
            }
        };
        let path = format!("app/installations/{id}/access_tokens");
        let answer: TokenAnswer = http::json(SERVICE, request(Method::POST, path)?).await?;
        Ok(Token { secret: answer.token, expires: answer.expires_at.into() })
    }

    /// The claim to be the app, good for two minutes. It begins a little in the past, for clocks that are late.
    fn claim(&self, now: SystemTime) -> Result<String, AuthError> {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let issued = seconds.saturating_sub(Duration::from_secs(30)).as_secs();
        let claims = json!({"iat": issued, "exp": issued + 120, "iss": self.app_id});
        jwt::sign(&self.private_key, json!({}), &claims).map_err(|reason| {
            AuthError::Settings(format!("cannot use the private key of the GitHub App: {reason}"))
        })
    }

    fn url(&self, path: &str) -> Result<url::Url, AuthError> {
        let base = self.base_url.as_deref().filter(|url| !url.is_empty()).unwrap_or(API);
        let invalid =
            |why: String| AuthError::Settings(format!("githubAppBaseURL is no URL of an API: {why}"));
        let url = url::Url::parse(&format!("{}/{path}", base.trim_end_matches('/')))
            .map_err(|error| invalid(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(url),
            other => Err(invalid(format!("its scheme is '{other}'"))),
        }
    }
}

const SERVICE: &str = "GitHub";

#[derive(Deserialize)]
struct InstallationAnswer {
    id: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
    expires_at: jiff::Timestamp,
}

/// A name that is one part of a path.
fn segment(name: &str, key: &str) -> Result<String, AuthError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match !name.is_empty() && name.bytes().all(plain) && !name.starts_with('.') {
        true => Ok(name.to_owned()),
        false => Err(AuthError::Settings(format!("{key} contains characters it cannot have"))),
    }
}
