//! The columns of each resource's `Table`.

use jiff::Timestamp;
use serde_json::Value;

use super::printing::{age, json_path_cell};
use crate::object;
use crate::registry::Resource;

/// A column and how to fill it.
pub(crate) struct ColumnDefinition {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub cell: Box<dyn Fn(&Value, Timestamp) -> Value + Send + Sync>,
}

/// The columns of a resource.
pub(crate) fn columns_of(resource: &Resource) -> Vec<ColumnDefinition> {
    let mut out = vec![ColumnDefinition {
        name: "Name".into(),
        kind: "string".into(),
        format: "name".into(),
        description: "Name must be unique within a namespace.".into(),
        priority: 0,
        cell: Box::new(|o, _| object::name(o).into()),
    }];
    match &resource.custom {
        Some(c) if !c.columns.is_empty() => {
            for c in &c.columns {
                let (path, kind) = (c.path.clone(), c.kind.clone());
                out.push(ColumnDefinition {
                    name: c.name.clone(),
                    kind: c.kind.clone(),
                    format: c.format.clone(),
                    description: if c.description.is_empty() {
                        format!("Custom resource definition column (in JSONPath format): {}", c.path)
                    } else {
                        c.description.clone()
                    },
                    priority: c.priority,
                    cell: Box::new(move |o, now| json_path_cell(o, &path, &kind, now)),
                });
            }
        }
        _ => out.push(created("Age")),
    }
    out
}

fn created(name: &str) -> ColumnDefinition {
    ColumnDefinition {
        name: name.to_owned(),
        kind: if name == "Age" { "string".into() } else { "date".into() },
        format: String::new(),
        description:
            "CreationTimestamp is a timestamp representing the server time when this object was created."
                .to_owned(),
        priority: 0,
        cell: Box::new(|o, now| age(object::text(o, &["metadata", "creationTimestamp"]), now).into()),
    }
}
