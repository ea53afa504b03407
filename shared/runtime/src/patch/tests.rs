//! Merge patches and the three-way merge of conditions.

use super::*;
use crate::conditions::Status;

fn condition(kind: &str, message: &str) -> Condition {
    conditions::new(kind, Status::True, "A", message, 1)
}

#[test]
fn a_patch_says_only_what_differs() {
    let diff = |from: Value, to: Value| merge_diff(&from, &to);
    assert_eq!(diff(json!({"a": 1}), json!({"a": 1})), None);
    assert_eq!(diff(json!({}), json!({"a": {"b": 1}})), Some(json!({"a": {"b": 1}})));
    assert_eq!(diff(json!({"a": 1, "b": 2}), json!({"b": 2})), Some(json!({"a": null})));
    assert_eq!(
        diff(json!({"a": {"b": 1, "c": 2}, "d": 3}), json!({"a": {"b": 9, "c": 2}, "d": 3})),
        Some(json!({"a": {"b": 9}}))
    );
    assert_eq!(diff(json!({"a": [1, 2]}), json!({"a": [1]})), Some(json!({"a": [1]})));
    assert_eq!(diff(json!({"a": {"b": 1}}), json!({"a": 1})), Some(json!({"a": 1})));
}

#[test]
fn a_patch_applied_gives_the_target() {
    let values = [
        json!({}),
        json!({"a": {"b": 1, "c": [1]}, "d": "x"}),
        json!({"a": {"c": [2]}, "e": {"f": {"g": true}}}),
        json!({"a": 1}),
    ];
    for from in &values {
        for to in &values {
            let mut result = from.clone();
            if let Some(patch) = merge_diff(from, to) {
                json_merge(&mut result, &patch);
            }
            assert_eq!(&result, to);
        }
    }
}

/// RFC 7386.
fn json_merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            json_merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn foreign_conditions_survive_and_owned_ones_win() {
    let original = [condition("Ready", "old"), condition("Gone", "x")];
    let desired = [condition("Ready", "new"), condition("Added", "a")];
    let live = [condition("Ready", "somebody"), condition("Gone", "x"), condition("Foreign", "f")];
    let merged = merge_conditions(&original, &desired, &live, &["Ready"]).unwrap();
    let merged: Vec<_> = merged.iter().map(|c| (c.type_.as_str(), c.message.as_str())).collect();
    assert_eq!(merged, [("Ready", "new"), ("Added", "a"), ("Foreign", "f")]);
}

#[test]
fn a_concurrent_change_of_what_is_not_owned_is_a_conflict() {
    let conflict = |original: &[Condition], desired: &[Condition], live: &[Condition]| {
        merge_conditions(original, desired, live, &["Ready"]).unwrap_err().to_string()
    };
    let (a, b, c) = (condition("X", "a"), condition("X", "b"), condition("X", "c"));
    let changed = conflict(std::slice::from_ref(&a), std::slice::from_ref(&b), std::slice::from_ref(&c));
    assert!(
        changed.starts_with(
            "error patching conditions: The condition \"X\" was modified by a different process \
             and this caused a merge/ChangeCondition conflict: "
        ),
        "{changed}"
    );
    assert!(conflict(&[], std::slice::from_ref(&b), std::slice::from_ref(&c)).contains("merge/AddCondition"));
    assert!(
        conflict(std::slice::from_ref(&a), &[], std::slice::from_ref(&c)).contains("merge/RemoveCondition")
    );
    // The other process wanted the same.
    assert!(merge_conditions(&[a], std::slice::from_ref(&b), std::slice::from_ref(&b), &[]).is_ok());
}

/// An object that has a status.
#[derive(kube::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "test.fluxide.dev", version = "v1", kind = "Thing", namespaced, status = "ThingStatus")]
pub struct ThingSpec {
    suspend: bool,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThingStatus {
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
    last_handled_reconcile_at: Option<String>,
}

fluxide_meta::object!(Thing);

/// A server with one object, which refuses writes of other versions than its own.
fn server(object: Value) -> kube::Client {
    let object = std::sync::Arc::new(std::sync::Mutex::new(object));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let object = std::sync::Arc::clone(&object);
        async move {
            let is_read = request.method() == http::Method::GET;
            let body = request.into_body().collect_bytes().await.unwrap();
            let mut object = object.lock().unwrap();
            let mut status = 200;
            let mut answer = object.clone();
            if !is_read {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                if patch["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"] {
                    json_merge(&mut object, &patch);
                    let version: u64 =
                        object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                    answer = object.clone();
                } else {
                    status = 409;
                    answer = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
                        "reason": "Conflict", "message": "modified"});
                }
            }
            let body = kube::client::Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, std::convert::Infallible>(http::Response::builder().status(status).body(body).unwrap())
        }
    });
    kube::Client::new(service, "apps")
}

#[tokio::test]
async fn what_was_written_over_somebody_elses_change_stays_so() {
    let stored = |version: &str| {
        json!({"apiVersion": "test.fluxide.dev/v1", "kind": "Thing", "spec": {"suspend": false},
            "metadata": {"name": "a", "namespace": "apps", "uid": "1", "resourceVersion": version}})
    };
    let mut newer = stored("8");
    newer["metadata"]["annotations"] = json!({crate::predicate::RECONCILE_REQUEST: "now"});
    let api = Api::<Thing>::namespaced(server(newer), "apps");
    let mut thing: Thing = serde_json::from_value(stored("7")).unwrap();
    let mut writer = StatusWriter::new(&thing, "tester", &["Ready"]).unwrap();
    for (message, expected) in
        [("one", Written::OverNewer), ("two", Written::OverNewer), ("two", Written::Nothing)]
    {
        conditions::mark_true(&mut thing, "Ready", "Succeeded", message);
        assert_eq!(writer.write(&api, &mut thing).await.unwrap(), expected, "{message}");
    }
    assert_eq!(thing.resource_version().as_deref(), Some("10"));

    let api = Api::<Thing>::namespaced(server(stored("7")), "apps");
    let mut thing: Thing = serde_json::from_value(stored("7")).unwrap();
    let mut writer = StatusWriter::new(&thing, "tester", &["Ready"]).unwrap();
    conditions::mark_true(&mut thing, "Ready", "Succeeded", "one");
    assert_eq!(writer.write(&api, &mut thing).await.unwrap(), Written::InOrder);
}
