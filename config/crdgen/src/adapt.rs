//! What the API types cannot say about their definitions.

use serde_json::{Map, Value, json};

/// Fields that have a default and are required all the same: the API server sets the default
/// before it looks for required fields, and clients see that the field is always there.
const REQUIRED_WITH_DEFAULT: &[(&str, &str, &str)] = &[
    ("ocirepositories.source.toolkit.fluxcd.io", "/spec/verify", "provider"),
    ("helmcharts.source.toolkit.fluxcd.io", "/spec/verify", "provider"),
    ("helmreleases.helm.toolkit.fluxcd.io", "/spec/chart/spec/verify", "provider"),
    ("imageupdateautomations.image.toolkit.fluxcd.io", "/spec/sourceRef", "kind"),
];

/// Definitions whose objects need no spec.
const OPTIONAL_SPEC: &[&str] = &["externalartifacts.source.toolkit.fluxcd.io"];

/// Changes the definition called `name`, as derived from its type, into what is installed.
pub fn adapt(name: &str, manifest: &mut Value) {
    for schema in schemas_mut(manifest) {
        simplify(schema);
        for (_, path, field) in REQUIRED_WITH_DEFAULT.iter().filter(|rule| rule.0 == name) {
            if let Some(object) = property_mut(schema, path) {
                require(object, field);
            }
        }
        if OPTIONAL_SPEC.contains(&name)
            && let Some(schema) = schema.as_object_mut()
        {
            schema.remove("required");
        }
        describe_type_fields(schema);
    }
    tidy_lists(manifest);
    name_list_kind(manifest);
}

/// Serves `older` versions with the schema of the stored one, marked as deprecated.
///
/// Objects are converted by changing nothing but their `apiVersion`, so a field must be in the
/// schemas of all versions to survive; that is why there is only one schema.
pub fn serve_older_versions(manifest: &mut Value, older: &[&str]) {
    let kind = manifest.pointer("/spec/names/kind").and_then(Value::as_str).map(str::to_owned);
    let kind = kind.unwrap_or_default();
    let Some(versions) = manifest.pointer_mut("/spec/versions").and_then(Value::as_array_mut) else {
        return;
    };
    let Some(stored) = versions.first().and_then(Value::as_object).cloned() else {
        return;
    };
    let stored_name = stored.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    for name in older {
        let mut version = stored.clone();
        version.insert("name".into(), json!(name));
        version.insert("served".into(), json!(true));
        version.insert("storage".into(), json!(false));
        version.insert("deprecated".into(), json!(true));
        version.insert(
            "deprecationWarning".into(),
            json!(format!("{name} {kind} is deprecated, upgrade to {stored_name}")),
        );
        versions.push(Value::Object(version));
    }
}

fn schemas_mut(manifest: &mut Value) -> impl Iterator<Item = &mut Value> {
    manifest
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema"))
}

/// Takes away what follows from Rust's types only: null for what may be left out, the width of
/// plain integers.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("nullable");
            for limit in ["minimum", "maximum"] {
                if let Some(whole) = object.get(limit).and_then(whole_number) {
                    object.insert(limit.into(), whole);
                }
            }
            if object.get("format").and_then(Value::as_str) == Some("int32") {
                object.remove("format");
            }
            if let Some(values) = object.get_mut("enum").and_then(Value::as_array_mut) {
                values.retain(|value| !value.is_null());
            }
            object.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

/// A number without a fraction, in the form integers are written in.
fn whole_number(number: &Value) -> Option<Value> {
    let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
    format!("{number:.0}").parse::<i64>().ok().map(Value::from)
}

/// The schema of the property at `path`, which names properties only.
fn property_mut<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let pointer = path.replace('/', "/properties/");
    schema.pointer_mut(&pointer).and_then(Value::as_object_mut)
}

fn require(object: &mut Map<String, Value>, field: &str) {
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut()
        && !required.iter().any(|name| name == field)
    {
        required.push(json!(field));
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
}

/// Lists `apiVersion`, `kind` and `metadata`, which every object has, instead of a title.
fn describe_type_fields(schema: &mut Value) {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("title");
    }
    let Some(properties) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) else {
        return;
    };
    properties.insert(
        "apiVersion".into(),
        json!({
            "description": "Group and version of the object's schema.",
            "type": "string",
        }),
    );
    properties.insert(
        "kind".into(),
        json!({
            "description": "Kind of the object.",
            "type": "string",
        }),
    );
    properties.insert("metadata".into(), json!({ "type": "object" }));
}

/// Names the kind of lists, as the API server would.
fn name_list_kind(manifest: &mut Value) {
    if let Some(names) = manifest.pointer_mut("/spec/names").and_then(Value::as_object_mut)
        && let Some(kind) = names.get("kind").and_then(Value::as_str)
    {
        let list_kind = format!("{kind}List");
        names.insert("listKind".into(), json!(list_kind));
    }
}

/// Drops lists that are empty in the names and columns of a definition, and says that a version
/// without subresources has none.
fn tidy_lists(manifest: &mut Value) {
    let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    if let Some(names) = manifest.pointer_mut("/spec/names").and_then(Value::as_object_mut) {
        names.retain(|_, value| !is_empty_list(value));
    }
    let versions = manifest.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten().filter_map(Value::as_object_mut) {
        version.retain(|_, value| !is_empty_list(value));
        version.entry("subresources").or_insert_with(|| json!({}));
    }
}
