//! Writing an object's status and metadata: the smallest merge patch, with an optimistic lock.
//!
//! A write that meets a newer version of the object reads it and merges conditions three ways:
//! what this controller owns wins, a concurrent change of anything else is an error.

use crate::{client, conditions, reconciler::Kind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::sleep;

const CONFLICT_ATTEMPTS: u32 = 5;
const CONFLICT_DELAY: Duration = Duration::from_millis(100);

/// A write that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused.
    #[error("{}", client::message(.0))]
    Api(#[from] kube::Error),
    /// The object cannot be written as JSON.
    #[error("error encoding the object: {0}")]
    Encode(#[from] serde_json::Error),
    /// Somebody else changed a condition that this controller wants to change.
    #[error(
        "error patching conditions: The condition \"{condition}\" was modified by a different process and this caused a merge/{operation} conflict: {detail}"
    )]
    Conflict {
        /// The condition's type.
        condition: String,
        /// `AddCondition`, `ChangeCondition` or `RemoveCondition`.
        operation: &'static str,
        /// What is there and what was wanted.
        detail: String,
    },
}

/// What a controller last wrote of an object's status, and how to write it again.
#[derive(Debug)]
pub struct StatusWriter {
    manager: String,
    owned: &'static [&'static str],
    written: Value,
    conditions: Vec<Condition>,
    over_newer: bool,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing: nothing had changed, or the object is gone.
    Nothing,
    /// A version right after the one the object was read as.
    InOrder,
    /// A version after somebody else's, now or at an earlier write: the object in memory does not have what they
    /// changed, though its resource version says so.
    OverNewer,
}

impl StatusWriter {
    /// A writer for the object as it was read.
    pub fn new<K: Kind>(
        object: &K,
        manager: impl Into<String>,
        owned: &'static [&'static str],
    ) -> Result<Self, Error> {
        Ok(Self {
            manager: manager.into(),
            owned,
            written: status_of(object)?,
            conditions: object.conditions().to_vec(),
            over_newer: false,
        })
    }

    /// Writes what changed in the object's status since the last write; nothing if nothing did.
    ///
    /// Afterwards the object has the resource version of what was written. An object that is gone
    /// or replaced by another of its name meanwhile is no error.
    pub async fn write<K: Kind>(&mut self, api: &Api<K>, object: &mut K) -> Result<Written, Error> {
        let mut desired = status_of(object)?;
        let Some(changes) = merge_diff(&self.written, &desired) else {
            return Ok(Written::Nothing);
        };
        let mut changes = changes;
        let mut attempt = 0;
        let written = loop {
            let body = json!({
                "metadata": { "resourceVersion": object.resource_version() },
                "status": changes,
            });
            let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
            match api.patch_status(&object.name_any(), &params, &Patch::Merge(body)).await {
                Ok(written) => break written,
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    return Ok(Written::Nothing);
                }
                Err(kube::Error::Api(status)) if status.is_conflict() && attempt < CONFLICT_ATTEMPTS => {
                    attempt += 1;
                    sleep(CONFLICT_DELAY.mul_f64(1.0 + rand::random::<f64>())).await;
                    let live = api.get_opt(&object.name_any()).await?;
                    let Some(live) = live.filter(|live| live.uid() == object.uid()) else {
                        return Ok(Written::Nothing);
                    };
                    let merged = merge_conditions(
                        &self.conditions,
                        object.conditions(),
                        live.conditions(),
                        self.owned,
                    )?;
                    *object.conditions_mut() = merged;
                    object.meta_mut().resource_version = live.resource_version();
                    self.over_newer = true;
                    desired = status_of(object)?;
                    let mut base = self.written.clone();
                    replace_conditions(&mut base, live.conditions())?;
                    match merge_diff(&base, &desired) {
                        Some(fresh) => changes = fresh,
                        None => return Ok(Written::Nothing),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        object.meta_mut().resource_version = written.resource_version();
        self.written = desired;
        self.conditions = object.conditions().to_vec();
        Ok(if self.over_newer { Written::OverNewer } else { Written::InOrder })
    }
}

/// Adds a finalizer to an object, if it is not there; the object takes over the answer's metadata.
pub async fn add_finalizer<K: Kind>(
    api: &Api<K>,
    object: &mut K,
    finalizer: &str,
    manager: &str,
) -> Result<bool, Error> {
    if object.finalizers().iter().any(|f| f == finalizer) {
        return Ok(false);
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    write_finalizers(api, object, finalizers, manager).await?;
    Ok(true)
}

/// Removes a finalizer from an object; an object that is gone meanwhile is no error.
pub async fn remove_finalizer<K: Kind>(
    api: &Api<K>,
    object: &mut K,
    finalizer: &str,
    manager: &str,
) -> Result<bool, Error> {
    if !object.finalizers().iter().any(|f| f == finalizer) {
        return Ok(false);
    }
    let mut attempt = 0;
    loop {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.retain(|f| f != finalizer);
        match write_finalizers(api, object, finalizers, manager).await {
            Ok(()) => return Ok(true),
            Err(Error::Api(kube::Error::Api(status))) if status.is_not_found() => {
                return Ok(false);
            }
            Err(Error::Api(kube::Error::Api(status)))
                if status.is_conflict() && attempt < CONFLICT_ATTEMPTS =>
            {
                attempt += 1;
                let Some(live) = api.get_opt(&object.name_any()).await? else {
                    return Ok(false);
                };
                *object = live;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn write_finalizers<K: Kind>(
    api: &Api<K>,
    object: &mut K,
    finalizers: Vec<String>,
    manager: &str,
) -> Result<(), Error> {
    let finalizers = (!finalizers.is_empty()).then_some(finalizers);
    let body = json!({
        "metadata": {
            "finalizers": finalizers,
            "resourceVersion": object.resource_version(),
        },
    });
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let written = api.patch_metadata(&object.name_any(), &params, &Patch::Merge(body)).await?;
    let meta = object.meta_mut();
    meta.finalizers = written.metadata.finalizers;
    meta.resource_version = written.metadata.resource_version;
    Ok(())
}

/// The JSON merge patch that turns one value into another, or `None` when they are equal.
pub fn merge_diff(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let mut patch = Map::new();
            for key in from.keys().filter(|key| !to.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            for (key, value) in to {
                let change = match from.get(key) {
                    Some(before) => merge_diff(before, value),
                    None => Some(value.clone()),
                };
                if let Some(change) = change {
                    patch.insert(key.clone(), change);
                }
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (from, to) => (from != to).then(|| to.clone()),
    }
}

/// Applies the change from `original` to `desired` to the `live` conditions.
///
/// Owned types take the desired state. Another type that is live different from both the original
/// and the desired state is a conflict.
pub fn merge_conditions(
    original: &[Condition],
    desired: &[Condition],
    live: &[Condition],
    owned: &[&str],
) -> Result<Vec<Condition>, Error> {
    let mut merged = live.to_vec();
    for wanted in desired {
        let before = conditions::find(original, &wanted.type_);
        if before == Some(wanted) {
            continue;
        }
        let now = conditions::find(live, &wanted.type_);
        if !owned.contains(&wanted.type_.as_str()) {
            let untouched = match (before, now) {
                (None, None) => true,
                (Some(before), Some(now)) => conditions::same_state(before, now),
                _ => false,
            };
            if !untouched && !now.is_some_and(|now| conditions::same_state(now, wanted)) {
                let operation = if before.is_some() { "ChangeCondition" } else { "AddCondition" };
                return Err(conflict(operation, &wanted.type_, now, Some(wanted)));
            }
        }
        match merged.iter_mut().find(|c| c.type_ == wanted.type_) {
            Some(condition) => *condition = wanted.clone(),
            None => merged.push(wanted.clone()),
        }
    }
    for removed in original {
        if conditions::find(desired, &removed.type_).is_some() {
            continue;
        }
        if !owned.contains(&removed.type_.as_str())
            && let Some(now) = conditions::find(live, &removed.type_)
            && !conditions::same_state(now, removed)
        {
            return Err(conflict("RemoveCondition", &removed.type_, Some(now), None));
        }
        merged.retain(|condition| condition.type_ != removed.type_);
    }
    conditions::sort(&mut merged);
    Ok(merged)
}

fn conflict(
    operation: &'static str,
    condition: &str,
    live: Option<&Condition>,
    wanted: Option<&Condition>,
) -> Error {
    let print = |condition: Option<&Condition>| {
        condition.map_or_else(
            || "absent".to_owned(),
            |c| format!("{}={} {:?} {:?}", c.type_, c.status, c.reason, c.message),
        )
    };
    Error::Conflict {
        condition: condition.to_owned(),
        operation,
        detail: format!("it is now {}, wanted {}", print(live), print(wanted)),
    }
}

fn status_of<K: Kind>(object: &K) -> Result<Value, Error> {
    let value = serde_json::to_value(object)?;
    Ok(match value {
        Value::Object(mut map) => map.remove("status").unwrap_or_else(|| json!({})),
        _ => json!({}),
    })
}

fn replace_conditions(status: &mut Value, conditions: &[Condition]) -> Result<(), Error> {
    if let Value::Object(status) = status {
        if conditions.is_empty() {
            status.remove("conditions");
        } else {
            status.insert("conditions".to_owned(), serde_json::to_value(conditions)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
