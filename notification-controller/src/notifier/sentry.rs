//! Sentry: transactions for good news, error events for bad news.

use fluxide_runtime::events::Event;
use rand::Rng;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::http::Request;
use super::settings::Settings;
use super::{Message, Requests, go_json};

const CLIENT: &str = concat!("fluxide/", env!("CARGO_PKG_VERSION"));

/// Where a project's events go.
struct Dsn {
    endpoint: Url,
    public_key: String,
}

/// Whether the settings of a `sentry` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.address.is_empty() {
        return Err("DSN cannot be empty".to_owned());
    }
    dsn(&settings.address).map(|_| ())
}

/// An envelope with the event.
pub fn requests(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let (kind, item) = match event.severity.as_str() {
        "info" => ("transaction", transaction(settings, event)),
        "error" => ("event", error_event(settings, event)),
        _ => return Ok(Vec::new()),
    };
    let dsn = dsn(&settings.address)?;
    let bytes = |value: &Value| go_json::to_vec(value).map_err(|error| error.to_string());
    let payload = bytes(&item)?;
    let header = json!({
        "event_id": item["event_id"],
        "sent_at": jiff::Timestamp::now().to_string(),
        "dsn": settings.address,
        "sdk": item["sdk"],
    });
    let mut body = bytes(&header)?;
    body.push(b'\n');
    body.extend(bytes(&json!({"type": kind, "length": payload.len()}))?);
    body.push(b'\n');
    body.extend(payload);
    body.push(b'\n');
    let mut request = Request::new(Method::POST, dsn.endpoint);
    request.body = body;
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope"));
    for (name, value) in &settings.headers {
        if !name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) {
            request = request.header(name, value).map_err(|error| error.to_string())?;
        }
    }
    let auth = format!("Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={}", dsn.public_key);
    Ok(vec![request.header("X-Sentry-Auth", &auth).map_err(|error| error.to_string())?])
}

fn common(settings: &Settings, event: &Event, level: &str) -> Value {
    let object = &event.involved_object;
    let mut item = json!({
        "event_id": hex::encode(rand::rng().random::<[u8; 16]>()),
        "level": level,
        "platform": "other",
        "sdk": {"name": "fluxide", "version": env!("CARGO_PKG_VERSION")},
        "timestamp": moment(event),
        "transaction": format!("{}: {}/{}", object.kind, object.namespace, object.name),
    });
    if !event.message.is_empty() {
        item["message"] = event.message.as_str().into();
    }
    if !settings.channel.is_empty() {
        item["environment"] = settings.channel.as_str().into();
    }
    item
}

/// When it happened; now, if nobody knows.
fn moment(event: &Event) -> String {
    if event.timestamp.is_empty() {
        return fluxide_runtime::timestamp(jiff::Timestamp::now());
    }
    event.timestamp.clone()
}

fn error_event(settings: &Settings, event: &Event) -> Value {
    let mut item = common(settings, event, "error");
    item["server_name"] = match event.reporting_controller.as_str() {
        "" => fluxide_runtime::hostname().into(),
        controller => controller.into(),
    };
    item["contexts"] = json!({"metadata": event.metadata});
    item
}

fn transaction(settings: &Settings, event: &Event) -> Value {
    let object = &event.involved_object;
    let mut tags = json!({
        "flux_involved_object_kind": object.kind,
        "flux_involved_object_name": object.name,
        "flux_involved_object_namespace": object.namespace,
        "flux_reason": event.reason,
        "flux_reporting_controller": event.reporting_controller,
        "flux_reporting_instance": event.reporting_instance,
    });
    for (key, value) in &event.metadata {
        tags[key] = value.as_str().into();
    }
    let trace_id = hex::encode(rand::rng().random::<[u8; 16]>());
    let span_id = hex::encode(rand::rng().random::<[u8; 8]>());
    let mut item = common(settings, event, "info");
    item["type"] = "transaction".into();
    item["server_name"] = fluxide_runtime::hostname().into();
    item["start_timestamp"] = moment(event).into();
    item["spans"] = json!([{
        "trace_id": trace_id,
        "span_id": span_id,
        "op": "event",
        "start_timestamp": moment(event),
        "timestamp": moment(event),
        "origin": "manual",
        "tags": tags,
    }]);
    item["tags"] = tags;
    item["contexts"] = json!({"trace": {"op": "event", "span_id": span_id, "trace_id": trace_id}});
    item
}

/// Takes a DSN apart: `https://<public key>@<host>/<path>/<project>`.
fn dsn(address: &str) -> Result<Dsn, String> {
    let invalid = |reason: &str| format!("invalid DSN: {reason}");
    let mut url = Url::parse(address).map_err(|_| invalid("it is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid("the scheme must be http or https, followed by a host"));
    }
    let public_key = url.username().to_owned();
    if public_key.is_empty() {
        return Err(invalid("it has no public key"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let (prefix, project) = path.rsplit_once('/').unwrap_or(("", &path));
    if project.is_empty() {
        return Err(invalid("it has no project id"));
    }
    let no_key = |()| invalid("it has no host");
    url.set_username("").map_err(no_key)?;
    url.set_password(None).map_err(no_key)?;
    url.set_path(&format!("{prefix}/api/{project}/envelope/"));
    url.set_query(None);
    Ok(Dsn { endpoint: url, public_key })
}
