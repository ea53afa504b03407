//! The columns of each resource's `Table`.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::cells::{self, Row};
use super::printing::json_path_cell;
use crate::object;
use crate::registry::Resource;

const BUILTIN: &str = include_str!("../../data/kubernetes-1.36-columns.json");
const CREATION_TIME: &str = ".metadata.creationTimestamp";

/// The heading of a column.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
}

/// The data is part of the program: unreadable data leaves no columns, which the tests notice.
static COLUMNS: LazyLock<HashMap<String, Vec<Column>>> =
    LazyLock::new(|| serde_json::from_str(BUILTIN).unwrap_or_default());

/// The columns of a resource.
pub(crate) fn columns_of(resource: &Resource) -> Vec<Column> {
    let Some(custom) = &resource.custom else {
        let key = format!("{}/{}", resource.api_version(), resource.plural);
        return COLUMNS.get(&key).cloned().unwrap_or_else(|| vec![name_column()]);
    };
    let mut out = vec![name_column()];
    out.extend(custom.columns.iter().map(|c| Column {
        name: c.name.clone(),
        kind: c.kind.clone(),
        format: c.format.clone(),
        description: match c.description.as_str() {
            "" => format!("Custom resource definition column (in JSONPath format): {}", c.path),
            text => text.to_owned(),
        },
        priority: c.priority,
    }));
    if custom.columns.is_empty() {
        out.push(Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: described("configmaps", "Age"),
            priority: 0,
        });
    }
    out
}

fn name_column() -> Column {
    Column {
        name: "Name".into(),
        kind: "string".into(),
        format: "name".into(),
        description: described("configmaps", "Name"),
        priority: 0,
    }
}

/// The description that a core kind gives a column.
pub(super) fn described(plural: &str, name: &str) -> String {
    let columns = COLUMNS.get(&format!("v1/{plural}"));
    let column = columns.and_then(|c| c.iter().find(|c| c.name == name));
    column.map(|c| c.description.clone()).unwrap_or_default()
}

/// The row of an object under the columns of its resource.
pub(crate) fn row_of(resource: &Resource, o: &Value, now: Timestamp) -> Row {
    let Some(custom) = &resource.custom else { return cells::row(resource, o, now) };
    let mut out = vec![Value::from(object::name(o))];
    out.extend(custom.columns.iter().map(|c| json_path_cell(o, &c.path, &c.kind, now)));
    if custom.columns.is_empty() {
        out.push(json_path_cell(o, CREATION_TIME, "date", now));
    }
    out.into()
}
