//! `Table` answers, as kubectl asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns::{Column, columns_of, described, row_of};
use crate::api_error::{ApiError, ApiResult};
use crate::object;
use crate::registry::Resource;

/// What of the object accompanies each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    /// Reads the query parameter `includeObject`.
    pub fn parse(v: &str) -> ApiResult<Self> {
        match v {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', \
                 'None', or empty",
                fluxide_gotext::quote_str(other)
            ))),
        }
    }
}

/// The table of some objects. `metadata` is that of the list, or holds the resourceVersion of the one object.
pub(crate) fn table(
    resource: &Resource,
    objects: &[&Value],
    metadata: Value,
    include: IncludeObject,
    header: bool,
    now: Timestamp,
) -> Value {
    let columns = columns_of(resource);
    let definitions: Vec<Value> = columns.iter().map(definition).collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|o| {
            let shown = row_of(resource, o, now);
            let mut row = row(shown.cells, o, include);
            if let Some(conditions) = shown.conditions {
                object::members(&mut row).insert("conditions".into(), conditions);
            }
            row
        })
        .collect();
    // The converter of kinds without columns of their own starts from no list at all.
    let generic = resource.custom.is_none() && columns.iter().any(|c| c.name == "Created At");
    let rows = if rows.is_empty() && generic { Value::Null } else { rows.into() };
    let definitions = if header { Value::Array(definitions) } else { Value::Null };
    document(metadata, definitions, rows)
}

fn document(mut metadata: Value, definitions: Value, rows: Value) -> Value {
    // An object that a dry run made has none.
    if let Some(members) = metadata.as_object_mut() {
        members.retain(|_, member| member != "");
    }
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn row(cells: Vec<Value>, o: &Value, include: IncludeObject) -> Value {
    let shown = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => super::partial_metadata(o),
        IncludeObject::Object => o.clone(),
    };
    json!({"cells": cells, "object": shown})
}

/// The table of a scale, of which custom resources have a slightly different one.
pub(crate) fn scale_table(v: &Value, custom: bool, include: IncludeObject, now: Timestamp) -> Value {
    let column = |name: &str, kind: &str, format: &str, description: &str| json!({"name": name, "type": kind, "format": format, "description": description, "priority": 0});
    let (desired, available) = match custom {
        true => ("Number of desired replicas", "Number of actual replicas"),
        false => (
            "replicas is the desired number of instances for the scaled object.",
            "replicas is the actual number of observed instances of the scaled object.",
        ),
    };
    let (format, date) = if custom { ("name", "date") } else { ("", "string") };
    let definitions = json!([
        column("Name", "string", format, &described("configmaps", "Name")),
        column("Desired", "integer", "", desired),
        column("Available", "integer", "", available),
        column("Age", date, "", &described("configmaps", "Age")),
    ]);
    let replicas = |part: &str| v[part]["replicas"].as_i64().unwrap_or(0).into();
    let age = super::printing::age(object::text(v, &["metadata", "creationTimestamp"]), now);
    let cells = vec![object::name(v).into(), replicas("spec"), replicas("status"), age.into()];
    let metadata = json!({"resourceVersion": object::resource_version(v)});
    document(metadata, definitions, json!([row(cells, v, include)]))
}

fn definition(c: &Column) -> Value {
    json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority})
}
