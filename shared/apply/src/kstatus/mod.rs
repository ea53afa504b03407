//! Health of a Kubernetes object from its own fields, by the rules of kstatus: generic conditions
//! first, then rules of the well-known kinds, then the condition `Ready`.

mod workloads;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::object::Object;

/// The health of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is as its spec wants it.
    Current,
    /// It is on the way there.
    InProgress,
    /// It will not get there by itself.
    Failed,
    /// It is being deleted.
    Terminating,
    /// It does not exist.
    NotFound,
    /// It cannot be read or judged.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "Current",
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
            Self::Unknown => "Unknown",
        })
    }
}

/// A health verdict and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The health.
    pub status: Status,
    /// Why, for people.
    pub message: String,
}

impl Verdict {
    pub(crate) fn current(message: impl Into<String>) -> Self {
        Self { status: Status::Current, message: message.into() }
    }

    pub(crate) fn in_progress(message: impl Into<String>) -> Self {
        Self { status: Status::InProgress, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { status: Status::Failed, message: message.into() }
    }
}

/// A field that has another type than every Kubernetes object has there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field is not of the expected type.
    #[error("{field} is not {expected}")]
    WrongType {
        /// Path of the field.
        field: &'static str,
        /// What should be there.
        expected: &'static str,
    },
    /// Something that must be a map is not.
    #[error("cannot restore struct from: {0}")]
    NotAMap(&'static str),
    /// Something that must be a list is not.
    #[error("cannot restore slice from {0}")]
    NotAList(&'static str),
    /// A Pod has a phase that Kubernetes does not have.
    #[error("unknown phase {0}")]
    UnknownPhase(String),
}

/// One entry of `status.conditions`.
pub(crate) struct Condition<'a> {
    pub kind: &'a str,
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Judges an object. `now` decides how long a Pod may wait to be scheduled.
pub fn compute(object: &Object, now: Timestamp) -> Result<Verdict, Error> {
    let conditions = conditions(object)?;
    if let Some(verdict) = generic(object, &conditions)? {
        return Ok(verdict);
    }
    if let Some(verdict) = workloads::judge(object, &conditions, now)? {
        return Ok(verdict);
    }
    Ok(ready_condition(&conditions).unwrap_or_else(|| Verdict::current("Resource is current")))
}

/// Judges a Job as Flux does: a running Job is not yet current, unlike in plain kstatus.
pub fn compute_job(object: &Object) -> Verdict {
    let judge = || {
        let conditions = conditions(object)?;
        let verdict = generic(object, &conditions)?;
        let running = workloads::RunningJob::InProgress;
        Ok(verdict.unwrap_or_else(|| workloads::job(object, &conditions, running)))
    };
    judge().unwrap_or_else(|error: Error| Verdict {
        status: Status::Unknown,
        message: format!("Failed to compute job status: {error}"),
    })
}

/// The rules that hold for every kind.
fn generic(object: &Object, conditions: &[Condition<'_>]) -> Result<Option<Verdict>, Error> {
    match object.metadata("deletionTimestamp") {
        None => {}
        Some(Value::String(time)) if time.is_empty() => {}
        Some(Value::String(_)) => {
            return Ok(Some(Verdict {
                status: Status::Terminating,
                message: "Resource scheduled for deletion".to_owned(),
            }));
        }
        Some(_) => {
            return Err(Error::WrongType { field: "metadata.deletionTimestamp", expected: "a string" });
        }
    }
    if let Some(generation) = integer(object.metadata("generation"), "metadata.generation")?
        && let Some(observed) =
            integer(status_field(object, "observedGeneration"), "status.observedGeneration")?
        && observed != generation
    {
        return Ok(Some(Verdict::in_progress(format!(
            "{} generation is {generation}, but latest observed generation is {observed}",
            object.kind()
        ))));
    }
    Ok(conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| match condition
        .kind
    {
        "Reconciling" => Some(Verdict::in_progress(condition.message)),
        "Stalled" => Some(Verdict::failed(condition.message)),
        _ => None,
    }))
}

fn ready_condition(conditions: &[Condition<'_>]) -> Option<Verdict> {
    let ready = conditions.iter().find(|condition| condition.kind == "Ready")?;
    match ready.status {
        "True" => Some(Verdict::current("Resource is Ready")),
        "False" | "Unknown" => Some(Verdict::in_progress(ready.message)),
        _ => None,
    }
}

/// Reads `status.conditions`; wrong types there are an error, absence is not.
fn conditions(object: &Object) -> Result<Vec<Condition<'_>>, Error> {
    let status = match object.fields().get("status") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(status)) => status,
        Some(other) => return Err(Error::NotAMap(type_name(other))),
    };
    let entries = match status.get("conditions") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(Error::NotAList(type_name(other))),
    };
    entries.iter().map(condition).collect()
}

fn condition(entry: &Value) -> Result<Condition<'_>, Error> {
    let fields = match entry {
        Value::Object(fields) => Some(fields),
        Value::Null => None,
        other => return Err(Error::NotAMap(type_name(other))),
    };
    let text = |key: &str| match fields.and_then(|fields| fields.get(key)) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(Error::WrongType { field: "status.conditions[]", expected: "a map of strings" }),
    };
    Ok(Condition {
        kind: text("type")?,
        status: text("status")?,
        reason: text("reason")?,
        message: text("message")?,
    })
}

/// What Go calls the type of a JSON value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn integer(value: Option<&Value>, field: &'static str) -> Result<Option<i64>, Error> {
    match value {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(integer) => Ok(Some(integer)),
            None => Err(Error::WrongType { field, expected: "an integer" }),
        },
    }
}

pub(crate) fn status_field<'a>(object: &'a Object, field: &str) -> Option<&'a Value> {
    object.fields().get("status")?.get(field)
}
