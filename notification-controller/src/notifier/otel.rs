//! OpenTelemetry: each event is a span; those of one revision are one trace.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use prost::Message as _;
use rand::Rng;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};

use super::http::Request;
use super::settings::Settings;
use super::{Message, Requests, hook_url};

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.34.0";
/// Sampled, and known to continue a trace from elsewhere.
const FLAGS: u32 = 0x301;

/// Whether the settings of an `otel` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    url(settings).map(|_| ())
}

/// An export of one span.
pub fn requests(settings: &Settings, message: &Message<'_>) -> Requests {
    if message.event.involved_object.kind == "HelmRepository" {
        return Ok(Vec::new());
    }
    let mut request = Request::new(Method::POST, url(settings)?);
    request.body = export(message).encode_to_vec();
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    for (name, value) in &settings.headers {
        if name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) {
            continue;
        }
        request = request.header(name, value).map_err(|error| error.to_string())?;
    }
    if !request.headers.contains_key(AUTHORIZATION) {
        let token = settings.token_or_password();
        let authorized = if !settings.username.is_empty() && !token.is_empty() {
            request.basic(&settings.username, token)
        } else if !token.is_empty() {
            request.authorization("Bearer", token)
        } else {
            Ok(request)
        };
        request = authorized.map_err(|error| error.to_string())?;
    }
    Ok(vec![request])
}

fn url(settings: &Settings) -> Result<url::Url, String> {
    let mut url = hook_url(&settings.address)
        .map_err(|reason| format!("invalid OpenTelemetry endpoint URL {}: '{reason}'", settings.address))?;
    let after_scheme = settings.address.split_once("://").map_or("", |(_, rest)| rest);
    if url.path() == "/" && !after_scheme.contains('/') {
        url.set_path("/v1/traces");
    }
    Ok(url)
}

fn export(message: &Message<'_>) -> ExportTraceServiceRequest {
    let (event, alert) = (message.event, message.alert);
    let object = &event.involved_object;
    let mut attributes = vec![
        attribute("object.uid", &object.uid),
        attribute("object.kind", &object.kind),
        attribute("object.name", &object.name),
        attribute("object.namespace", &object.namespace),
    ];
    let metadata = event.metadata.iter().filter(|(key, _)| !key.is_empty());
    attributes.extend(metadata.map(|(key, value)| attribute(key, value)));
    let status = if message.is_error() {
        Status { code: status::StatusCode::Error.into(), message: event.message.clone() }
    } else {
        Status { code: status::StatusCode::Ok.into(), message: String::new() }
    };
    let start = event.timestamp.parse().unwrap_or_else(|_| jiff::Timestamp::now());
    let span = Span {
        trace_id: trace_id(message).to_vec(),
        span_id: rand::rng().random::<[u8; 8]>().to_vec(),
        name: format!("{}: {}/{}", object.kind, object.namespace, object.name),
        kind: span::SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(start),
        end_time_unix_nano: nanoseconds(jiff::Timestamp::now()),
        attributes,
        status: Some(status),
        flags: FLAGS,
        ..Span::default()
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.instance.id", &alert.uid),
            attribute("service.name", &format!("{}/{}", alert.namespace, alert.name)),
            attribute("service.namespace", &alert.namespace),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "flux:notification-controller".to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: vec![span],
                schema_url: String::new(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

/// The same for all events of one alert and revision.
fn trace_id(message: &Message<'_>) -> [u8; 16] {
    let metadata = &message.event.metadata;
    let revision = match (metadata.get("app-version"), metadata.get("oci-digest")) {
        (Some(version), Some(digest)) => format!("{version}@{digest}"),
        _ => metadata.get("revision").cloned().unwrap_or_else(|| "unknown".to_owned()),
    };
    let digest = Sha256::digest(format!("{}:{revision}", message.alert.uid));
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn nanoseconds(time: jiff::Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}
