//! The cells of the rows that built-in kinds show in tables.

mod cluster;
mod network;
mod pods;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use super::printing::{age, human_duration};
use crate::object::{self, text};
use crate::registry::Resource;

/// What a table shows of an object: cells, and for finished pods a condition.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub cells: Vec<Value>,
    pub conditions: Option<Value>,
}

impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Self {
        Row { cells, conditions: None }
    }
}

/// A list of cells from values of different types.
macro_rules! cells {
    ($($cell:expr),+ $(,)?) => { vec![$(serde_json::Value::from($cell)),+] };
}
pub(crate) use cells;

/// The row of an object of a built-in kind.
pub(crate) fn row(resource: &Resource, o: &Value, now: Timestamp) -> Row {
    let group = resource.group.as_str();
    let plural = resource.plural.as_str();
    if group.is_empty() && plural == "pods" {
        return pods::row(o, now);
    }
    let cells = match group {
        "" => match plural {
            "replicationcontrollers" | "podtemplates" => workloads::cells(plural, o, now),
            "services" | "endpoints" => network::cells(plural, o, now),
            "persistentvolumes" | "persistentvolumeclaims" => storage::cells(plural, o, now),
            _ => cluster::core(plural, o, now),
        },
        "apps" | "batch" | "autoscaling" | "policy" => workloads::cells(plural, o, now),
        "networking.k8s.io" | "discovery.k8s.io" => network::cells(plural, o, now),
        "storage.k8s.io" => storage::cells(plural, o, now),
        _ => cluster::cells(group, plural, o, now),
    };
    cells.unwrap_or_else(|| created_at(o)).into()
}

/// Name and creation time: kinds without columns of their own.
fn created_at(o: &Value) -> Vec<Value> {
    cells![object::name(o), text(o, &["metadata", "creationTimestamp"])]
}

fn age_of(o: &Value, now: Timestamp) -> String {
    since(text(o, &["metadata", "creationTimestamp"]), now)
}

fn since(time: &str, now: Timestamp) -> String {
    if time.is_empty() { "<unknown>".to_owned() } else { age(time, now) }
}

/// The time between two timestamps, the second of which may be now.
fn between(start: &str, end: &str, now: Timestamp) -> String {
    let Ok(start) = start.parse::<Timestamp>() else { return String::new() };
    let end = end.parse::<Timestamp>().unwrap_or(now);
    human_duration(end.as_second() - start.as_second())
}

fn number(v: &Value, path: &[&str]) -> i64 {
    object::at(v, path).and_then(Value::as_i64).unwrap_or(0)
}

fn or_none(s: &str) -> &str {
    if s.is_empty() { "<none>" } else { s }
}

fn or_unset(s: &str) -> &str {
    if s.is_empty() { "<unset>" } else { s }
}

fn items<'a>(v: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    object::at(v, path).and_then(Value::as_array).into_iter().flatten()
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}

/// A scalar as text: a quantity, a port, an int-or-string.
fn scalar(v: &Value) -> String {
    match v {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `k=v,k2=v2`, or `<none>`.
fn labels(map: Option<&Value>) -> String {
    let pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    or_none(&pairs.join(",")).to_owned()
}

/// A label selector in its text form, or `<none>`.
fn selector(v: Option<&Value>) -> String {
    let text = v.map(crate::selectors::selector_text).unwrap_or_default();
    or_none(&text).to_owned()
}

/// Up to `max` of the parts, and how many more there are.
fn abbreviated(parts: &[String], max: usize) -> String {
    if parts.len() <= max {
        return parts.join(",");
    }
    format!("{} + {} more...", parts[..max].join(","), parts.len() - max)
}
