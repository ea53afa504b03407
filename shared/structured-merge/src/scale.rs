//! `managedFields` between a resource and its scale subresource, which show the same replicas under different paths.

use std::collections::BTreeMap;

use crate::fieldset::FieldSet;
use crate::managers::{ManagerId, Managers, Operation, Owned};
use crate::path::Path;

/// The version of scale objects.
const SCALE_VERSION: &str = "autoscaling/v1";

/// Where each served version of the resource keeps its replicas; `None` for a version without scale.
pub type ReplicasPaths = BTreeMap<String, Option<Path>>;

/// The managers of the replicas, as the scale object shows them.
pub fn to_scale(parent: &Managers, paths: &ReplicasPaths) -> Managers {
    let owners = parent.0.iter().filter(|(_, owned)| replicas_path(owned, paths).is_some());
    let scaled = owners.map(|(id, owned)| {
        let id = match id.operation {
            Operation::Update => ManagerId { api_version: SCALE_VERSION.to_owned(), ..id.clone() },
            Operation::Apply => id.clone(),
        };
        let owned = Owned {
            fields: FieldSet::of([scale_path()]),
            api_version: SCALE_VERSION.to_owned(),
            time: owned.time.clone(),
        };
        (id, owned)
    });
    Managers(scaled.collect())
}

/// The managers of the resource at `api_version` after a write to its scale left `scale` as the managers there.
///
/// Who lost the replicas there loses them here. Managers new to the resource come without a time.
pub fn to_parent(parent: &Managers, scale: &Managers, api_version: &str, paths: &ReplicasPaths) -> Managers {
    let mut remaining = scale.0.clone();
    let mut managers = BTreeMap::new();
    for (id, owned) in &parent.0 {
        if !paths.contains_key(&owned.api_version) {
            continue;
        }
        let Some(path) = replicas_path(owned, paths) else {
            managers.insert(id.clone(), owned.clone());
            continue;
        };
        if remaining.remove(id).is_some() {
            managers.insert(id.clone(), owned.clone());
            continue;
        }
        let fields = owned.fields.difference(&FieldSet::of([path.clone()]));
        if !fields.is_empty() {
            managers.insert(id.clone(), Owned { fields, ..owned.clone() });
        }
    }
    let Some(Some(path)) = paths.get(api_version) else { return Managers(managers) };
    for (id, owned) in remaining {
        if !owned.fields.has(&scale_path().0) {
            continue;
        }
        let time = parent.0.get(&id).and_then(|owned| owned.time.clone());
        let fields = FieldSet::of([path.clone()]);
        managers.insert(id, Owned { fields, api_version: api_version.to_owned(), time });
    }
    Managers(managers)
}

/// The path of the replicas in the owner's version, when the owner owns them.
fn replicas_path<'p>(owned: &Owned, paths: &'p ReplicasPaths) -> Option<&'p Path> {
    let path = paths.get(&owned.api_version)?.as_ref()?;
    owned.fields.has(&path.0).then_some(path)
}

fn scale_path() -> Path {
    Path::of_fields(&["spec", "replicas"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn paths() -> ReplicasPaths {
        [("apps/v1".to_owned(), Some(Path::of_fields(&["spec", "replicas"])))].into()
    }

    #[test]
    fn a_write_through_scale_takes_the_replicas() {
        let entries = json!([
            {"manager": "a", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}}
        ]);
        let parent = Managers::decode(&entries).unwrap();
        let scale = to_scale(&parent, &paths());
        assert_eq!(scale.0.values().next().unwrap().api_version, "autoscaling/v1");
        assert_eq!(to_parent(&parent, &scale, "apps/v1", &paths()), parent);

        let id = ManagerId::new("hpa", Operation::Update, "autoscaling/v1", "scale");
        let fields = FieldSet::of([Path::of_fields(&["spec", "replicas"])]);
        let owned = Owned { fields, api_version: "autoscaling/v1".to_owned(), time: None };
        let after = to_parent(&parent, &Managers([(id, owned)].into()), "apps/v1", &paths());
        let entries = Value::Array(after.encode());
        assert_eq!(entries[0]["fieldsV1"], json!({"f:spec": {"f:paused": {}}}));
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(entries[1]["apiVersion"], "apps/v1");
        assert_eq!(entries[1]["subresource"], "scale");
        assert_eq!(entries[1].get("time"), None);
    }
}
