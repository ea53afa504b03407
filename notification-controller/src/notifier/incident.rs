//! Incident management and monitoring: Opsgenie, PagerDuty, incident.io, Alertmanager, Grafana and
//! Datadog.

use std::collections::BTreeMap;

use crate::events::incoming::NO_TIME;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::http::Request;
use super::settings::Settings;
use super::{Message, Requests, hook_url, object_name, reason_in_words, time, unix_seconds};

/// Events about work under way open and close nothing.
const PROGRESSING: &str = "Progressing";

/// Whether the settings of an `opsgenie` provider are complete.
pub fn check_opsgenie(settings: &Settings) -> Result<(), String> {
    url(settings, "Opsgenie hook")?;
    if settings.token.is_empty() { Err("empty Opsgenie apikey/token".to_owned()) } else { Ok(()) }
}

/// An alert for Opsgenie.
pub fn opsgenie(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let object = &event.involved_object;
    let mut details: BTreeMap<&str, &str> = metadata(message);
    details.insert("severity", &event.severity);
    let body = json!({
        "message": format!("{}/{}", object.kind, object.name),
        "description": event.message,
        "details": details,
    });
    let request = message.webhook(settings, url(settings, "Opsgenie hook")?, &body)?;
    Ok(vec![authorized(request, "GenieKey", settings)?])
}

/// Whether the settings of a `pagerduty` provider are complete.
pub fn check_pager_duty(settings: &Settings) -> Result<(), String> {
    pager_duty_url(settings, "").map(|_| ())
}

/// An event for PagerDuty, and a change event when it is good news.
pub fn pager_duty(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    if event.reason == PROGRESSING {
        return Ok(Vec::new());
    }
    let object = &event.involved_object;
    let summary = format!(
        "{}: {}",
        reason_in_words(&event.reason),
        format!("{}/{}", object.kind, object.name).to_lowercase()
    );
    let source = format!("Flux {}", event.reporting_controller);
    let details = json!({"message": event.message, "metadata": metadata(message)});
    let mut alert = json!({
        "routing_key": settings.channel,
        "event_action": if message.is_error() { "trigger" } else { "resolve" },
    });
    if !object.uid.is_empty() {
        alert["dedup_key"] = object.uid.as_str().into();
    }
    if message.is_error() {
        alert["payload"] = json!({
            "summary": summary,
            "source": source,
            "severity": "error",
            "timestamp": time(event),
            "custom_details": details,
        });
        for (member, value) in [("component", &object.name), ("group", &object.kind)] {
            if !value.is_empty() {
                alert["payload"][member] = value.as_str().into();
            }
        }
        return Ok(vec![message.webhook(settings, pager_duty_url(settings, "/v2/enqueue")?, &alert)?]);
    }
    if event.severity != "info" {
        return Ok(vec![message.webhook(settings, pager_duty_url(settings, "/v2/enqueue")?, &alert)?]);
    }
    let change = json!({
        "routing_key": settings.channel,
        "payload": {
            "summary": summary, "source": source, "timestamp": time(event), "custom_details": details,
        },
    });
    Ok(vec![
        message.webhook(settings, pager_duty_url(settings, "/v2/enqueue")?, &alert)?,
        message.webhook(settings, pager_duty_url(settings, "/v2/change/enqueue")?, &change)?,
    ])
}

fn pager_duty_url(settings: &Settings, path: &str) -> Result<Url, String> {
    let mut url = hook_url(&settings.address)
        .map_err(|reason| format!("invalid PagerDuty endpoint URL {:?}: '{reason}'", settings.address))?;
    url.set_path(path);
    url.set_query(None);
    Ok(url)
}

/// Whether the settings of an `incident.io` provider are complete.
pub fn check_incident_io(settings: &Settings) -> Result<(), String> {
    url(settings, "incident.io hook")?;
    if settings.token.is_empty() { Err("empty incident.io token".to_owned()) } else { Ok(()) }
}

/// An alert for incident.io.
pub fn incident_io(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    if event.reason == PROGRESSING {
        return Ok(Vec::new());
    }
    let mut more = metadata(message);
    more.insert("severity", &event.severity);
    more.insert("reason", &event.reason);
    more.insert("reportingController", &event.reporting_controller);
    let body = json!({
        "title": format!("{}: {}", object_name(event), event.reason),
        "status": if message.is_error() { "firing" } else { "resolved" },
        "deduplication_key": event.involved_object.uid,
        "description": event.message,
        "metadata": more,
    });
    let request = message.webhook(settings, url(settings, "incident.io hook")?, &body)?;
    Ok(vec![authorized(request, "Bearer", settings)?])
}

/// Whether the settings of an `alertmanager` provider are complete.
pub fn check_alertmanager(settings: &Settings) -> Result<(), String> {
    url(settings, "Alertmanager").map(|_| ())
}

/// An alert for Alertmanager.
pub fn alertmanager(settings: &Settings, message: &Message<'_>) -> Requests {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Alert<'a> {
        status: &'a str,
        labels: BTreeMap<&'a str, String>,
        annotations: BTreeMap<&'a str, &'a str>,
        starts_at: &'a str,
        ends_at: &'a str,
    }
    let event = message.event;
    let object = &event.involved_object;
    let mut labels: BTreeMap<&str, String> =
        event.metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let mut annotations = BTreeMap::from([("message", event.message.as_str())]);
    labels.remove("summary");
    if let Some(summary) = event.metadata.get("summary") {
        annotations.insert("summary", summary);
    }
    labels.extend([
        ("alertname", format!("Flux{}{}", object.kind, title_case(&event.reason))),
        ("severity", event.severity.clone()),
        ("reason", event.reason.clone()),
        ("kind", object.kind.clone()),
        ("name", object.name.clone()),
        ("namespace", object.namespace.clone()),
        ("reportingcontroller", event.reporting_controller.clone()),
    ]);
    let alert = Alert { status: "firing", labels, annotations, starts_at: time(event), ends_at: NO_TIME };
    let mut request = message.webhook(settings, url(settings, "Alertmanager")?, &[alert])?;
    if !settings.username.is_empty() && !settings.password.is_empty() {
        request = basic(request, settings)?;
    } else if !settings.token.is_empty() {
        request = authorized(request, "Bearer", settings)?;
    }
    Ok(vec![request])
}

/// The first letter of each word large and all others small, which is what Flux's alerts are named by. Words are Unicode's:
/// an apostrophe, a dot or a colon between letters is part of one, and so is a digit.
fn title_case(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut titled = String::with_capacity(text.len());
    let mut begun = false;
    for (at, &c) in characters.iter().enumerate() {
        let between = |is_part: fn(char) -> bool| {
            let neighbour =
                |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|&c| is_part(c));
            neighbour(at.checked_sub(1)) && neighbour(Some(at + 1))
        };
        match c {
            // Such as `ǅ`, which is large as it is.
            _ if is_title(c) && !begun => begun = true,
            _ if c.is_lowercase() || c.is_uppercase() || is_title(c) => {
                if begun {
                    titled.extend(c.to_lowercase())
                } else {
                    titled.extend(c.to_uppercase())
                }
                begun = true;
                continue;
            }
            '_' => {}
            '\'' | '.' | '\u{2018}' | '\u{2019}' | ':' | '\u{b7}' if between(char::is_alphabetic) => {}
            '\'' | '.' | ',' | ';' if between(char::is_numeric) => {}
            _ if c.is_alphanumeric() => {}
            _ => begun = false,
        }
        titled.push(c);
    }
    titled
}

fn is_title(c: char) -> bool {
    !c.is_lowercase() && !c.is_uppercase() && c.to_lowercase().ne([c])
}

/// Whether the settings of a `grafana` provider are complete.
pub fn check_grafana(settings: &Settings) -> Result<(), String> {
    hook_url(&settings.address).map(|_| ()).map_err(|_| format!("invalid Grafana URL {}", settings.address))
}

/// An annotation for Grafana.
pub fn grafana(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let object = &event.involved_object;
    let plain = |text: &str| text.replace(':', "|");
    let mut tags = vec!["flux".to_owned(), event.reporting_controller.clone()];
    tags.extend(event.metadata.iter().map(|(key, value)| format!("{}: {}", plain(key), plain(value))));
    tags.extend([
        format!("kind: {}", object.kind),
        format!("name: {}", object.name),
        format!("namespace: {}", object.namespace),
    ]);
    let body = json!({"when": unix_seconds(event), "text": object_name(event), "tags": tags});
    let mut request = message.webhook(settings, url(settings, "Grafana")?, &body)?;
    if !settings.token.is_empty() {
        request = authorized(request, "Bearer", settings)?;
    } else if !settings.username.is_empty() && !settings.password.is_empty() {
        request = basic(request, settings)?;
    }
    Ok(vec![request])
}

/// Whether the settings of a `datadog` provider are complete.
pub fn check_datadog(settings: &Settings) -> Result<(), String> {
    if settings.token.is_empty() {
        return Err("token cannot be empty".to_owned());
    }
    datadog_url(settings).map(|_| ())
}

/// An event for Datadog.
pub fn datadog(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let object = &event.involved_object;
    let mut tags = vec![
        format!("flux_reporting_controller:{}", event.reporting_controller),
        format!("flux_reason:{}", event.reason),
        format!("kube_kind:{}", object.kind),
        format!("kube_name:{}", object.name),
        format!("kube_namespace:{}", object.namespace),
    ];
    tags.extend(event.metadata.iter().map(|(key, value)| format!("{key}:{value}")));
    let tags: Vec<Value> = tags.into_iter().map(|tag| tag.to_lowercase().into()).collect();
    let body = json!({
        "title": format!("Events from the {} {}/{}", object.kind, object.name, object.namespace),
        "text": event.message,
        "tags": tags,
        "source_type_name": "fluxcd",
        "date_happened": unix_seconds(event),
        "alert_type": if message.is_error() { "error" } else { "info" },
    });
    let request = message.webhook(settings, datadog_url(settings)?, &body)?;
    let request = request.header("DD-API-KEY", settings.header_token());
    Ok(vec![request.map_err(|error| error.to_string())?])
}

fn datadog_url(settings: &Settings) -> Result<Url, String> {
    let mut url = hook_url(&settings.address)
        .map_err(|reason| format!("failed to parse address {:?}: {reason}", settings.address))?;
    url.set_path("/api/v1/events");
    url.set_query(None);
    Ok(url)
}

fn metadata<'a>(message: &Message<'a>) -> BTreeMap<&'a str, &'a str> {
    message.event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn url(settings: &Settings, what: &str) -> Result<Url, String> {
    hook_url(&settings.address)
        .map_err(|reason| format!("invalid {what} URL {}: '{reason}'", settings.address))
}

fn authorized(request: Request, scheme: &str, settings: &Settings) -> Result<Request, String> {
    request.authorization(scheme, settings.header_token()).map_err(|error| error.to_string())
}

fn basic(request: Request, settings: &Settings) -> Result<Request, String> {
    request.basic(&settings.username, &settings.password).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_begin_large_and_go_on_small() {
        assert_eq!(super::title_case("HealthCheckFailed"), "Healthcheckfailed");
        assert_eq!(super::title_case("a b-c"), "A B-C");
        assert_eq!(
            super::title_case("it'sBroken a:b x·y 3Times snake_case. 1.x"),
            "It'sbroken A:b X·y 3Times Snake_case. 1.X"
        );
    }
}
