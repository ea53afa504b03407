//! Replays recorded applies, updates and conflicts on custom resources, as far as they need no server.

use std::collections::BTreeMap;
use std::path::Path;

use fluxide_structured_merge::schema::{Schema, TypeRef};
use fluxide_structured_merge::{
    ApplyError, ApplyRequest, FieldSet, UpdateRequest, Versions, apply, keep_times, update,
};
use serde_json::{Value, json};

/// The definition of the custom kind of a case.
struct Kind {
    schemas: Vec<(String, Schema)>,
    /// The OpenAPI schemas of the same versions.
    open_api: BTreeMap<String, Value>,
    has_status: bool,
    reset: FieldSet,
}

impl Versions for Kind {
    fn type_at(&self, api_version: &str) -> Option<TypeRef<'_>> {
        self.schemas.iter().find(|(version, _)| version == api_version).map(|(_, schema)| schema.root())
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        let mut object = object.clone();
        object["apiVersion"] = api_version.into();
        Ok(object)
    }

    fn reset_fields(&self, _api_version: &str) -> Option<&FieldSet> {
        Some(&self.reset)
    }
}

#[test]
fn recorded_cases() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut compared = 0;
    let mut failures = Vec::new();
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        match replay(&case) {
            Ok(steps) => compared += steps,
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(compared > 70, "only {compared} steps were compared");
}

/// Runs the steps of a case until one needs more than the merge; returns how many were compared.
fn replay(case: &Value) -> Result<usize, String> {
    let crd = &case["crds"][0];
    let mut kind = read_kind(crd);
    let mut store: BTreeMap<String, Value> = BTreeMap::new();
    let mut compared = 0;
    for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let Some(answer) = perform(&mut kind, &mut store, step, index) else { return Ok(compared) };
        let expected = &step["expect"];
        let what = format!("step {index} {} {}", step["method"], step["path"]);
        match answer {
            Ok(object) => {
                let body = &expected["body"];
                if expected["status"].as_u64().unwrap() >= 300 {
                    // Refused by validation, which is no concern of the merge.
                    return Ok(compared);
                }
                for part in ["spec", "status"] {
                    if object.get(part) != body.get(part) {
                        return Err(format!(
                            "{what}: {part}\n{:#}\nexpected\n{:#}",
                            object[part], body[part]
                        ));
                    }
                }
                let (found, wanted) = (managed_fields(&object), managed_fields(body));
                if found != wanted {
                    return Err(format!("{what}: managedFields\n{found:#}\nexpected\n{wanted:#}"));
                }
            }
            Err(error) => {
                if expected["body"]["message"] != error.to_string() {
                    return Err(format!("{what}: {error}\nexpected\n{}", expected["body"]["message"]));
                }
                if let ApplyError::Conflicts(conflicts) = error {
                    let causes: Vec<Value> = conflicts
                        .0
                        .iter()
                        .map(|conflict| {
                            json!({"reason": "FieldManagerConflict", "message": conflict.message(), "field": conflict.path.to_string()})
                        })
                        .collect();
                    let mut wanted = expected["body"]["details"]["causes"].as_array().unwrap().clone();
                    let key = |cause: &Value| (cause["message"].to_string(), cause["field"].to_string());
                    let mut found = causes;
                    found.sort_by_key(key);
                    wanted.sort_by_key(key);
                    if found != wanted {
                        return Err(format!("{what}: causes {found:?}\nexpected {wanted:?}"));
                    }
                }
            }
        }
        compared += 1;
    }
    Ok(compared)
}

/// The outcome of a request; `None` when it takes more than the merge to answer it.
fn perform(
    kind: &mut Kind,
    store: &mut BTreeMap<String, Value>,
    step: &Value,
    index: usize,
) -> Option<Result<Value, ApplyError>> {
    let path = step["path"].as_str()?;
    let parts: Vec<&str> = path.split('/').collect();
    let (group, version) = (*parts.get(2)?, *parts.get(3)?);
    let name = *parts.get(7)?;
    let subresource = parts.get(8).copied().unwrap_or_default();
    if subresource == "scale" || !step["query"]["dryRun"].is_null() || !step["body"].is_object() {
        return None;
    }
    let api_version = format!("{group}/{version}");
    let now = format!("2026-01-01T00:00:{index:02}Z");
    let manager = step["query"]["fieldManager"].as_str().unwrap_or("replay");
    kind.reset = FieldSet::from_json(&match subresource {
        "status" => json!({"f:spec": {}, "f:metadata": {}}),
        _ if kind.has_status => json!({"f:status": {}}),
        _ => json!({}),
    })
    .ok()?;
    let live = store.get(name).map(|stored| kind.convert(stored, &api_version).unwrap());
    let media_type = step["headers"]["Content-Type"].as_str().unwrap_or_default();
    let mut new = match (step["method"].as_str()?, media_type) {
        ("PATCH", "application/apply-patch+yaml") => {
            if live.is_none() && !subresource.is_empty() {
                return None;
            }
            let request = ApplyRequest {
                live: live.as_ref(),
                applied: &step["body"],
                manager,
                force: step["query"]["force"].as_str() == Some("true"),
                api_version: &api_version,
                kind: step["body"]["kind"].as_str()?,
                subresource,
                now: &now,
            };
            match apply(&request, kind) {
                Ok(applied) => applied.object,
                Err(error) => return Some(Err(error)),
            }
        }
        ("PATCH", "application/merge-patch+json") => {
            let mut new = live.clone()?;
            merge_patch(&mut new, &step["body"]);
            update(
                &UpdateRequest {
                    live: live.as_ref(),
                    new: &new,
                    manager,
                    api_version: &api_version,
                    subresource,
                    now: &now,
                },
                kind,
            )
        }
        _ => return None,
    };
    if kind.has_status {
        let (kept, from) = if subresource == "status" { ("spec", &live) } else { ("status", &live) };
        match from.as_ref().and_then(|live| live.get(kept)) {
            Some(value) => new[kept] = value.clone(),
            None => {
                new.as_object_mut()?.remove(kept);
            }
        }
    }
    drop_nulls(&mut new, &kind.open_api[&api_version]);
    fill_defaults(&mut new, &kind.open_api[&api_version]);
    new["metadata"]["uid"] = "1".into();
    if let Some(live) = &live {
        keep_times(live, &mut new);
    }
    store.insert(name.to_owned(), new.clone());
    Some(Ok(new))
}

fn read_kind(crd: &Value) -> Kind {
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let schemas = versions
        .iter()
        .map(|version| {
            let name =
                format!("{}/{}", crd["spec"]["group"].as_str().unwrap(), version["name"].as_str().unwrap());
            (name, Schema::from_open_api(&version["schema"]["openAPIV3Schema"], false).unwrap())
        })
        .collect();
    let open_api = versions
        .iter()
        .map(|version| {
            let name =
                format!("{}/{}", crd["spec"]["group"].as_str().unwrap(), version["name"].as_str().unwrap());
            (name, version["schema"]["openAPIV3Schema"].clone())
        })
        .collect();
    let has_status = versions.iter().any(|version| version["subresources"].get("status").is_some());
    Kind { schemas, open_api, has_status, reset: FieldSet::new() }
}

/// Entries without times, whose presence stays visible, in the order of the recording.
fn managed_fields(object: &Value) -> Value {
    let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    for entry in &mut entries {
        if let Some(time) = entry.get_mut("time") {
            *time = "<time>".into();
        }
    }
    entries.sort_by_key(|entry| {
        ["operation", "manager", "apiVersion", "subresource"].map(|name| entry[name].to_string())
    });
    Value::Array(entries)
}

fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge_patch(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The server drops null where the schema does not allow it.
fn drop_nulls(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| {
                !value.is_null() || schema["properties"][name]["nullable"] == Value::Bool(true)
            });
            for (name, member) in members {
                drop_nulls(member, &schema["properties"][name]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, &schema["items"])),
        _ => {}
    }
}

fn fill_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(members) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let (None, Some(default)) = (members.get(name), property.get("default")) {
                    members.insert(name.clone(), default.clone());
                }
                if let Some(member) = members.get_mut(name) {
                    fill_defaults(member, property);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_defaults(item, &schema["items"])),
        _ => {}
    }
}
