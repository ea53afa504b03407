//! What enqueues and what does not.

use super::*;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::sync::Arc;

fn object(metadata: Value) -> Arc<ConfigMap> {
    Arc::new(serde_json::from_value(json!({ "metadata": metadata })).unwrap())
}

fn passes(old: Value, new: Value) -> bool {
    primary(&Change { old: Some(object(old)), new: Some(object(new)), initial: false })
}

fn request(value: &str) -> Value {
    json!({"generation": 1, "annotations": {RECONCILE_REQUEST: value}})
}

#[test]
fn generation_and_new_requests_enqueue() {
    let plain = || json!({"generation": 1});
    assert!(passes(plain(), json!({"generation": 2})));
    assert!(passes(plain(), request("a")));
    assert!(passes(request("a"), request("b")));
    assert!(passes(request("b"), request("a")));
    assert!(passes(plain(), json!({"generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z"})));
}

#[test]
fn labels_other_annotations_and_removed_requests_do_not() {
    let plain = || json!({"generation": 1});
    assert!(!passes(plain(), json!({"generation": 1, "resourceVersion": "2"})));
    assert!(!passes(plain(), json!({"generation": 1, "labels": {"a": "b"}})));
    assert!(!passes(plain(), json!({"generation": 1, "annotations": {"a": "b"}})));
    assert!(!passes(request("a"), request("a")));
    assert!(!passes(request("a"), plain()));
}

#[test]
fn creation_and_deletion_enqueue() {
    let object = Some(object(json!({})));
    let created = Change { old: None, new: object.clone(), initial: true };
    let deleted = Change { old: object, new: None, initial: false };
    assert!(primary(&created) && primary(&deleted));
}

#[test]
fn a_one_shot_annotation_needs_an_equal_fresh_request() {
    let object = |request: Option<&str>, force: Option<&str>| {
        let pairs = [(RECONCILE_REQUEST, request), (FORCE_REQUEST, force)];
        let annotations: serde_json::Map<String, Value> =
            pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
        super::tests::object(json!({ "annotations": annotations }))
    };
    let forced = |request, force, handled, handled_force| {
        one_shot(object(request, force).as_ref(), FORCE_REQUEST, handled, handled_force)
    };
    assert!(forced(Some("1"), Some("1"), None, None));
    assert!(forced(Some("2"), Some("2"), Some("1"), Some("1")));
    assert!(!forced(Some("2"), Some("1"), None, None));
    assert!(!forced(None, Some("1"), None, None));
    assert!(!forced(Some("1"), None, None, None));
    assert!(!forced(Some("1"), Some("1"), Some("1"), None));
    assert!(!forced(Some("1"), Some("1"), None, Some("1")));
}
