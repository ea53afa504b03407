//! Deletes objects that are no longer declared, one after another in reverse apply order.

use std::sync::Arc;
use std::time::Duration;

use crate::apply::{Action, Change, ChangeSet};
use crate::cluster::{self, Cluster};
use crate::inventory::{Entry, ObjectId};
use crate::metadata::Owner;
use crate::order;

/// Why one object was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object could not be read.
    #[error("{subject} query failed: {source}")]
    Query {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
    /// The object must not be deleted whatever the inventory says.
    #[error(
        "{subject} delete failed: it holds this object or the controller; remove it from the inventory by \
         declaring it again or by annotating it with '{group}/prune: disabled'"
    )]
    Protected {
        /// Which object.
        subject: String,
        /// Group of the annotation.
        group: String,
    },
    /// The API server refused to delete the object.
    #[error("{subject} delete failed: {source}")]
    Delete {
        /// Which object.
        subject: String,
        /// What the server said.
        source: cluster::Error,
    },
}

/// What a deletion did and did not.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects that are gone, or are to be left.
    pub changes: ChangeSet,
    /// What went wrong, with the objects that are still there because of it.
    pub errors: Vec<(Entry, Error)>,
}

impl Outcome {
    /// All errors in one message, or `None` when there are none.
    pub fn error(&self) -> Option<String> {
        if self.errors.is_empty() {
            return None;
        }
        let errors: String = self.errors.iter().map(|(_, error)| format!("{error};")).collect();
        Some(format!("delete failed, errors: {errors}"))
    }

    /// The objects that have to be tried again.
    pub fn survivors(&self) -> Vec<Entry> {
        self.errors.iter().map(|(entry, _)| entry.clone()).collect()
    }
}

/// Deletes objects that carry our labels and do not ask to be kept. What cannot be deleted does not
/// keep the rest from being deleted. `protected` are namespaces that stay.
pub async fn delete_all(
    cluster: &Cluster,
    mut entries: Vec<Entry>,
    owner: &Owner,
    protected: &[String],
) -> Outcome {
    order::sort_for_deletion(&mut entries);
    let mut outcome = Outcome::default();
    for entry in entries {
        match delete(cluster, &entry, owner, protected).await {
            Ok(change) => outcome.changes.changes.push(change),
            Err(error) => outcome.errors.push((entry, error)),
        }
    }
    outcome
}

async fn delete(
    cluster: &Cluster,
    entry: &Entry,
    owner: &Owner,
    protected: &[String],
) -> Result<Change, Error> {
    let ObjectId { namespace, name, kind, .. } = &entry.id;
    let change = |action, object| Change { entry: entry.clone(), action, object, state: None };
    let query_failed = |source| Error::Query { subject: entry.id.subject(), source };
    let resource = match cluster.resource(&entry.api_version(), kind).await {
        Ok(resource) => resource,
        // The version may be gone while the kind is still served in another.
        Err(error) if error.is_no_match() => match cluster.preferred_resource(&entry.id.group, kind).await {
            Ok(resource) => resource,
            // Without the kind there are no objects of it.
            Err(error) if error.is_no_match() => return Ok(change(Action::Deleted, None)),
            Err(error) => return Err(query_failed(error)),
        },
        Err(error) => return Err(query_failed(error)),
    };
    let Some(live) = cluster.get(&resource, namespace, name).await.map_err(query_failed)? else {
        return Ok(change(Action::Deleted, None));
    };
    if !owner.owns(&live) || owner.is_kept(&live) || owner.is_ignored(&live) {
        return Ok(change(Action::Skipped, Some(Arc::new(live))));
    }
    if kind == "Namespace" && entry.id.group.is_empty() && protected.contains(name) {
        return Err(Error::Protected { subject: entry.id.subject(), group: owner.group.clone() });
    }
    cluster
        .delete(&resource, namespace, name)
        .await
        .map_err(|source| Error::Delete { subject: entry.id.subject(), source })?;
    Ok(change(Action::Deleted, Some(Arc::new(live))))
}

/// Waits until deleted objects are really gone. Returns those that are still there at the end.
pub async fn wait_for_termination(cluster: &Cluster, deleted: &[Entry], timeout: Duration) -> Vec<Entry> {
    let deadline = tokio::time::Instant::now() + timeout;
    let mut remaining = deleted.to_vec();
    loop {
        let mut still_there = Vec::new();
        for entry in remaining {
            if exists(cluster, &entry).await {
                still_there.push(entry);
            }
        }
        if still_there.is_empty() || tokio::time::Instant::now() >= deadline {
            return still_there;
        }
        remaining = still_there;
        tokio::time::sleep_until((tokio::time::Instant::now() + Duration::from_secs(2)).min(deadline)).await;
    }
}

async fn exists(cluster: &Cluster, entry: &Entry) -> bool {
    let ObjectId { group, kind, namespace, name } = &entry.id;
    match cluster.preferred_resource(group, kind).await {
        Ok(resource) => !matches!(cluster.get(&resource, namespace, name).await, Ok(None)),
        Err(error) => !error.is_no_match(),
    }
}
