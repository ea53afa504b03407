//! Keys of Google Cloud, which make access tokens by themselves.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Gcp, TokenAnswer};
use crate::{AuthError, Token, http, jwt};

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

impl Gcp {
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
