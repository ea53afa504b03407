//! Events as they arrive: decoded, cleaned, and known by what makes two of them the same.

use fluxide_runtime::events::{ANNOTATION_PREFIX, Event};
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::volatile;
use crate::lenient_json;

/// The time of events that have none.
pub const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Metadata keys that say nothing to people.
const DROPPED: [&str; 2] = ["checksum", "digest"];
/// The metadata key that tells equal events apart and is for nobody else.
pub const TOKEN: &str = "token";
/// The metadata keys that tell events with the same message apart.
const DISTINGUISHING: [&str; 3] = ["originRevision", "revision", TOKEN];

/// Decodes an event. What is null counts as left out.
pub fn decode(body: &[u8]) -> Result<Event, serde_json::Error> {
    let mut members: Map<String, Value> = serde_json::from_slice(&lenient_json::mended(body))?;
    members.retain(|_, member| !member.is_null());
    for nested in ["involvedObject", "metadata"] {
        match members.get_mut(nested) {
            None => {}
            Some(Value::Object(members)) => members.retain(|_, member| !member.is_null()),
            Some(_) => return Err(serde::de::Error::custom(format!("{nested} is no object"))),
        }
    }
    let mut event: Event = serde_json::from_value(Value::Object(members))?;
    if !event.timestamp.is_empty() {
        let time = event.timestamp.parse::<Timestamp>().map_err(serde::de::Error::custom)?;
        event.timestamp = fluxide_runtime::timestamp(time);
    }
    // What Go takes for no time at all.
    if event.timestamp == NO_TIME {
        event.timestamp.clear();
    }
    clean(&mut event);
    Ok(event)
}

/// The API group of the object that an event is about; none if the API version is not one.
pub fn group(event: &Event) -> &str {
    let parts = event.involved_object.api_version.split_once('/');
    parts.filter(|(_, version)| !version.contains('/')).map_or("", |(group, _)| group)
}

/// The value of a metadata key of the object's own group.
pub fn own_metadata<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.metadata.get(&format!("{}/{key}", group(event))).map(String::as_str)
}

/// Removes metadata that neither the object's controller nor its annotations can have given.
fn clean(event: &mut Event) {
    let own = format!("{}/", group(event));
    event.metadata.retain(|key, _| {
        if key.starts_with(ANNOTATION_PREFIX) {
            return true;
        }
        key.strip_prefix(&own)
            .is_some_and(|key| !DROPPED.iter().any(|dropped| key.eq_ignore_ascii_case(dropped)))
    });
}

/// What is the same for events that need not be sent again within the interval; if wanted, whatever the volatile parts of
/// their messages are.
pub fn identity(event: &Event, ignore_volatile: bool) -> [u8; 32] {
    let object = &event.involved_object;
    let message =
        if ignore_volatile { volatile::without(&event.message) } else { event.message.as_str().into() };
    let mut parts = vec![
        "event".to_owned(),
        format!("name={}", object.name),
        format!("namespace={}", object.namespace),
        format!("kind={}", object.kind),
        format!("message={message}"),
    ];
    for key in DISTINGUISHING {
        if let Some(value) = own_metadata(event, key) {
            parts.push(format!("{key}={value}"));
        }
    }
    Sha256::digest(parts.join("/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(metadata: Value) -> Event {
        let body = json!({
            "involvedObject": {"kind": "Kustomization", "namespace": "n", "name": "a", "apiVersion": "k.fluxcd.io/v1"},
            "severity": "info", "timestamp": "2026-08-01T12:00:00.123+02:00", "message": "m", "reason": "R",
            "metadata": metadata, "reportingController": "k", "action": "x", "relatedObject": null,
        });
        decode(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_known_prefixes_come_in() {
        let event = event(json!({
            "k.fluxcd.io/revision": "r", "k.fluxcd.io/Digest": "d", "k.fluxcd.io/CHECKSUM": "c", "k.fluxcd.io/token": "t",
            "event.toolkit.fluxcd.io/env": "e", "other.io/x": "x", "bare": "b", "k.fluxcd.io.evil/x": "x",
        }));
        let keys: Vec<_> = event.metadata.keys().map(String::as_str).collect();
        assert_eq!(keys, ["event.toolkit.fluxcd.io/env", "k.fluxcd.io/revision", "k.fluxcd.io/token"]);
        assert_eq!(event.timestamp, "2026-08-01T10:00:00Z");
    }

    #[test]
    fn revisions_and_tokens_make_events_different_and_annotations_do_not() {
        let identity = |event: &Event| identity(event, false);
        let plain = identity(&event(json!({})));
        assert_eq!(plain, identity(&event(json!({"event.toolkit.fluxcd.io/summary": "s"}))));
        assert_eq!(plain, identity(&event(json!({"k.fluxcd.io/app-version": "1"}))));
        for key in ["revision", "originRevision", "token"] {
            assert_ne!(plain, identity(&event(json!({format!("k.fluxcd.io/{key}"): "1"}))), "{key}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in ["", "x", "[]", "\"x\"", "{\"message\":1}", "{\"timestamp\":\"x\"}", "{}{}"] {
            assert!(decode(body.as_bytes()).is_err(), "{body}");
        }
        assert!(decode(b"{}").is_ok());
        assert!(decode(br#"{"metadata":null,"timestamp":null}"#).is_ok());
    }
}
