//! What is known of applied objects from earlier passes, so that what is the same as last time is not
//! tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::inventory::ObjectId;
use crate::object::Object;

/// A verdict is not trusted for longer: admission and defaulting in the cluster may have changed.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Which payloads were found to change nothing, at which state of the objects.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<ObjectId, Unchanged>>);

#[derive(Debug)]
struct Unchanged {
    uid: String,
    resource_version: String,
    payload: Fingerprint,
    since: Instant,
}

/// The identity of a payload.
pub type Fingerprint = [u8; 32];

/// The identity of a payload.
pub fn fingerprint(payload: &Object) -> Fingerprint {
    let mut hash = Sha256::new();
    // Writing a JSON value into a hash cannot fail.
    let _ = serde_json::to_writer(&mut hash, payload.fields());
    hash.finalize().into()
}

impl Memory {
    /// True when applying a payload to an object in this very state changed nothing before.
    pub fn is_unchanged(&self, id: &ObjectId, live: &Object, payload: &Fingerprint) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).is_some_and(|known| {
            known.uid == live.uid()
                && known.resource_version == live.resource_version()
                && known.payload == *payload
                && known.since.elapsed() < MAX_AGE
        })
    }

    /// Remembers that a payload is what an object already is.
    pub fn remember(&self, id: ObjectId, object: &Object, payload: Fingerprint) {
        let unchanged = Unchanged {
            uid: object.uid().to_owned(),
            resource_version: object.resource_version().to_owned(),
            payload,
            since: Instant::now(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, unchanged);
    }

    /// Forgets everything, after something went wrong.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets the objects that are not wanted any more.
    pub fn retain(&self, keep: impl Fn(&ObjectId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
    }
}
