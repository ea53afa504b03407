//! What a change of an object does to the fields that its managers own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::conflict::{Conflict, Conflicts};
use crate::fieldset::FieldSet;
use crate::managers::{ManagerId, Managers, Operation, Owned, compare_times};
use crate::path::Path;
use crate::typed::{self, Comparison, Duplicates};
use crate::versions::Versions;

/// How many managers that do not apply are kept apart.
const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager into which the oldest others are merged.
const OLD_UPDATES_MANAGER: &str = "ancient-changes";

/// Fields that no manager ever owns.
static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let top = ["apiVersion", "kind", "metadata"].map(|name| Path::of_fields(&[name]));
    FieldSet::of(top.into_iter().chain(metadata.map(|name| Path::of_fields(&["metadata", name]))))
});

/// Why ownership cannot be worked out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnershipError {
    /// Fields that others own with another value.
    #[error(transparent)]
    Conflicts(#[from] Conflicts),
    /// A value that does not fit its type, or does not convert.
    #[error("{0}")]
    Text(String),
}

/// An object at its version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versioned<'a> {
    pub object: &'a Value,
    pub api_version: &'a str,
}

impl<'a> Versioned<'a> {
    /// The object at another version.
    pub fn at(&self, api_version: &str, versions: &dyn Versions) -> Result<Cow<'a, Value>, OwnershipError> {
        if api_version == self.api_version {
            return Ok(Cow::Borrowed(self.object));
        }
        let converted = versions.convert(self.object, api_version).map_err(OwnershipError::Text)?;
        if let Some(ty) = versions.type_at(api_version) {
            typed::validate(&converted, ty, Duplicates::Refused)
                .map_err(|errors| OwnershipError::Text(errors.to_string()))?;
        }
        Ok(Cow::Owned(converted))
    }
}

/// Drops managers of versions that are gone, and brings the others in line with the schema of today.
pub(crate) fn reconcile_with_schema(managers: &mut Managers, versions: &dyn Versions) {
    managers.0.retain(|_, owned| {
        let Some(ty) = versions.type_at(&owned.api_version) else { return false };
        if let Some(fields) = typed::reconcile(&owned.fields, ty) {
            owned.fields = fields;
        }
        true
    });
}

/// Takes from all managers but `writer` what the change from `old` to `new` modified, added or removed.
///
/// Unless `force` is set, modified or added fields of others are conflicts and nothing changes.
pub(crate) fn take_over(
    managers: &mut Managers,
    old: Versioned<'_>,
    new: Versioned<'_>,
    writer: Option<&ManagerId>,
    force: bool,
    versions: &dyn Versions,
) -> Result<Comparison, OwnershipError> {
    let mut comparisons: BTreeMap<String, Comparison> = BTreeMap::new();
    comparisons.insert(new.api_version.to_owned(), compare_at(new.api_version, old, new, versions)?);
    let mut conflicts: Vec<(ManagerId, FieldSet)> = Vec::new();
    for (id, owned) in &managers.0 {
        if Some(id) == writer {
            continue;
        }
        if !comparisons.contains_key(&owned.api_version) {
            let comparison = compare_at(&owned.api_version, old, new, versions)?;
            comparisons.insert(owned.api_version.clone(), comparison);
        }
        let comparison = &comparisons[&owned.api_version];
        let taken = owned.fields.intersection(&comparison.modified.union(&comparison.added));
        if !taken.is_empty() {
            conflicts.push((id.clone(), taken));
        }
    }
    if !force && !conflicts.is_empty() {
        let conflicts = conflicts.into_iter().flat_map(|(manager, fields)| {
            fields.paths().into_iter().map(move |path| Conflict { manager: manager.clone(), path })
        });
        return Err(Conflicts(conflicts.collect()).into());
    }
    for (id, taken) in &conflicts {
        if let Some(owned) = managers.0.get_mut(id) {
            owned.fields = owned.fields.difference(taken);
        }
    }
    for (id, owned) in &mut managers.0 {
        if Some(id) != writer {
            let removed = &comparisons[&owned.api_version].removed;
            if !removed.is_empty() {
                owned.fields = owned.fields.difference(removed);
            }
        }
    }
    managers.0.retain(|_, owned| !owned.fields.is_empty());
    Ok(comparisons.remove(new.api_version).unwrap_or_default())
}

fn compare_at(
    api_version: &str,
    old: Versioned<'_>,
    new: Versioned<'_>,
    versions: &dyn Versions,
) -> Result<Comparison, OwnershipError> {
    let Some(ty) = versions.type_at(api_version) else {
        return Err(OwnershipError::Text(format!("no corresponding type for {api_version}")));
    };
    let comparison =
        typed::compare(&*old.at(api_version, versions)?, &*new.at(api_version, versions)?, ty)
            .map_err(|errors| OwnershipError::Text(format!("failed to compare objects: {errors}")))?;
    Ok(match versions.reset_fields(api_version) {
        Some(reset) => comparison.map(|fields| fields.recursive_difference(reset)),
        None => comparison,
    })
}

/// Records a write that is no apply: `manager` comes to own what it changed. What it owned before stays its own.
pub(crate) fn record_update(
    managers: &mut Managers,
    old: Versioned<'_>,
    new: Versioned<'_>,
    manager: ManagerId,
    now: &str,
    versions: &dyn Versions,
) -> Result<(), OwnershipError> {
    reconcile_with_schema(managers, versions);
    let comparison = take_over(managers, old, new, None, true, versions)?;
    let mut fields = comparison.modified.union(&comparison.added);
    if let Some(reset) = versions.reset_fields(new.api_version) {
        fields = fields.recursive_difference(reset);
    }
    let fields = without_unowned(&fields);
    if !fields.is_empty() {
        let fields = match managers.0.get(&manager) {
            Some(previous) => fields.union(&previous.fields),
            None => fields,
        };
        let owned = Owned { fields, api_version: new.api_version.to_owned(), time: Some(now.to_owned()) };
        managers.0.insert(manager, owned);
    }
    cap_update_managers(managers);
    Ok(())
}

/// The fields without those that no manager ever owns.
pub(crate) fn without_unowned(fields: &FieldSet) -> FieldSet {
    fields.difference(&UNOWNED)
}

/// Merges the oldest managers of each version until no more than the maximum are left.
fn cap_update_managers(managers: &mut Managers) {
    let mut updaters: Vec<(ManagerId, Option<String>)> = managers
        .0
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, owned)| (id.clone(), owned.time.clone()))
        .collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATE_MANAGERS {
        return;
    }
    updaters.sort_by(|(a, a_time), (b, b_time)| {
        compare_times(a_time.as_deref(), b_time.as_deref()).then_with(|| a.cmp(b))
    });
    let mut first_of_version: BTreeMap<String, ManagerId> = BTreeMap::new();
    for (id, time) in updaters {
        if count <= MAX_UPDATE_MANAGERS {
            break;
        }
        let Some(owned) = managers.0.get(&id) else { continue };
        let version = owned.api_version.clone();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        let bucket = ManagerId::new(OLD_UPDATES_MANAGER, Operation::Update, &version, "");
        let Some(owned) = managers.0.remove(&id) else { continue };
        if !managers.0.contains_key(&bucket)
            && let Some(oldest) = managers.0.remove(first)
        {
            managers.0.insert(bucket.clone(), oldest);
        }
        if let Some(merged) = managers.0.get_mut(&bucket) {
            merged.fields = merged.fields.union(&owned.fields);
            merged.time = time;
        }
        count -= 1;
    }
}
