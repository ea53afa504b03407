//! `gcr`: pushes of Google Pub/Sub, with a token of Google's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fluxide_runtime::secrets::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::issuer_keys::Documents;
use super::jwt::{self, Keys, Token};
use super::signature;
use crate::notifier::policy::AddressPolicy;

const RSA_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
const EC_KEYS: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";
const ISSUERS: [&str; 2] = ["accounts.google.com", "https://accounts.google.com"];

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Secret lacks what the type needs.
    #[error("invalid secret data: required field '{0}' for GCR receiver")]
    Secret(&'static str),
    /// It has no token.
    #[error("the Authorization header is missing or malformed")]
    NoToken,
    /// Its token is not good.
    #[error("invalid ID token: {0}")]
    Token(#[from] jwt::Error),
    /// Google's keys cannot be had.
    #[error("cannot create ID token validator: {0}")]
    Keys(String),
    /// The token is of somebody else.
    #[error("token issuer is '{0}', want 'accounts.google.com' or 'https://accounts.google.com'")]
    Issuer(String),
    /// The token is for another account.
    #[error("the email of the token is not the one in the secret")]
    Email,
    /// The account's address was not checked.
    #[error("the email of the token is not verified")]
    EmailNotVerified,
    /// The body is no push of Pub/Sub.
    #[error("cannot decode GCR webhook payload: {0}")]
    Payload(String),
}

/// Where Google's keys are. Cloning shares what is kept of them.
#[derive(Clone)]
pub struct Google {
    keys: Documents<Keys>,
    rsa: String,
    ec: String,
}

impl Default for Google {
    fn default() -> Self {
        Self::at(RSA_KEYS, EC_KEYS)
    }
}

impl Google {
    /// With the keys at other addresses.
    pub fn at(rsa: &str, ec: &str) -> Self {
        Self { keys: Documents::new(AddressPolicy::default()), rsa: rsa.to_owned(), ec: ec.to_owned() }
    }
}

/// Checks a call, and returns the event inside of it.
pub async fn check(
    google: &Google,
    secret: Option<&Secret>,
    authorization: &str,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let required = |key: &'static str| {
        let value =
            secret.and_then(|secret| secret.value(key)).and_then(|value| std::str::from_utf8(value).ok());
        value.filter(|value| !value.is_empty()).ok_or(Error::Secret(key))
    };
    let (email, audience) = (required("email")?, required("audience")?);
    let text = jwt::bearer(authorization).ok_or(Error::NoToken)?;
    let rsa = Token::parse(text)?;
    let unavailable = |error: super::issuer_keys::Error| Error::Keys(error.to_string());
    let keys = google.keys.keys(&google.rsa, |keys| rsa.has_key(keys)).await.map_err(unavailable)?;
    let now = Timestamp::now();
    let verified = match rsa.verify(&keys, &["RS256".to_owned()], audience, now) {
        Err(jwt::Error::Algorithm(_)) => {
            let ec = Token::parse(text)?;
            let keys = google.keys.keys(&google.ec, |keys| ec.has_key(keys)).await.map_err(unavailable)?;
            ec.verify(&keys, &["ES256".to_owned()], audience, now)
        }
        other => other,
    };
    check_claims(&verified?, email)?;
    unwrap(body)
}

fn check_claims(claims: &Value, email: &str) -> Result<(), Error> {
    let issuer = claims["iss"].as_str().unwrap_or_default();
    if !ISSUERS.contains(&issuer) {
        return Err(Error::Issuer(issuer.to_owned()));
    }
    if !signature::equal(claims["email"].as_str().unwrap_or_default().as_bytes(), email.as_bytes()) {
        return Err(Error::Email);
    }
    if claims["email_verified"] == Value::Bool(true) { Ok(()) } else { Err(Error::EmailNotVerified) }
}

/// The registry's event in the message of Pub/Sub.
fn unwrap(body: &[u8]) -> Result<Vec<u8>, Error> {
    #[derive(Deserialize)]
    struct Push {
        #[serde(default)]
        message: Message,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Message {
        data: String,
    }
    #[derive(Serialize, Deserialize)]
    struct Event {
        #[serde(default)]
        action: String,
        #[serde(default)]
        digest: String,
        #[serde(default)]
        tag: String,
    }
    let undecodable = |error: &dyn std::fmt::Display| Error::Payload(error.to_string());
    let push: Push = serde_json::from_slice(body).map_err(|error| undecodable(&error))?;
    let data = STANDARD.decode(push.message.data).map_err(|error| undecodable(&error))?;
    let event: Event = serde_json::from_slice(&data).map_err(|error| undecodable(&error))?;
    serde_json::to_vec(&event).map_err(|error| undecodable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_of_others_are_refused() {
        let good = json!({"iss": "accounts.google.com", "email": "a@b", "email_verified": true});
        assert!(check_claims(&good, "a@b").is_ok());
        for (member, value) in [
            ("iss", json!("x")),
            ("email", json!("x")),
            ("email_verified", json!("true")),
            ("email_verified", json!(false)),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert!(check_claims(&bad, "a@b").is_err(), "{member}");
        }
    }

    #[test]
    fn the_event_is_in_the_message() {
        let data = STANDARD.encode(r#"{"action":"INSERT","digest":"d","tag":"t","more":1}"#);
        let event = unwrap(json!({"message": {"data": data}}).to_string().as_bytes()).unwrap();
        assert_eq!(event, br#"{"action":"INSERT","digest":"d","tag":"t"}"#);
        assert!(unwrap(b"{}").is_err());
    }
}
