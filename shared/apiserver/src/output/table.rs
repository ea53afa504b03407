//! `Table` answers, as kubectl asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns::{Column, columns_of, row_of};
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
            let mut row = json!({"cells": shown.cells});
            let m = object::members(&mut row);
            if let Some(conditions) = shown.conditions {
                m.insert("conditions".into(), conditions);
            }
            match include {
                IncludeObject::None => {
                    m.insert("object".into(), Value::Null);
                }
                IncludeObject::Metadata => {
                    m.insert("object".into(), super::partial_metadata(o));
                }
                IncludeObject::Object => {
                    m.insert("object".into(), (*o).clone());
                }
            }
            row
        })
        .collect();
    // The converter of kinds without columns of their own starts from no list at all.
    let generic = resource.custom.is_none() && columns.iter().any(|c| c.name == "Created At");
    let rows = if rows.is_empty() && generic { Value::Null } else { rows.into() };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": if header { Value::Array(definitions) } else { Value::Null },
        "rows": rows,
    })
}

fn definition(c: &Column) -> Value {
    json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority})
}
