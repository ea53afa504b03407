//! What an apply would do with an object, found out without changing anything, in a form that can be
//! shown to people.

use serde_json::{Map, Value};

use crate::apply::{self, Action, Error};
use crate::cluster::Cluster;
use crate::drift;
use crate::ignore;
use crate::inventory::Entry;
use crate::metadata::{Owner, drop_invalid_ca_bundle};
use crate::object::Object;

/// How the objects would be applied.
#[derive(Debug, Clone)]
pub struct Options {
    /// On whose behalf.
    pub owner: Owner,
    /// The field manager of applied objects.
    pub field_manager: String,
    /// Recreate objects whose immutable fields changed.
    pub force: bool,
    /// Fields that are left to others.
    pub ignore: ignore::Rules,
}

/// What would become of an object.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Identity and version, as the server sees them.
    pub entry: Entry,
    /// What would be done.
    pub action: Action,
    /// For an object that would be configured: how it is, and how it would be. Values of Secrets are
    /// masked.
    pub change: Option<(Object, Object)>,
}

/// Tries to apply an object.
pub async fn preview(cluster: &Cluster, mut object: Object, options: &Options) -> Result<Preview, Error> {
    drop_invalid_ca_bundle(&mut object);
    let resource = cluster
        .resource(object.api_version(), object.kind())
        .await
        .map_err(|source| Error::DryRun { subject: object.subject(), source })?;
    let live = cluster
        .get(&resource, object.namespace(), object.name())
        .await
        .map_err(|source| Error::Query { subject: object.subject(), source })?;
    if apply::is_skipped(&object, live.as_ref(), &options.owner) {
        let entry = Entry::of(live.as_ref().unwrap_or(&object));
        return Ok(Preview { entry, action: Action::Skipped, change: None });
    }
    let merged = match cluster.apply(&resource, &object, &options.field_manager, true).await {
        Ok(merged) => merged,
        Err(error) => {
            let forced = |live: &Object| {
                options.force || options.owner.is_forced(&object) || options.owner.is_forced(live)
            };
            return match &live {
                Some(live) if forced(live) && apply::is_immutable(&error) => {
                    Ok(Preview { entry: Entry::of(live), action: Action::Created, change: None })
                }
                _ => Err(Error::of_dry_run(&object, &resource, error)),
            };
        }
    };
    let entry = Entry::of(&merged);
    let Some(live) = live.filter(|_| !drift::is_created_by(&merged)) else {
        return Ok(Preview { entry, action: Action::Created, change: None });
    };
    let ignored = options.ignore.pointers(&merged);
    if !apply::differs(&live, &merged, &ignored) {
        return Ok(Preview { entry, action: Action::Unchanged, change: None });
    }
    let (mut live, mut merged) = (ignore::without(&live, &ignored), ignore::without(&merged, &ignored));
    for object in [&mut live, &mut merged] {
        object.metadata_mut().remove("managedFields");
    }
    mask(&mut live, &mut merged);
    Ok(Preview { entry, action: Action::Configured, change: Some((live, merged)) })
}

/// Hides the values of a Secret, and tells only which of them differ.
fn mask(live: &mut Object, merged: &mut Object) {
    if !live.is_secret() {
        return;
    }
    for field in ["data", "stringData"] {
        let before = values(live, field).cloned().unwrap_or_default();
        let after = values(merged, field).cloned().unwrap_or_default();
        let masked = |own: &Map<String, Value>, other: &Map<String, Value>, which: &str| {
            let mask = |(key, value): (&String, &Value)| {
                let differs = other.get(key).is_some_and(|other| other != value);
                let text = if differs { format!("*** ({which})") } else { "***".to_owned() };
                (key.clone(), Value::String(text))
            };
            Value::Object(own.iter().map(mask).collect())
        };
        if values(live, field).is_some() {
            live.fields_mut().insert(field.to_owned(), masked(&before, &after, "before"));
        }
        if values(merged, field).is_some() {
            merged.fields_mut().insert(field.to_owned(), masked(&after, &before, "after"));
        }
    }
}

fn values<'a>(object: &'a Object, field: &str) -> Option<&'a Map<String, Value>> {
    object.fields().get(field).and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_value_of_a_secret_is_shown() {
        let secret = |data: Value| {
            Object::new(
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}),
            )
            .unwrap()
        };
        let mut live = secret(json!({"same": "QQ==", "other": "Qg==", "gone": "Qw=="}));
        let mut merged = secret(json!({"same": "QQ==", "other": "RA==", "new": "RQ=="}));
        mask(&mut live, &mut merged);
        assert_eq!(live.fields()["data"], json!({"same": "***", "other": "*** (before)", "gone": "***"}));
        assert_eq!(merged.fields()["data"], json!({"same": "***", "other": "*** (after)", "new": "***"}));
    }
}
