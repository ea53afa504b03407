//! What every Flux object of the cluster is doing, as lines for people and as a verdict for `--once`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// The kinds that are followed, in the order in which they are listed.
const KINDS: &[(&str, &str, &str)] = &[
    ("source.toolkit.fluxcd.io", "v1", "GitRepository"),
    ("source.toolkit.fluxcd.io", "v1", "OCIRepository"),
    ("source.toolkit.fluxcd.io", "v1", "Bucket"),
    ("source.toolkit.fluxcd.io", "v1", "HelmRepository"),
    ("source.toolkit.fluxcd.io", "v1", "HelmChart"),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "v2", "HelmRelease"),
    ("notification.toolkit.fluxcd.io", "v1", "Receiver"),
];

/// A failure that stays this long is final for `--once`: retries had their chance.
const SETTLED_FAILURE: Duration = Duration::from_secs(15);

/// The state of an object, from its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was reported for this generation yet, or work is under way.
    Working(String),
    /// Ready for this generation.
    Ready(String),
    /// Failed for this generation; the controller may be trying again.
    Failed(String),
    /// Reconciliation is switched off.
    Suspended,
}

impl State {
    fn of(object: &DynamicObject) -> Self {
        if object.data.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
            return Self::Suspended;
        }
        let generation = object.metadata.generation;
        let condition = |kind: &str| {
            object.data.pointer("/status/conditions")?.as_array()?.iter().find(|condition| {
                condition["type"] == kind && condition["observedGeneration"].as_i64() == generation
            })
        };
        let message = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
        let Some(ready) = condition("Ready") else {
            return Self::Working("waiting for its controller".into());
        };
        let reconciling = condition("Reconciling").is_some_and(|condition| condition["status"] == "True");
        match ready["status"].as_str() {
            Some("True") if !reconciling => Self::Ready(message(ready)),
            Some("False") if !waits(ready) => Self::Failed(message(ready)),
            _ => Self::Working(message(ready)),
        }
    }
}

/// Whether a Ready condition that is False says that something else comes first: a dependency, or an artifact that its
/// source has not made yet.
fn waits(ready: &Value) -> bool {
    let message = ready["message"].as_str().unwrap_or_default();
    ready["reason"] == "DependencyNotReady"
        || ready["reason"] == "ArtifactFailed" && message.starts_with("Source artifact not found")
}

/// An object as it was last seen.
struct Seen {
    state: State,
    since: Instant,
}

/// Identifies an object: the position of its kind in the list, namespace, name.
type Key = (usize, String, String);

/// The last state of every object.
#[derive(Default)]
pub struct Progress {
    objects: BTreeMap<Key, Seen>,
}

/// What a change means for who watches.
pub struct Change {
    /// `Kustomization/flux-system/apps`.
    pub object: String,
    /// The new state; `None` when the object is gone.
    pub state: Option<State>,
}

impl Progress {
    /// Takes note of an event; returns what changed, if anything did.
    pub fn record(&mut self, kind: usize, event: &watcher::Event<DynamicObject>) -> Option<Change> {
        match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                let state = State::of(object);
                let key = key(kind, object);
                if self.objects.get(&key).is_some_and(|seen| seen.state == state) {
                    return None;
                }
                let change = Change { object: title(&key), state: Some(state.clone()) };
                self.objects.insert(key, Seen { state, since: Instant::now() });
                Some(change)
            }
            watcher::Event::Delete(object) => {
                let key = key(kind, object);
                self.objects.remove(&key)?;
                Some(Change { object: title(&key), state: None })
            }
            watcher::Event::Init | watcher::Event::InitDone => None,
        }
    }

    /// Whether everything that is not suspended is Ready. False while nothing is known.
    pub fn all_ready(&self) -> bool {
        !self.objects.is_empty()
            && self.objects.values().all(|seen| matches!(seen.state, State::Ready(_) | State::Suspended))
    }

    /// Whether waiting longer is pointless: something failed for good and nothing else moves.
    pub fn settled_in_failure(&self) -> bool {
        let failed = |seen: &Seen| matches!(seen.state, State::Failed(_));
        self.objects.values().any(failed)
            && self.objects.values().all(|seen| seen.since.elapsed() > SETTLED_FAILURE || !failed(seen))
    }

    /// Every object that is not Ready, with the reason.
    pub fn unready(&self) -> Vec<String> {
        let text = |(key, seen): (&Key, &Seen)| match &seen.state {
            State::Working(message) => Some(format!("{}: not ready yet: {message}", title(key))),
            State::Failed(message) => Some(format!("{}: {message}", title(key))),
            State::Ready(_) | State::Suspended => None,
        };
        self.objects.iter().filter_map(text).collect()
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Every object with its state, in a stable order.
    pub fn rows(&self) -> impl Iterator<Item = (String, &State)> {
        self.objects.iter().map(|(key, seen)| (title(key), &seen.state))
    }
}

fn key(kind: usize, object: &DynamicObject) -> Key {
    (kind, object.namespace().unwrap_or_default(), object.name_any())
}

fn title((kind, namespace, name): &Key) -> String {
    format!("{}/{namespace}/{name}", KINDS[*kind].2)
}

/// All changes of all followed kinds, from the current state on. Errors of the watch are retried inside.
pub fn watch(client: &Client) -> impl Stream<Item = (usize, watcher::Event<DynamicObject>)> + Send + use<> {
    let streams = KINDS.iter().enumerate().map(|(index, (group, version, kind))| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let resource = ApiResource { plural: plural(kind), ..resource };
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        watcher(api, watcher::Config::default())
            .default_backoff()
            .filter_map(|event| async { event.ok() })
            .map(move |event| (index, event))
            .boxed()
    });
    futures::stream::select_all(streams)
}

/// The name of a kind in paths, for kinds of the usual English forms.
pub fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(conditions: Value) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "flux-system", "generation": 2},
            "spec": {}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_condition_of_an_older_generation_says_nothing() {
        let old =
            serde_json::json!([{"type": "Ready", "status": "True", "observedGeneration": 1, "message": "m"}]);
        assert!(matches!(State::of(&object(old)), State::Working(_)));
        let new =
            serde_json::json!([{"type": "Ready", "status": "True", "observedGeneration": 2, "message": "m"}]);
        assert_eq!(State::of(&object(new)), State::Ready("m".into()));
    }

    #[test]
    fn waiting_for_a_dependency_is_work_and_not_failure() {
        let waiting = serde_json::json!([
            {"type": "Ready", "status": "False", "reason": "DependencyNotReady", "observedGeneration": 2, "message": "m"}]);
        assert_eq!(State::of(&object(waiting)), State::Working("m".into()));
    }

    #[test]
    fn waiting_for_the_first_artifact_is_work_and_not_failure() {
        let waiting = serde_json::json!([
            {"type": "Ready", "status": "False", "reason": "ArtifactFailed", "observedGeneration": 2,
             "message": "Source artifact not found, retrying in 30s"}]);
        assert!(matches!(State::of(&object(waiting)), State::Working(_)));
    }

    #[test]
    fn nothing_known_is_not_ready() {
        let mut progress = Progress::default();
        assert!(!progress.all_ready());
        let ready =
            serde_json::json!([{"type": "Ready", "status": "True", "observedGeneration": 2, "message": "m"}]);
        assert!(progress.record(5, &watcher::Event::Apply(object(ready.clone()))).is_some());
        assert!(progress.record(5, &watcher::Event::Apply(object(ready))).is_none());
        assert!(progress.all_ready());
    }

    #[test]
    fn plurals_are_those_of_the_crds() {
        assert_eq!(plural("GitRepository"), "gitrepositories");
        assert_eq!(plural("HelmChart"), "helmcharts");
    }
}
