//! Requests to key management services.

use fluxide_auth::AuthError;
use reqwest::RequestBuilder;
use serde_json::Value;

/// The most characters of an answer that are told.
const MAX_TOLD: usize = 300;

/// Sends a request and reads the answer as JSON if it is a success. What a service says when it refuses is told; what
/// it says otherwise can be secret.
pub async fn send(service: &str, request: RequestBuilder) -> Result<Value, AuthError> {
    let (status, body) = fluxide_auth::send(service, request).await?;
    if !(200..300).contains(&status) {
        return Err(AuthError::Refused { service: service.to_owned(), status, reason: words(&body) });
    }
    serde_json::from_slice(&body)
        .map_err(|_| AuthError::Answer { service: service.to_owned(), reason: "it is not JSON".to_owned() })
}

/// What a service says of a failure, without the frame around it.
fn words(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let errors = |value: &Value| {
        let texts: Vec<String> = value.as_array()?.iter().filter_map(text).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    let kind = text(&parsed["__type"]).map(|kind| kind.rsplit('#').next().unwrap_or_default().to_owned());
    let message = text(&parsed["message"])
        .or_else(|| text(&parsed["Message"]))
        .or_else(|| text(&parsed["error"]["message"]))
        .or_else(|| errors(&parsed["errors"]));
    let said = match (kind, message) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    said.chars().take(MAX_TOLD).collect()
}

/// An answer without the member that should be in it.
pub fn incomplete(service: &str, member: &str) -> AuthError {
    AuthError::Answer { service: service.to_owned(), reason: format!("it has no {member}") }
}
