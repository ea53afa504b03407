//! Groups the events of one revision into one message.

use std::collections::BTreeMap;
use std::sync::Arc;

use fluxide_runtime::events::{Event, MESSAGE_LIMIT};

use super::Delivery;
use crate::events::dispatch::object_path;

/// One delivery that says what all of them say; a single one as it is.
pub fn combine(deliveries: &[Arc<Delivery>]) -> Option<Delivery> {
    let last = deliveries.last()?;
    if deliveries.len() == 1 {
        return Some(last.as_ref().clone());
    }
    let events: Vec<&Event> = deliveries.iter().map(|delivery| &delivery.event).collect();
    let is_error = |event: &Event| event.severity == "error";
    let errors = events.iter().filter(|event| is_error(event)).count();
    // What went wrong is what the message is about; otherwise the latest.
    let subject = events.iter().rev().find(|event| is_error(event)).map_or(&last.event, |event| *event);
    let mut event = subject.clone();
    event.metadata = common(&events);
    event.message = message(&events, errors);
    Some(Delivery { event, ..last.as_ref().clone() })
}

fn message(events: &[&Event], errors: usize) -> String {
    let mut text = match errors {
        0 => format!("{} events", events.len()),
        errors => format!("{} events, {errors} of them errors", events.len()),
    };
    for event in events {
        let mark = if event.severity == "error" { "✗" } else { "•" };
        text.push_str(&format!("\n{mark} {} {}: {}", object_path(event), event.reason, event.message));
    }
    if text.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - 4;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n...");
    }
    text
}

/// The metadata that all of them have.
fn common(events: &[&Event]) -> BTreeMap<String, String> {
    let Some((first, others)) = events.split_first() else { return BTreeMap::new() };
    let shared = |(key, value): &(&String, &String)| {
        others.iter().all(|event| event.metadata.get(*key) == Some(value))
    };
    first.metadata.iter().filter(shared).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::AlertIdentity;
    use serde_json::json;

    fn delivery(name: &str, severity: &str, env: &str) -> Arc<Delivery> {
        let event = serde_json::from_value(json!({
            "involvedObject": {"kind": "Kustomization", "namespace": "n", "name": name}, "severity": severity,
            "reason": "R", "message": format!("about {name}"), "metadata": {"revision": "main@sha1:1", "env": env},
        }));
        let alert = AlertIdentity {
            namespace: "n".to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
            resource_version: String::new(),
        };
        Arc::new(Delivery {
            id: 1,
            alert,
            provider: "p".to_owned(),
            status_id: String::new(),
            event: event.unwrap(),
            accepted: 0,
            attempts: 0,
            not_before: 0,
            digest: Some(1),
        })
    }

    #[test]
    fn one_is_itself_and_several_are_a_list() {
        let one = delivery("x", "info", "e");
        assert_eq!(combine(std::slice::from_ref(&one)).unwrap(), *one);
        let combined =
            combine(&[one, delivery("y", "error", "e"), delivery("z", "info", "other")]).unwrap().event;
        assert_eq!(combined.involved_object.name, "y");
        assert_eq!(combined.severity, "error");
        assert_eq!(json!(combined.metadata), json!({"revision": "main@sha1:1"}));
        assert_eq!(
            combined.message,
            "3 events, 1 of them errors\n• Kustomization/n/x R: about x\n✗ Kustomization/n/y R: about y\n• Kustomization/n/z R: about z"
        );
        assert!(combine(&[]).is_none());
    }
}
