//! The objects and their history: plain data behind one lock, every change numbered.
//!
//! A revision is given to each change of the whole store. Each table (one per resource) keeps its last changes so that
//! watches can start in the past and lists can be answered as they were. Nothing here knows HTTP, schemas or time.

mod history;
mod journal;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::watch;

pub(crate) use history::{Change, ChangeKind};

use crate::object;

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: &str, name: &str) -> Self {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// An object as stored at one revision. Immutable; shared by lists, watches and history.
#[derive(Debug)]
pub(crate) struct Stored {
    pub value: Value,
    pub revision: u64,
    /// Whether nothing was written since the object was created.
    pub untouched: bool,
    item: OnceLock<Bytes>,
}

impl Stored {
    pub(crate) fn new(value: Value, revision: u64) -> Self {
        Stored { value, revision, untouched: false, item: OnceLock::new() }
    }

    /// The object's JSON without `kind` and `apiVersion`, as the items of lists are written; serialised once.
    pub fn item(&self) -> &Bytes {
        self.item.get_or_init(|| {
            let mut out = Vec::with_capacity(512);
            out.push(b'{');
            let members = self.value.as_object().into_iter().flatten();
            for (key, value) in members.filter(|(k, _)| !matches!(k.as_str(), "kind" | "apiVersion")) {
                if out.len() > 1 {
                    out.push(b',');
                }
                let _ = serde_json::to_writer(&mut out, key);
                out.push(b':');
                let _ = serde_json::to_writer(&mut out, value);
            }
            out.push(b'}');
            out.into()
        })
    }

    /// Adds the object's JSON to `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let item = self.item();
        let mut separator = b'{';
        for key in ["kind", "apiVersion"] {
            if let Some(value) = self.value.get(key) {
                out.push(separator);
                separator = b',';
                out.extend_from_slice(b"\"");
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b"\":");
                let _ = serde_json::to_writer(&mut *out, value);
            }
        }
        if item.len() > 2 {
            out.push(separator);
            out.extend_from_slice(&item[1..]);
        } else if separator == b'{' {
            out.extend_from_slice(item);
        } else {
            out.push(b'}');
        }
    }

    /// The object's JSON.
    pub fn json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.item().len() + 64);
        self.write_json(&mut out);
        out.into()
    }
}

/// Why a write was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the object exists")]
    Exists,
    #[error("the object changed meanwhile")]
    Stale,
    #[error("the object does not exist")]
    Missing,
}

/// A list as it was at one revision.
pub(crate) struct Listing {
    pub objects: Vec<Arc<Stored>>,
    pub revision: u64,
}

/// The revision asked for is not in the history any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOld {
    pub oldest: u64,
}

/// Where an object is, by its uid.
pub(crate) type Location = (Arc<str>, ObjectKey);

struct Table {
    objects: BTreeMap<ObjectKey, Arc<Stored>>,
    history: history::History,
    changed: watch::Sender<u64>,
    /// Wakes those who follow one namespace only.
    changed_in: HashMap<String, watch::Sender<u64>>,
}

#[derive(Default)]
struct Inner {
    revision: u64,
    tables: HashMap<Arc<str>, Table>,
    by_uid: HashMap<String, Location>,
    dependents: HashMap<String, HashSet<Location>>,
    deleting: HashSet<Location>,
}

/// All objects of the server.
pub(crate) struct Store {
    inner: RwLock<Inner>,
    any: watch::Sender<u64>,
    limits: HistoryLimits,
    journal: Mutex<Option<journal::Journal>>,
}

/// Revisions start here, so that the low numbers clients like to try are in the forgotten past.
const FIRST_REVISION: u64 = 100;

/// How much history a table keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryLimits {
    pub changes: usize,
}

impl Store {
    pub fn new(limits: HistoryLimits) -> Self {
        Store {
            inner: RwLock::new(Inner { revision: FIRST_REVISION, ..Inner::default() }),
            any: watch::channel(FIRST_REVISION).0,
            limits,
            journal: Mutex::new(None),
        }
    }

    /// Takes back what an earlier run kept in this directory, and keeps every later change there.
    pub fn persist_in(&self, directory: &Path) -> std::io::Result<()> {
        let mut objects: HashMap<(String, ObjectKey), (Value, u64)> = HashMap::new();
        let mut last = 0;
        let journal = journal::Journal::open(directory, |entry| {
            last = last.max(entry.revision);
            let key = (entry.table, ObjectKey { namespace: entry.namespace, name: entry.name });
            match entry.object {
                Some(object) => objects.insert(key, (object, entry.revision)),
                None => objects.remove(&key),
            };
        })?;
        let mut inner = self.write();
        for ((table, key), (object, revision)) in objects {
            restore(&mut inner, &table, key, object, revision);
        }
        inner.revision = inner.revision.max(last);
        let now = inner.revision;
        for table in inner.tables.values_mut() {
            table.history.forget_to(now);
        }
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(journal);
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// Wakes on every change of any table.
    pub fn watch_all(&self) -> watch::Receiver<u64> {
        self.any.subscribe()
    }

    pub fn get(&self, table: &str, key: &ObjectKey) -> Option<Arc<Stored>> {
        self.read().tables.get(table)?.objects.get(key).cloned()
    }

    /// The object with this uid, wherever it is.
    pub fn by_uid(&self, uid: &str) -> Option<(Location, Arc<Stored>)> {
        let inner = self.read();
        let location = inner.by_uid.get(uid)?.clone();
        let stored = inner.tables.get(&location.0)?.objects.get(&location.1)?.clone();
        Some((location, stored))
    }

    /// Objects whose ownerReferences name this uid.
    pub fn dependents(&self, uid: &str) -> Vec<(Location, Arc<Stored>)> {
        let inner = self.read();
        let Some(set) = inner.dependents.get(uid) else { return Vec::new() };
        set.iter()
            .filter_map(|l| Some((l.clone(), inner.tables.get(&l.0)?.objects.get(&l.1)?.clone())))
            .collect()
    }

    /// Every uid that some object names as its owner.
    pub fn owner_uids(&self) -> Vec<String> {
        self.read().dependents.keys().cloned().collect()
    }

    /// Every object whose deletion has begun.
    pub fn deleting(&self) -> Vec<(Location, Arc<Stored>)> {
        let inner = self.read();
        inner
            .deleting
            .iter()
            .filter_map(|l| Some((l.clone(), inner.tables.get(&l.0)?.objects.get(&l.1)?.clone())))
            .collect()
    }

    /// Names of the tables that hold at least one object.
    pub fn tables(&self) -> Vec<Arc<str>> {
        self.read().tables.iter().filter(|(_, t)| !t.objects.is_empty()).map(|(k, _)| k.clone()).collect()
    }

    /// The objects of a table, of one namespace or of all, in order of namespace and name.
    pub fn list(&self, table: &str, namespace: Option<&str>) -> Listing {
        let inner = self.read();
        let objects =
            inner.tables.get(table).map(|t| in_namespace(&t.objects, namespace)).unwrap_or_default();
        Listing { objects, revision: inner.revision }
    }

    /// The list as it was at `revision`.
    pub fn list_at(&self, table: &str, namespace: Option<&str>, revision: u64) -> Result<Listing, TooOld> {
        let inner = self.read();
        let Some(t) = inner.tables.get(table) else { return Ok(Listing { objects: Vec::new(), revision }) };
        let objects = t.history.rewind(&t.objects, revision)?;
        Ok(Listing { objects: in_namespace(&objects, namespace), revision })
    }

    pub fn create(&self, table: &str, key: &ObjectKey, value: Value) -> Result<Arc<Stored>, WriteError> {
        self.change(table, key, None, Some(value))
    }

    /// Replaces an object that must still be at revision `expected`.
    pub fn update(
        &self,
        table: &str,
        key: &ObjectKey,
        expected: u64,
        value: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        self.change(table, key, Some(expected), Some(value))
    }

    /// Removes an object that must still be at revision `expected`. The answer is its last state, at the revision of the
    /// deletion.
    pub fn delete(
        &self,
        table: &str,
        key: &ObjectKey,
        expected: u64,
        last: Value,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut inner = self.write();
        let Inner { revision, tables, by_uid, dependents, deleting } = &mut *inner;
        let t = tables.get_mut(table).ok_or(WriteError::Missing)?;
        let old = t.objects.get(key).ok_or(WriteError::Missing)?.clone();
        if old.revision != expected {
            return Err(WriteError::Stale);
        }
        *revision += 1;
        let mut last = last;
        object::metadata(&mut last).insert("resourceVersion".into(), revision.to_string().into());
        let gone = Arc::new(Stored::new(last, *revision));
        t.objects.remove(key);
        by_uid.remove(object::uid(&old.value));
        let table: Arc<str> = table.into();
        let location = (table.clone(), key.clone());
        unlink(dependents, &old.value, &location);
        deleting.remove(&location);
        t.history.push(Change::deleted(key.clone(), gone.clone(), old), self.limits.changes);
        t.wake(&key.namespace, *revision);
        self.any.send_replace(*revision);
        self.record(&inner, &table, key, None);
        Ok(gone)
    }

    fn change(
        &self,
        table: &str,
        key: &ObjectKey,
        expected: Option<u64>,
        value: Option<Value>,
    ) -> Result<Arc<Stored>, WriteError> {
        let mut value = value.ok_or(WriteError::Missing)?;
        let mut inner = self.write();
        let next = inner.revision + 1;
        object::metadata(&mut value).insert("resourceVersion".into(), next.to_string().into());
        let table: Arc<str> = table.into();
        let Inner { revision, tables, by_uid, dependents, deleting } = &mut *inner;
        let t = tables.entry(table.clone()).or_insert_with(Table::new);
        let old = t.objects.get(key).cloned();
        match (&old, expected) {
            (Some(_), None) => return Err(WriteError::Exists),
            (None, Some(_)) => return Err(WriteError::Missing),
            (Some(o), Some(e)) if o.revision != e => return Err(WriteError::Stale),
            _ => {}
        }
        *revision = next;
        let stored = Arc::new(Stored { untouched: old.is_none(), ..Stored::new(value, next) });
        t.objects.insert(key.clone(), stored.clone());
        let location = (table.clone(), key.clone());
        if let Some(old) = &old {
            unlink(dependents, &old.value, &location);
        }
        link(dependents, &stored.value, &location);
        if object::is_deleting(&stored.value) {
            deleting.insert(location.clone());
        }
        by_uid.insert(object::uid(&stored.value).to_owned(), location);
        t.history.push(Change::written(key.clone(), stored.clone(), old), self.limits.changes);
        t.wake(&key.namespace, next);
        self.any.send_replace(next);
        self.record(&inner, &table, key, Some(&stored));
        Ok(stored)
    }

    /// Writes the last change down before anyone hears of it.
    fn record(&self, inner: &Inner, table: &str, key: &ObjectKey, stored: Option<&Arc<Stored>>) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(journal) = journal.as_mut() else { return };
        let outcome = with_line(table, key, inner.revision, stored, |line| journal.append(line));
        if let Err(e) = outcome {
            tracing::error!("cannot keep a change of {table} in the state directory: {e}");
        }
        if !journal.wants_snapshot() {
            return;
        }
        match journal.rotate() {
            Ok(snapshot) => {
                let objects = inner.all();
                std::thread::spawn(move || {
                    let lines = objects.into_iter().filter_map(|(table, key, stored)| {
                        let revision = stored.revision;
                        with_line(&table, &key, revision, Some(&stored), |line| Ok(serde_json::to_vec(line)?))
                            .ok()
                    });
                    if let Err(e) = snapshot.write(lines) {
                        tracing::error!("cannot write a snapshot into the state directory: {e}");
                    }
                });
            }
            Err(e) => tracing::error!("cannot begin a new log in the state directory: {e}"),
        }
    }

    /// Changes of a table, of one namespace or of all, after `revision`, oldest first, and the revision up to which they
    /// are complete. At most `max` changes are looked at.
    pub fn changes_after(
        &self,
        table: &str,
        namespace: Option<&str>,
        revision: u64,
        max: usize,
    ) -> Result<(Vec<Arc<Change>>, u64), TooOld> {
        let inner = self.read();
        let Some(t) = inner.tables.get(table) else { return Ok((Vec::new(), inner.revision)) };
        let mut complete = inner.revision;
        let mut changes = Vec::new();
        for (seen, change) in t.history.after(revision)?.enumerate() {
            if seen == max {
                break;
            }
            if seen + 1 == max {
                complete = change.revision();
            }
            if namespace.is_none_or(|n| n == change.key.namespace) {
                changes.push(change.clone());
            }
        }
        Ok((changes, complete))
    }

    /// A receiver that wakes on changes of one table, in one namespace or in all.
    pub fn subscribe(&self, table: &str, namespace: Option<&str>) -> watch::Receiver<u64> {
        let mut inner = self.write();
        let t = inner.tables.entry(table.into()).or_insert_with(Table::new);
        match namespace {
            None => t.changed.subscribe(),
            Some(n) => t.changed_in.entry(n.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe(),
        }
    }

    /// Drops all history, so that watches and lists of the past answer Expired.
    pub fn forget_history(&self) {
        let mut inner = self.write();
        let now = inner.revision;
        for t in inner.tables.values_mut() {
            t.history.forget_to(now);
        }
    }
}

impl Table {
    fn new() -> Self {
        Table {
            objects: BTreeMap::new(),
            history: history::History::starting_at(FIRST_REVISION),
            changed: watch::channel(0).0,
            changed_in: HashMap::new(),
        }
    }

    /// Tells those who wait that something changed, and forgets namespaces that nobody follows.
    fn wake(&mut self, namespace: &str, revision: u64) {
        self.changed.send_replace(revision);
        if let Some(sender) = self.changed_in.get(namespace) {
            if sender.receiver_count() == 0 {
                self.changed_in.remove(namespace);
            } else {
                sender.send_replace(revision);
            }
        }
    }
}

impl Inner {
    fn all(&self) -> Vec<(Arc<str>, ObjectKey, Arc<Stored>)> {
        let objects =
            self.tables.iter().flat_map(|(name, t)| t.objects.iter().map(move |(k, s)| (name, k, s)));
        objects.map(|(name, key, stored)| (name.clone(), key.clone(), stored.clone())).collect()
    }
}

/// Calls `write` with the line of the journal for a change.
fn with_line<T>(
    table: &str,
    key: &ObjectKey,
    revision: u64,
    stored: Option<&Arc<Stored>>,
    write: impl FnOnce(&journal::Line) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let json = stored.map(|s| s.json());
    let object = match &json {
        Some(bytes) => Some(serde_json::from_slice::<&RawValue>(bytes)?),
        None => None,
    };
    write(&journal::Line { t: table, n: &key.namespace, k: &key.name, r: revision, o: object })
}

/// Puts back an object that was persisted, at its own revision, without a change for watches.
fn restore(inner: &mut Inner, table: &str, key: ObjectKey, value: Value, at: u64) {
    let Inner { revision, tables, by_uid, dependents, deleting } = inner;
    *revision = (*revision).max(at);
    let table: Arc<str> = table.into();
    let location = (table.clone(), key.clone());
    link(dependents, &value, &location);
    if object::is_deleting(&value) {
        deleting.insert(location.clone());
    }
    by_uid.insert(object::uid(&value).to_owned(), location);
    tables.entry(table).or_insert_with(Table::new).objects.insert(key, Arc::new(Stored::new(value, at)));
}

fn in_namespace(objects: &BTreeMap<ObjectKey, Arc<Stored>>, namespace: Option<&str>) -> Vec<Arc<Stored>> {
    match namespace {
        None => objects.values().cloned().collect(),
        Some(ns) => objects
            .range(ObjectKey::new(ns, "")..)
            .take_while(|(k, _)| k.namespace == ns)
            .map(|(_, v)| v.clone())
            .collect(),
    }
}

fn owners(value: &Value) -> impl Iterator<Item = &str> {
    object::at(value, &["metadata", "ownerReferences"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|r| r.get("uid")?.as_str())
}

fn link(dependents: &mut HashMap<String, HashSet<Location>>, value: &Value, location: &Location) {
    for uid in owners(value) {
        dependents.entry(uid.to_owned()).or_default().insert(location.clone());
    }
}

fn unlink(dependents: &mut HashMap<String, HashSet<Location>>, value: &Value, location: &Location) {
    for uid in owners(value) {
        if let Some(set) = dependents.get_mut(uid) {
            set.remove(location);
            if set.is_empty() {
                dependents.remove(uid);
            }
        }
    }
}
