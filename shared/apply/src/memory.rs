//! What is known of applied objects from earlier passes, so that what is the same as last time is not
//! tried again, and often not even read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::inventory::ObjectId;
use crate::managed_fields::{TakeOver, is_taken_over};
use crate::object::Object;

/// A verdict is not trusted for longer: admission and defaulting in the cluster may have changed.
const MAX_AGE: Duration = Duration::from_secs(6 * 3600);

/// Which payloads were found to change nothing, at which state of the objects.
#[derive(Debug)]
pub struct Memory {
    marks: Marks,
    known: Mutex<HashMap<ObjectId, Known>>,
}

/// By what an object shows whose it is and how it is to be treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The field manager that objects are applied by, and those whose fields it takes over.
    pub take_over: TakeOver,
    /// Group of the labels and annotations that steer an apply.
    pub group: String,
}

#[derive(Debug)]
struct Known {
    state: State,
    content: Fingerprint,
    payload: Fingerprint,
    /// The resource version at which the object was last found healthy.
    healthy_at: Option<Box<str>>,
    since: Instant,
}

/// The identity of a text, such as a payload.
pub type Fingerprint = [u8; 16];

/// The state of an object, as far as its metadata tell: equal states, equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The object's `metadata.uid`.
    pub uid: Box<str>,
    /// The object's `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    content: Fingerprint,
}

impl State {
    /// The state of an object with these metadata.
    ///
    /// Kinds that count generations show in their metadata whether anything that we applied has
    /// changed: nobody changes the value of a field without becoming its manager in our place. The
    /// generation itself tells less: that of a Deployment counts the annotations that its own
    /// controller writes. Of the others every change counts.
    pub fn of(metadata: &Map<String, Value>, marks: &Marks) -> Self {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut hash = Sha256::new();
        match metadata.get("generation").and_then(Value::as_i64) {
            Some(generation) if generation > 0 => marks.hash(metadata, &mut hash),
            _ => hash.update(text("resourceVersion")),
        }
        Self {
            uid: text("uid").into(),
            resource_version: text("resourceVersion").into(),
            content: finish(hash),
        }
    }

    /// True when the content was the same, whatever happened to the status.
    pub fn has_content_of(&self, other: &Self) -> bool {
        self.uid == other.uid && self.content == other.content
    }
}

/// The identity of a payload.
pub fn fingerprint(payload: &Object) -> Fingerprint {
    let mut hash = Sha256::new();
    // Writing a JSON value into a hash cannot fail.
    let _ = serde_json::to_writer(&mut hash, payload.fields());
    finish(hash)
}

/// The identity of what an apply compares and takes over: everything but status and bookkeeping.
fn content_fingerprint(object: &Object) -> Fingerprint {
    let mut hash = Sha256::new();
    for (key, value) in object.fields() {
        match (key.as_str(), value) {
            ("status", _) if !object.is_custom_resource_definition() => {}
            ("metadata", Value::Object(metadata)) => hash_metadata(metadata, &mut hash),
            _ => {
                hash.update(key);
                let _ = serde_json::to_writer(&mut hash, value);
            }
        }
    }
    finish(hash)
}

/// The metadata that decide what an apply does: labels, annotations, and who owns which field.
fn hash_metadata(metadata: &Map<String, Value>, hash: &mut Sha256) {
    for field in ["labels", "annotations", "deletionTimestamp"] {
        if let Some(value) = metadata.get(field) {
            hash.update(field);
            let _ = serde_json::to_writer(&mut *hash, value);
        }
    }
    let entries = metadata.get("managedFields").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        if entry.get("subresource").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
            continue;
        }
        for field in ["manager", "operation", "apiVersion", "fieldsV1"] {
            let _ = serde_json::to_writer(&mut *hash, &entry.get(field));
        }
    }
}

fn finish(hash: Sha256) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&hash.finalize()[..16]);
    fingerprint
}

impl Marks {
    /// What tells whether fields of ours changed: our own entry in the managed fields, those that we
    /// would take over, and what the object asks for.
    fn hash(&self, metadata: &Map<String, Value>, hash: &mut Sha256) {
        for field in ["labels", "annotations"] {
            let members = metadata.get(field).and_then(Value::as_object);
            for (key, value) in members.into_iter().flatten() {
                if key.split_once('/').is_some_and(|(group, _)| group == self.group) {
                    hash.update(key);
                    let _ = serde_json::to_writer(&mut *hash, value);
                }
            }
        }
        let _ = serde_json::to_writer(&mut *hash, &metadata.get("deletionTimestamp"));
        let entries = metadata.get("managedFields").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let is_ours = text("manager") == self.take_over.field_manager;
            if text("subresource").is_empty() && (is_ours || is_taken_over(entry, &self.take_over)) {
                for field in ["manager", "operation", "apiVersion", "fieldsV1"] {
                    let _ = serde_json::to_writer(&mut *hash, &entry.get(field));
                }
            }
            if is_ours {
                // Somebody may write under our name.
                let _ = serde_json::to_writer(&mut *hash, &entry.get("time"));
            }
        }
    }

    fn state_of(&self, object: &Object) -> State {
        match object.fields().get("metadata").and_then(Value::as_object) {
            Some(metadata) => State::of(metadata, self),
            None => State::of(&Map::new(), self),
        }
    }
}

impl Memory {
    /// A memory of objects with these marks.
    pub fn new(marks: Marks) -> Self {
        Self { marks, known: Mutex::default() }
    }

    /// True when applying a payload to an object with this very content changed nothing before.
    pub fn is_unchanged(&self, id: &ObjectId, live: &Object, payload: &Fingerprint) -> bool {
        let mut known = self.lock();
        let Some(known) = known.get_mut(id).filter(|known| known.payload == *payload && known.is_fresh())
        else {
            return false;
        };
        let state = self.marks.state_of(live);
        let is_same = known.state.uid == state.uid
            && (known.state.content == state.content || known.content == content_fingerprint(live));
        if is_same {
            known.state = state;
        }
        is_same
    }

    /// True when a payload is what an object in this state already is.
    pub fn is_known(&self, id: &ObjectId, state: &State, payload: &Fingerprint) -> bool {
        let known = self.lock();
        known.get(id).is_some_and(|known| {
            known.payload == *payload && known.is_fresh() && known.state.has_content_of(state)
        })
    }

    /// True when an object in this state is as it was applied, whatever the payload was.
    pub fn is_as_applied(&self, id: &ObjectId, state: &State) -> bool {
        self.lock().get(id).is_some_and(|known| known.is_fresh() && known.state.has_content_of(state))
    }

    /// True when something is known of an object.
    pub fn knows(&self, id: &ObjectId) -> bool {
        self.lock().contains_key(id)
    }

    /// Remembers that a payload is what an object already is.
    pub fn remember(&self, id: ObjectId, object: &Object, payload: Fingerprint) {
        let mut known = self.lock();
        let healthy_at = known.remove(&id).and_then(|known| known.healthy_at);
        let fresh = Known {
            state: self.marks.state_of(object),
            content: content_fingerprint(object),
            payload,
            healthy_at,
            since: Instant::now(),
        };
        known.insert(id, fresh);
    }

    /// Remembers that an object was healthy at a resource version.
    pub fn remember_healthy(&self, id: &ObjectId, resource_version: &str) {
        if let Some(known) = self.lock().get_mut(id) {
            known.healthy_at = Some(resource_version.into());
        }
    }

    /// True when an object was healthy at a resource version.
    pub fn was_healthy_at(&self, id: &ObjectId, resource_version: &str) -> bool {
        self.lock().get(id).is_some_and(|known| known.healthy_at.as_deref() == Some(resource_version))
    }

    /// Forgets one object.
    pub fn forget(&self, id: &ObjectId) {
        self.lock().remove(id);
    }

    /// Forgets everything, after something went wrong.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Forgets the objects that are not wanted any more.
    pub fn retain(&self, keep: impl Fn(&ObjectId) -> bool) {
        self.lock().retain(|id, _| keep(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < MAX_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marks() -> Marks {
        let take_over = TakeOver { field_manager: "ours".into(), override_managers: Vec::new() };
        Marks { take_over, group: "g".into() }
    }

    fn state_of(object: &Object) -> State {
        marks().state_of(object)
    }

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    fn deployment(version: &str, generation: i64, more: Value) -> Object {
        let mut value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "apps", "uid": "1", "resourceVersion": version,
                "generation": generation, "labels": {"a": "b"}},
            "spec": {"replicas": 1},
        });
        for (key, member) in more.as_object().unwrap() {
            value[key] = member.clone();
        }
        object(value)
    }

    #[test]
    fn a_changed_status_changes_nothing() {
        let memory = Memory::new(marks());
        let live = deployment("5", 1, json!({}));
        let (id, payload) = (ObjectId::of(&live), fingerprint(&live));
        assert!(!memory.is_unchanged(&id, &live, &payload));
        memory.remember(id.clone(), &live, payload);
        let mut later = deployment("9", 2, json!({"status": {"replicas": 1}}));
        later.set_annotation("deployment.kubernetes.io/revision", "1");
        later.metadata_mut().insert(
            "managedFields".into(),
            json!([{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {}}]),
        );
        assert!(memory.is_unchanged(&id, &later, &payload));
        assert!(memory.is_as_applied(&id, &state_of(&later)));
        assert!(!memory.is_unchanged(&id, &later, &[0; 16]), "another payload");
    }

    #[test]
    fn a_changed_spec_label_or_owner_is_noticed() {
        let memory = Memory::new(marks());
        let applied = |time: &str, fields: Value| json!({"manager": "ours", "operation": "Apply", "time": time, "fieldsV1": fields});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let owned_by = |mut object: Object, entries: Value| {
            object.metadata_mut().insert("managedFields".into(), entries);
            object
        };
        let live = owned_by(deployment("5", 1, json!({})), json!([applied("1", replicas.clone())]));
        let (id, payload) = (ObjectId::of(&live), fingerprint(&live));
        memory.remember(id.clone(), &live, payload);
        let by_our_name = deployment("6", 2, json!({"spec": {"replicas": 2}}));
        let by_our_name = owned_by(by_our_name, json!([applied("2", replicas.clone())]));
        assert!(!memory.is_unchanged(&id, &by_our_name, &payload));
        let edited = deployment("6", 2, json!({"spec": {"replicas": 2}}));
        let other = json!({"manager": "edit", "operation": "Update", "fieldsV1": replicas});
        let edited = owned_by(edited, json!([applied("1", json!({})), other]));
        assert!(!memory.is_unchanged(&id, &edited, &payload));
        assert!(!memory.is_as_applied(&id, &state_of(&edited)));
        let mut labelled = live.clone();
        labelled.set_annotation("g/reconcile", "disabled");
        assert!(!memory.is_unchanged(&id, &labelled, &payload));
        let mut owned = deployment("6", 1, json!({}));
        owned.metadata_mut().insert(
            "managedFields".into(),
            json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}]),
        );
        assert!(!memory.is_unchanged(&id, &owned, &payload));
    }

    #[test]
    fn without_generations_every_change_counts_until_the_content_was_compared() {
        let memory = Memory::new(marks());
        let at = |version: &str, data: &str| {
            object(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": data},
                "metadata": {"name": "a", "uid": "1", "resourceVersion": version},
            }))
        };
        let (live, payload) = (at("5", "x"), [1; 16]);
        let id = ObjectId::of(&live);
        memory.remember(id.clone(), &live, payload);
        let touched = at("6", "x");
        assert!(!memory.is_as_applied(&id, &state_of(&touched)));
        assert!(memory.is_unchanged(&id, &touched, &payload));
        assert!(memory.is_as_applied(&id, &state_of(&touched)), "now it was compared");
        assert!(!memory.is_unchanged(&id, &at("7", "y"), &payload));
    }
}
