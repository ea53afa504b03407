//! Who may call a webhook: each type of receiver has its own way to prove it.

use fluxide_notification_api::receiver::{Receiver, ReceiverType};
use fluxide_runtime::secrets::Secret;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{cdevents, gcr, media_type, oidc, signature};
use crate::lenient_json;
use crate::receiver::{TokenError, token_of};

/// Why a call is refused. Callers are not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Secret is of no use.
    #[error("unable to read secret, error: {0}")]
    Secret(#[from] TokenError),
    /// The signature is not good.
    #[error("{context}: {error}")]
    Signature {
        /// Which one.
        context: &'static str,
        /// Why.
        error: signature::Error,
    },
    /// The token is not good.
    #[error("{0}")]
    Token(&'static str),
    /// The receiver does not react to such events.
    #[error("the {service} event {event:?} is not authorised")]
    Event {
        /// Who sent it.
        service: &'static str,
        /// The event.
        event: String,
    },
    /// The body is not what it should be.
    #[error("cannot decode {service} webhook payload: {reason}")]
    Payload {
        /// Who sent it.
        service: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// No CDEvent.
    #[error("unable to validate CDEvent event: {0}")]
    CdEvent(#[from] cdevents::Error),
    /// The token of Google is not good.
    #[error("cannot authenticate GCR request: {0}")]
    Gcr(#[from] gcr::Error),
    /// The token of an issuer is not good.
    #[error(transparent)]
    Oidc(#[from] oidc::Error),
    /// A type that this version does not know.
    #[error("receiver type {0:?} not supported")]
    Unsupported(String),
}

/// What is known about a call that was accepted.
#[derive(Default)]
pub struct Validated {
    /// The claims of its token.
    pub claims: Option<Value>,
    /// What stands for its body from now on.
    pub body: Option<Vec<u8>>,
}

/// Keys of issuers, and how to get them.
#[derive(Clone)]
pub struct Verifier {
    /// For the receivers with a list of issuers.
    pub oidc: oidc::Issuers,
    /// For Google's.
    pub google: gcr::Google,
}

/// Checks a call of a receiver.
pub async fn validate(
    receiver: &Receiver,
    secret: Option<&Secret>,
    headers: &HeaderMap,
    body: &[u8],
    verifier: &Verifier,
) -> Result<Validated, Error> {
    let token = secret.map(token_of).transpose()?.unwrap_or_default();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let events = &receiver.spec.events;
    let authorised = |service: &'static str, event: &str| {
        let known = events.is_empty() || events.iter().any(|known| known.eq_ignore_ascii_case(event));
        if known { Ok(()) } else { Err(Error::Event { service, event: event.to_owned() }) }
    };
    match &receiver.spec.receiver_type {
        ReceiverType::Generic => {}
        ReceiverType::GenericHmac => {
            let checked = signature::check_prefixed(header("X-Signature"), token, body);
            checked
                .map_err(|error| Error::Signature { context: "unable to validate HMAC signature", error })?;
        }
        ReceiverType::Github => {
            hub("the GitHub signature header is invalid, err", headers, token, body)?;
            authorised("GitHub", header("X-GitHub-Event"))?;
        }
        ReceiverType::Bitbucket => {
            hub("the Bitbucket server signature header is invalid, err", headers, token, body)?;
            authorised("Bitbucket server", header("X-Event-Key"))?;
        }
        ReceiverType::Gitlab => {
            if !signature::equal(header("X-Gitlab-Token").as_bytes(), token) {
                return Err(Error::Token(
                    "the X-Gitlab-Token header value does not match the receiver token",
                ));
            }
            authorised("GitLab", header("X-Gitlab-Event"))?;
        }
        ReceiverType::Harbor => {
            if !signature::equal(header("Authorization").as_bytes(), token) {
                return Err(Error::Token(
                    "the Harbor Authorization header value does not match the receiver token",
                ));
            }
        }
        ReceiverType::Nexus => {
            let checked = signature::check_sha1(header("X-Nexus-Webhook-Signature"), token, body);
            checked.map_err(|error| Error::Signature { context: "invalid Nexus signature", error })?;
            let body = lenient_json::mended(body);
            let payload: Option<Map<String, Value>> =
                serde_json::from_slice(&body).map_err(|error| payload("Nexus", &error))?;
            let payload = Value::Object(payload.unwrap_or_default());
            texts("Nexus", &payload, &["/action", "/repositoryName"])?;
        }
        ReceiverType::DockerHub => {
            texts("DockerHub", &first(body, "DockerHub")?, &["/push_data/tag", "/repository/repo_url"])?;
        }
        ReceiverType::Quay => {
            let payload = first(body, "Quay")?;
            texts("Quay", &payload, &["/docker_url"])?;
            let tags = member(&payload, "updated_tags");
            let is_text = |tag: &Value| tag.is_string() || tag.is_null();
            let is_list = |tags: &Value| tags.as_array().is_some_and(|tags| tags.iter().all(is_text));
            if tags.is_some_and(|tags| !is_list(tags)) {
                let reason = "updated_tags is no list of texts".to_owned();
                return Err(Error::Payload { service: "Quay", reason });
            }
        }
        ReceiverType::Acr => {
            texts("ACR", &first(body, "ACR")?, &["/action", "/target/repository", "/target/tag"])?;
        }
        ReceiverType::CdEvents => {
            cdevents::check(body)?;
            authorised("CDEvents", header("Ce-Type"))?;
        }
        ReceiverType::Gcr => {
            let body = gcr::check(&verifier.google, secret, header("Authorization"), body).await?;
            return Ok(Validated { claims: None, body: Some(body) });
        }
        ReceiverType::GenericOidc => {
            let claims = verifier.oidc.check(&receiver.spec.oidc_providers, header("Authorization")).await?;
            return Ok(Validated { claims: Some(claims), body: None });
        }
        ReceiverType::Other(other) => return Err(Error::Unsupported(other.clone())),
    }
    Ok(Validated::default())
}

/// The way of GitHub, which others have taken over: the newer header before the older one.
fn hub(context: &'static str, headers: &HeaderMap, token: &[u8], body: &[u8]) -> Result<(), Error> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match media_type::parse(header("Content-Type")).as_deref() {
        Some("application/json") => {}
        Some("application/x-www-form-urlencoded") if is_form(body) => {}
        Some("application/x-www-form-urlencoded") => {
            return Err(Error::Token("webhook request has a body that is no form"));
        }
        _ => return Err(Error::Token("webhook request has unsupported Content-Type")),
    }
    let signature = match header("X-Hub-Signature-256") {
        "" => header("X-Hub-Signature"),
        signature => signature,
    };
    signature::check_prefixed(signature, token, body).map_err(|error| Error::Signature { context, error })
}

/// Whether a body is a form as Go reads it: without semicolons, and with two digits after each percent sign.
fn is_form(body: &[u8]) -> bool {
    let mut rest = body;
    while let [first, after @ ..] = rest {
        let is_pair = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        match first {
            b';' => return false,
            b'%' if !after.get(..2).is_some_and(is_pair) => return false,
            _ => rest = after,
        }
    }
    true
}

/// The first JSON value of a body.
fn first(body: &[u8], service: &'static str) -> Result<Value, Error> {
    let body = lenient_json::mended(body);
    let mut reader = serde_json::Deserializer::from_slice(&body);
    let value = Value::deserialize(&mut reader).map_err(|error| payload(service, &error))?;
    if value.is_object() || value.is_null() {
        return Ok(value);
    }
    Err(Error::Payload { service, reason: "it is no object".to_owned() })
}

/// What is there must be text, and what it is in an object.
fn texts(service: &'static str, payload: &Value, pointers: &[&str]) -> Result<(), Error> {
    for pointer in pointers {
        let mut current = payload;
        let mut parts = pointer.split('/').skip(1).peekable();
        while let Some(part) = parts.next() {
            let Some(next) = member(current, part) else { break };
            let fits = if parts.peek().is_some() { next.is_object() } else { next.is_string() };
            if !fits {
                return Err(Error::Payload { service, reason: format!("{part} has the wrong type") });
            }
            current = next;
        }
    }
    Ok(())
}

/// A member that is not null.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    lenient_json::member(object.as_object()?, name).filter(|member| !member.is_null())
}

fn payload(service: &'static str, error: &serde_json::Error) -> Error {
    Error::Payload { service, reason: error.to_string() }
}
