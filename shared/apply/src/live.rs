//! Live knowledge of applied objects: their metadata, kept up to date by one watch per kind that
//! everybody shares, so that a change by hand is noticed at once and what did not change need not
//! be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::cluster::{Cluster, Resource};
use crate::inventory::ObjectId;
use crate::memory::{Marks, State};

/// How long a watch that the API server refuses is left alone.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);

/// An object that changed, or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which object.
    pub id: ObjectId,
    /// Name of the owner that its labels say, or said before it was gone.
    pub owner_name: String,
    /// Namespace of that owner.
    pub owner_namespace: String,
    /// Its state; `None` when it is gone.
    pub state: Option<State>,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: its kind is not watched, or not yet.
    Unknown,
    /// It does not exist, or carries no label of an owner any more.
    Absent,
    /// It exists.
    At(State),
}

/// Called with every change of an object.
type OnChange = dyn Fn(Changed) + Send + Sync;

/// Watches applied objects. Cloning shares the watches.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    marks: Marks,
    on_change: Box<OnChange>,
    kinds: Mutex<HashMap<Key, Arc<Kind>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: Arc<str>,
    resource: Resource,
    namespace: String,
}

struct Kind {
    resource: Resource,
    known: Mutex<Known>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Known {
    is_synced: bool,
    objects: Objects,
}

/// Objects by namespace and name.
type Objects = HashMap<(Box<str>, Box<str>), Seen>;

struct Seen {
    state: State,
    owner: Arc<(String, String)>,
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Live {
    /// Watches objects whose labels `<group>/name` and `<group>/namespace` name an owner, and says
    /// what changes.
    pub fn new(marks: Marks, on_change: impl Fn(Changed) + Send + Sync + 'static) -> Self {
        let inner = Inner { marks, on_change: Box::new(on_change), kinds: Mutex::default() };
        Self(Arc::new(inner))
    }

    /// What is known of an object. Its kind is watched from now on: in its namespace, or everywhere
    /// for an identity that is not limited to namespaces.
    pub fn sight(&self, cluster: &Cluster, resource: &Resource, namespace: &str, name: &str) -> Sight {
        let kind = self.kind(cluster, resource, namespace);
        let known = kind.lock();
        if !known.is_synced {
            return Sight::Unknown;
        }
        match known.objects.get(&(namespace.into(), name.into())) {
            Some(seen) => Sight::At(seen.state.clone()),
            None => Sight::Absent,
        }
    }

    /// How many objects and kinds are watched.
    pub fn size(&self) -> (usize, usize) {
        let kinds = self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        (kinds.values().map(|kind| kind.lock().objects.len()).sum(), kinds.len())
    }

    fn kind(&self, cluster: &Cluster, resource: &Resource, namespace: &str) -> Arc<Kind> {
        let namespace = if cluster.is_limited() && resource.namespaced { namespace } else { "" };
        let key = Key {
            identity: cluster.identity().clone(),
            resource: resource.clone(),
            namespace: namespace.to_owned(),
        };
        let mut kinds = self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = kinds.get(&key) {
            return kind.clone();
        }
        let kind =
            Arc::new(Kind { resource: resource.clone(), known: Mutex::default(), task: Mutex::default() });
        kinds.insert(key, kind.clone());
        let api = api(cluster.client().clone(), resource, namespace);
        let task = watch(api, Arc::downgrade(&kind), Arc::downgrade(&self.0));
        let handle = tokio::spawn(task).abort_handle();
        *kind.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        kind
    }
}

fn api(client: kube::Client, resource: &Resource, namespace: &str) -> Api<PartialObjectMeta<DynamicObject>> {
    let (group, version) = crate::object::split_api_version(&resource.api_version);
    let kind = GroupVersionKind::gvk(group, version, &resource.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &resource.plural);
    if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, namespace, &resource)
    }
}

/// Keeps a kind up to date for as long as somebody wants it.
async fn watch(api: Api<PartialObjectMeta<DynamicObject>>, kind: Weak<Kind>, live: Weak<Inner>) {
    let Some(label) = live.upgrade().map(|live| format!("{}/name", live.marks.group)) else { return };
    let config = watcher::Config::default().labels(&label);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut listed = Objects::new();
    while let Some(event) = events.next().await {
        let (Some(kind), Some(live)) = (kind.upgrade(), live.upgrade()) else { return };
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                let (key, seen) = read(&object, &live.marks);
                listed.insert(key, seen);
            }
            Ok(Event::InitDone) => kind.replace(std::mem::take(&mut listed), &live),
            Ok(Event::Apply(object)) => {
                let (key, seen) = read(&object, &live.marks);
                kind.apply(key, seen, &live);
            }
            Ok(Event::Delete(object)) => kind.delete(&read(&object, &live.marks).0, &live),
            Err(error) => {
                let is_refused = matches!(
                    &error,
                    watcher::Error::InitialListFailed(kube::Error::Api(status))
                    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
                        if matches!(status.code, 401 | 403 | 404 | 405)
                );
                if is_refused {
                    kind.lock().is_synced = false;
                    drop((kind, live));
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
    }
}

fn read(object: &PartialObjectMeta<DynamicObject>, marks: &Marks) -> ((Box<str>, Box<str>), Seen) {
    let metadata = &object.metadata;
    let label = |name: &str| {
        let labels = metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(&format!("{}/{name}", marks.group))).cloned().unwrap_or_default()
    };
    let state = match serde_json::to_value(metadata) {
        Ok(Value::Object(metadata)) => State::of(&metadata, marks),
        _ => State::of(&serde_json::Map::new(), marks),
    };
    let key = (
        metadata.namespace.clone().unwrap_or_default().into(),
        metadata.name.clone().unwrap_or_default().into(),
    );
    (key, Seen { state, owner: Arc::new((label("name"), label("namespace"))) })
}

impl Kind {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, key: (Box<str>, Box<str>), seen: Seen, live: &Inner) {
        let changed = self.changed(&key, &seen, false);
        let state = seen.state.clone();
        let before = self.lock().objects.insert(key, seen);
        if !before.is_some_and(|before| before.state.has_content_of(&state)) {
            (live.on_change)(changed);
        }
    }

    fn delete(&self, key: &(Box<str>, Box<str>), live: &Inner) {
        let removed = self.lock().objects.remove(key);
        if let Some(seen) = removed {
            (live.on_change)(self.changed(key, &seen, true));
        }
    }

    /// Takes over a complete list and says what is different from before.
    fn replace(&self, mut listed: Objects, live: &Inner) {
        let mut owners: HashMap<(String, String), Arc<(String, String)>> = HashMap::new();
        for seen in listed.values_mut() {
            let shared = owners.entry((*seen.owner).clone()).or_insert_with(|| seen.owner.clone()).clone();
            seen.owner = shared;
        }
        let mut changes = Vec::new();
        {
            let mut known = self.lock();
            for (key, seen) in &listed {
                let before = known.objects.get(key);
                if !before.is_some_and(|before| before.state.has_content_of(&seen.state)) {
                    changes.push(self.changed(key, seen, false));
                }
            }
            for (key, seen) in &known.objects {
                if !listed.contains_key(key) {
                    changes.push(self.changed(key, seen, true));
                }
            }
            known.objects = listed;
            known.is_synced = true;
        }
        for change in changes {
            (live.on_change)(change);
        }
    }

    fn changed(&self, key: &(Box<str>, Box<str>), seen: &Seen, is_gone: bool) -> Changed {
        let (group, _) = crate::object::split_api_version(&self.resource.api_version);
        Changed {
            id: ObjectId {
                namespace: key.0.to_string(),
                name: key.1.to_string(),
                group: group.to_owned(),
                kind: self.resource.kind.clone(),
            },
            owner_name: seen.owner.0.clone(),
            owner_namespace: seen.owner.1.clone(),
            state: (!is_gone).then(|| seen.state.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed_fields::TakeOver;
    use serde_json::json;

    fn kind() -> Kind {
        let resource = Resource {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
        };
        Kind { resource, known: Mutex::default(), task: Mutex::default() }
    }

    fn seen(name: &str, edits: i64, version: &str) -> ((Box<str>, Box<str>), Seen) {
        let object: PartialObjectMeta<DynamicObject> = serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": name, "namespace": "apps", "uid": name, "generation": 1,
                "resourceVersion": version, "labels": {"g/name": "app", "g/namespace": "flux"},
                "managedFields": [{"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {},
                    "time": format!("2026-01-01T00:00:0{edits}Z")}]},
        }))
        .unwrap();
        read(&object, &marks())
    }

    fn marks() -> Marks {
        let take_over = TakeOver { field_manager: "m".into(), override_managers: Vec::new() };
        Marks { take_over, group: "g".into() }
    }

    #[test]
    fn only_changes_of_content_are_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let live = Inner {
            marks: marks(),
            on_change: Box::new(move |changed| sink.lock().unwrap().push(changed.id.subject())),
            kinds: Mutex::default(),
        };
        let kind = kind();
        let take = || std::mem::take(&mut *told.lock().unwrap());
        kind.replace(Objects::from([seen("a", 1, "1"), seen("b", 1, "2")]), &live);
        assert_eq!(take().len(), 2);
        let (key, status_changed) = seen("a", 1, "3");
        kind.apply(key.clone(), status_changed, &live);
        assert_eq!(take(), Vec::<String>::new());
        kind.apply(key.clone(), seen("a", 2, "4").1, &live);
        assert_eq!(take(), ["Deployment/apps/a"]);
        kind.replace(Objects::from([seen("a", 2, "4")]), &live);
        assert_eq!(take(), ["Deployment/apps/b"]);
        kind.delete(&key, &live);
        kind.delete(&key, &live);
        assert_eq!(take(), ["Deployment/apps/a"]);
    }
}
