//! A live copy of all objects of one kind, and the news of their changes.

use crate::key::Key;
use kube::Resource;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::watch;

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change<K> {
    /// The object before, unless it is new.
    pub old: Option<Arc<K>>,
    /// The object now, unless it is gone.
    pub new: Option<Arc<K>>,
    /// Whether this is from the first list after the start.
    pub initial: bool,
}

impl<K> Change<K> {
    /// The object now, or as it last was.
    pub fn object(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }
}

type Subscriber<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// A live copy of the objects of one kind, kept by a watch.
///
/// Cloning is cheap and shares the copy. Objects come without `managedFields`.
pub struct Store<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    objects: RwLock<HashMap<Key, Arc<K>>>,
    subscribers: RwLock<Vec<Subscriber<K>>>,
    ready: watch::Sender<bool>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                objects: RwLock::default(),
                subscribers: RwLock::default(),
                ready: watch::Sender::new(false),
            }),
        }
    }
}

impl<K: Resource> Store<K> {
    /// An empty store that is not kept by a watch; fill it with [`apply`](Self::apply).
    pub fn new() -> Self {
        Self::default()
    }

    /// The object of a name.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().get(key).cloned()
    }

    /// The object of a name, from its parts.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&Key::new(namespace, name))
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read().values().cloned().collect()
    }

    /// The keys of all objects that satisfy a condition; for mapping functions of watches.
    pub fn keys_where(&self, mut condition: impl FnMut(&K) -> bool) -> Vec<Key> {
        let objects = self.read();
        objects.iter().filter(|(_, object)| condition(object)).map(|(key, _)| key.clone()).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the first list is complete.
    pub async fn wait_ready(&self) {
        let mut ready = self.inner.ready.subscribe();
        // The sender lives in `self`, so this ends only by the value.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Whether the first list is complete.
    pub fn is_ready(&self) -> bool {
        *self.inner.ready.borrow()
    }

    /// Puts an object into the store unless it has a newer version of it, and tells subscribers.
    pub fn apply(&self, object: K) {
        let key = Key::of(&object);
        let object = Arc::new(object);
        let old = {
            let mut objects = self.inner.objects.write().unwrap_or_else(PoisonError::into_inner);
            if objects.get(&key).is_some_and(|old| !is_newer(object.as_ref(), old.as_ref())) {
                return;
            }
            objects.insert(key, Arc::clone(&object))
        };
        self.tell(Change { old, new: Some(object), initial: !self.is_ready() });
    }

    /// Puts an object that this process has just written into the store, unless it is gone meanwhile, and tells
    /// subscribers: the watch will bring nothing newer that could.
    pub(crate) fn written(&self, object: K) {
        let object = Arc::new(object);
        let old = {
            let mut objects = self.inner.objects.write().unwrap_or_else(PoisonError::into_inner);
            match objects.get_mut(&Key::of(object.as_ref())) {
                Some(old) if is_newer(object.as_ref(), old.as_ref()) => {
                    std::mem::replace(old, Arc::clone(&object))
                }
                _ => return,
            }
        };
        self.tell(Change { old: Some(old), new: Some(object), initial: false });
    }

    /// Removes an object and tells subscribers.
    pub fn delete(&self, key: &Key) {
        let old = {
            let mut objects = self.inner.objects.write().unwrap_or_else(PoisonError::into_inner);
            objects.remove(key)
        };
        if old.is_some() {
            self.tell(Change { old, new: None, initial: false });
        }
    }

    /// Replaces everything by a complete list: what is missing from it is gone.
    pub(crate) fn replace(&self, listed: HashMap<Key, K>) {
        let gone: Vec<Key> = {
            let objects = self.read();
            objects.keys().filter(|key| !listed.contains_key(key)).cloned().collect()
        };
        for key in gone {
            self.delete(&key);
        }
        for object in listed.into_values() {
            self.apply(object);
        }
        self.set_ready();
    }

    /// Says that the first list is complete.
    pub(crate) fn set_ready(&self) {
        self.inner.ready.send_replace(true);
    }

    /// Calls a function at every change from now on.
    pub(crate) fn subscribe(&self, subscriber: impl Fn(&Change<K>) + Send + Sync + 'static) {
        self.inner.subscribers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(subscriber));
    }

    fn tell(&self, change: Change<K>) {
        let subscribers = self.inner.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        for subscriber in subscribers.iter() {
            subscriber(&change);
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Key, Arc<K>>> {
        self.inner.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `new` is another object or a later version than `old`. Resource versions are decimal
/// numbers that grow; if one is not, any difference counts as newer.
fn is_newer<K: Resource>(new: &K, old: &K) -> bool {
    let (new, old) = (new.meta(), old.meta());
    if new.uid != old.uid {
        return true;
    }
    let number = |version: &Option<String>| version.as_ref()?.parse::<u64>().ok();
    match (number(&new.resource_version), number(&old.resource_version)) {
        (Some(new), Some(old)) => new > old,
        _ => new.resource_version != old.resource_version,
    }
}
