//! Follows objects by watches while somebody waits for them: one watch per kind for all who wait,
//! begun where the objects were seen last, so that nothing has to be listed or polled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::StreamExt as _;
use kube::api::{WatchEvent, WatchParams};
use kube::core::Request;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::cluster::{Cluster, Resource};
use crate::object::Object;

/// All watches of a cluster that somebody follows.
#[derive(Default)]
pub struct Follows(Mutex<HashMap<Key, Weak<Followed>>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: Arc<str>,
    resource: Resource,
    namespace: String,
    selector: String,
}

/// The objects of a kind, followed until nobody holds this any more.
pub struct Followed {
    /// Where the watch began: earlier changes are not known.
    since: u64,
    latest: Mutex<HashMap<(String, String), Latest>>,
    changed: watch::Sender<()>,
    is_alive: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

/// What a watch said last of an object: its version, and the object unless it is gone.
#[derive(Clone)]
pub struct Latest {
    /// The resource version of the object, or of its deletion.
    pub version: u64,
    /// The object; `None` when it was deleted.
    pub object: Option<Arc<Object>>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Followed {
    /// What happened to an object after a version, as far as the watch has told.
    pub fn after(&self, namespace: &str, name: &str, version: u64) -> Option<Latest> {
        let latest = self.latest();
        latest
            .get(&(namespace.to_owned(), name.to_owned()))
            .filter(|latest| latest.version > version)
            .cloned()
    }

    /// True when no change after this version has been missed and none will be.
    pub fn covers(&self, version: u64) -> bool {
        self.is_alive.load(Ordering::Acquire) && version >= self.since
    }

    /// Says when something changed, the end of the watch included.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn latest(&self) -> MutexGuard<'_, HashMap<(String, String), Latest>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, object: Value, is_deleted: bool) -> Option<u64> {
        let object = Object::new(object)?;
        let version = object.resource_version().parse().ok()?;
        let key = (object.namespace().to_owned(), object.name().to_owned());
        let object = (!is_deleted).then(|| Arc::new(object));
        self.latest().insert(key, Latest { version, object });
        self.changed.send_replace(());
        Some(version)
    }

    fn end(&self) {
        self.is_alive.store(false, Ordering::Release);
        self.changed.send_replace(());
    }
}

impl Follows {
    /// Follows the objects of a kind with a label from a version on: in their namespace, or all of
    /// them for an identity that is not limited.
    pub(crate) fn follow(
        &self,
        cluster: &Cluster,
        resource: &Resource,
        namespace: &str,
        selector: &str,
        since: u64,
    ) -> Arc<Followed> {
        let namespace = if cluster.is_limited() && resource.namespaced { namespace } else { "" };
        let key = Key {
            identity: cluster.identity().clone(),
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            selector: selector.to_owned(),
        };
        let mut follows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        follows.retain(|_, followed| followed.strong_count() > 0);
        let running = follows.get(&key).and_then(Weak::upgrade);
        if let Some(running) = running.filter(|running| running.is_alive.load(Ordering::Acquire)) {
            return running;
        }
        let followed = Arc::new(Followed {
            since,
            latest: Mutex::default(),
            changed: watch::Sender::new(()),
            is_alive: AtomicBool::new(true),
            task: Mutex::default(),
        });
        follows.insert(key, Arc::downgrade(&followed));
        let path = resource.path(namespace);
        let task = run(Arc::downgrade(&followed), cluster.client().clone(), path, selector.to_owned());
        let handle = tokio::spawn(task).abort_handle();
        *followed.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        followed
    }
}

/// Watches as long as somebody follows and the API server answers.
async fn run(followed: Weak<Followed>, client: kube::Client, path: String, selector: String) {
    let Some(mut version) = followed.upgrade().map(|followed| followed.since) else { return };
    let params = WatchParams::default().labels(&selector);
    loop {
        let request = Request::new(&path).watch(&params, &version.to_string());
        let ended = match request {
            Ok(request) => match client.request_events::<Value>(request).await {
                Ok(events) => {
                    let mut events = std::pin::pin!(events);
                    loop {
                        let event = events.next().await;
                        let Some(followed) = followed.upgrade() else { return };
                        let noted = match event {
                            // The server ends every watch after a while.
                            None => break false,
                            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                                followed.note(object, false)
                            }
                            Some(Ok(WatchEvent::Deleted(object))) => followed.note(object, true),
                            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                                bookmark.metadata.resource_version.parse().ok()
                            }
                            Some(Ok(WatchEvent::Error(_)) | Err(_)) => break true,
                        };
                        version = noted.unwrap_or(version);
                    }
                }
                Err(_) => true,
            },
            Err(_) => true,
        };
        let Some(followed) = followed.upgrade() else { return };
        if ended {
            // Whoever follows reads by itself from now on.
            followed.end();
            return;
        }
    }
}
