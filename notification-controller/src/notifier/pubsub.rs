//! Google Pub/Sub: the event as a message of a topic.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::Url;

use super::git::with_segments;
use super::http::{Http, Request};
use super::settings::Settings;
use super::{Connections, Error, Message, go_json, identity};

const API: &str = "https://pubsub.googleapis.com/v1/";

/// Whether the settings of a `googlepubsub` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.address.is_empty() {
        return Err("GCP project ID cannot be empty".to_owned());
    }
    if settings.channel.is_empty() {
        return Err("GCP Pub/Sub topic ID cannot be empty".to_owned());
    }
    Ok(())
}

/// Publishes the event; the headers of the Secret are attributes of the message.
pub async fn publish(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
) -> Result<(), Error> {
    let topic = format!("projects/{}/topics/{}", settings.address, settings.channel);
    let context = format!("error publishing to GCP Pub/Sub topic {topic}");
    let token = identity::google(connections, http, settings).await.map_err(|error| Error::Send {
        message: format!("{context}: {error}"),
        transient: error.is_transient(),
    })?;
    let request = request(settings, message)?;
    let request =
        request.authorization("Bearer", &token).map_err(|error| Error::Settings(error.to_string()))?;
    http.accepted(&request).await.map(|_| ()).map_err(|error| Error::request(&context, error))
}

/// The request without its authorization.
pub(super) fn request(settings: &Settings, message: &Message<'_>) -> Result<Request, Error> {
    let base = Url::parse(API).map_err(|error| Error::Settings(error.to_string()))?;
    let publish = format!("{}:publish", settings.channel);
    let url = with_segments(&base, ["projects", &settings.address, "topics", &publish]);
    let data = go_json::to_vec(message.event)
        .map_err(|error| Error::refused(format!("error json-marshaling event: {error}")))?;
    let mut entry = json!({"data": STANDARD.encode(data)});
    if !settings.headers.is_empty() {
        entry["attributes"] = json!(settings.headers);
    }
    Request::post_json(url, &json!({"messages": [entry]})).map_err(|error| Error::Settings(error.to_string()))
}
