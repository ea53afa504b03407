//! `generic` and `generic-hmac`: the event itself, to any webhook.

use ring::hmac;

use super::http::Request;
use super::settings::Settings;
use super::{Message, Requests, hook_url};

const SIGNATURE: &str = "X-Signature";

/// Whether the settings of a `generic` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    url(settings).map(|_| ())
}

/// Whether the settings of a `generic-hmac` provider are complete.
pub fn check_hmac(settings: &Settings) -> Result<(), String> {
    check(settings)?;
    if settings.token.is_empty() { Err("HMAC key is empty".to_owned()) } else { Ok(()) }
}

/// The event.
pub fn requests(settings: &Settings, message: &Message<'_>) -> Requests {
    let request = Request::post_json(url(settings)?, message.event).map_err(|error| error.to_string())?;
    let mut request = request
        .header("Gotk-Component", &message.event.reporting_controller)
        .map_err(|error| error.to_string())?;
    for (name, value) in &settings.headers {
        request = request.header(name, value).map_err(|error| error.to_string())?;
    }
    Ok(vec![request])
}

/// The event, signed. The signature is set last, so that no header of the Secret can replace it.
pub fn signed_requests(settings: &Settings, message: &Message<'_>) -> Requests {
    let key = hmac::Key::new(hmac::HMAC_SHA256, settings.token.as_bytes());
    let sign = |request: Request| {
        let signature = hex::encode(hmac::sign(&key, &request.body));
        request.header(SIGNATURE, &format!("sha256={signature}")).map_err(|error| error.to_string())
    };
    requests(settings, message)?.into_iter().map(sign).collect()
}

fn url(settings: &Settings) -> Result<url::Url, String> {
    hook_url(&settings.address).map_err(|reason| format!("invalid hook URL {}: {reason}", settings.address))
}
