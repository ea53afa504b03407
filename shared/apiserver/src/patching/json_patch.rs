//! JSON patch with the leniencies of the library that Kubernetes uses.

use serde_json::Value;

use crate::api_error::{ApiError, ApiResult};
use crate::handlers::decode::Decoded;

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

const MOST_OPERATIONS: usize = 10_000;
/// What the copies of one patch may add, in bytes of JSON.
const MOST_COPIED: usize = 3 * 1024 * 1024;

/// Reads the operations of a patch document, and names duplicate and unknown members.
pub(crate) fn parse(document: &Decoded) -> ApiResult<(Vec<Step>, Vec<String>)> {
    let refused = |found: &Value, expected: &str| {
        let found = crate::go_value::json_kind(found);
        ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {expected}"
        ))
    };
    let list = match &document.value {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        other => return Err(refused(other, "[]handlers.jsonPatchOp")),
    };
    if list.len() > MOST_OPERATIONS {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
            list.len()
        );
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    let mut problems: Vec<String> = document.problems.iter().map(|p| format!("json patch {p}")).collect();
    let mut steps = Vec::with_capacity(list.len());
    for (index, operation) in list.iter().enumerate() {
        let members = match operation {
            Value::Object(members) => members,
            Value::Null => return Err(unprocessable(String::new())),
            other => return Err(refused(other, "handlers.jsonPatchOp")),
        };
        let known = ["op", "path", "from", "value"];
        let unknown = members.keys().filter(|name| !known.contains(&name.as_str()));
        problems.extend(unknown.map(|name| {
            format!("json patch unknown field {}", fluxide_gotext::quote_str(&format!("[{index}].{name}")))
        }));
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => {
                let found = crate::go_value::json_kind(other);
                Err(ApiError::bad_request(format!(
                    "error decoding patch: json: cannot unmarshal {found} into Go struct field jsonPatchOp.{name} of type \
                     string"
                )))
            }
        };
        steps.push(Step {
            op: text("op")?.unwrap_or_default(),
            path: text("path")?,
            from: text("from")?,
            value: members.get("value").cloned(),
        });
    }
    Ok((steps, problems))
}

/// The document after all steps; any failing step fails the patch.
pub(crate) fn apply(steps: &[Step], target: &Value) -> ApiResult<Value> {
    let mut doc = target.clone();
    let mut copied = 0;
    for s in steps {
        step(&mut doc, s, &mut copied).map_err(unprocessable)?;
    }
    Ok(doc)
}

fn unprocessable(_: String) -> ApiError {
    ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request")
        .with_empty_details()
}

fn step(doc: &mut Value, s: &Step, copied: &mut usize) -> Result<(), String> {
    let path = s.path.as_deref().ok_or("missing path")?;
    match s.op.as_str() {
        "add" => add(doc, path, s.value.clone().unwrap_or(Value::Null)),
        "remove" => remove(doc, path).map(|_| ()),
        "replace" => replace(doc, path, s.value.clone().unwrap_or(Value::Null)),
        "move" => {
            let from = s.from.as_deref().ok_or("missing from")?;
            let v = remove(doc, from)?;
            add(doc, path, v)
        }
        "copy" => {
            let from = s.from.as_deref().ok_or("missing from")?;
            let v = match find(doc, from) {
                Some(v) => v,
                // A member that its object does not have counts as null.
                None if find_parent(doc, from).is_some_and(Value::is_object) => &Value::Null,
                None => return Err("missing value".to_owned()),
            };
            *copied += v.to_string().len();
            if *copied > MOST_COPIED {
                return Err(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                     {MOST_COPIED}"
                ));
            }
            let v = v.clone();
            add(doc, path, v)
        }
        "test" => {
            let want = s.value.as_ref().unwrap_or(&Value::Null);
            let have = find(doc, path);
            if have.unwrap_or(&Value::Null) == want && (have.is_some() || want.is_null()) {
                Ok(())
            } else {
                Err(format!("testing value {path} failed"))
            }
        }
        other => Err(format!("unexpected kind: {other}")),
    }
}

fn tokens(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect()
}

fn find<'a>(doc: &'a Value, path: &str) -> Option<&'a Value> {
    tokens(path).iter().try_fold(doc, |v, t| match v {
        Value::Object(m) => m.get(t),
        Value::Array(a) => a.get(index(t, a.len()).ok()?),
        _ => None,
    })
}

fn find_parent<'a>(doc: &'a Value, path: &str) -> Option<&'a Value> {
    path.rsplit_once('/').and_then(|(parent, _)| find(doc, parent))
}

fn parent<'a>(doc: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let mut parts = tokens(path);
    let last = parts.pop().ok_or_else(|| format!("missing path: {path}"))?;
    let mut here = doc;
    for t in &parts {
        here = match here {
            Value::Object(m) => m.get_mut(t).ok_or_else(|| format!("missing path: {path}"))?,
            Value::Array(a) => {
                let i = index(t, a.len())?;
                a.get_mut(i).ok_or_else(|| format!("missing path: {path}"))?
            }
            _ => return Err(format!("missing path: {path}")),
        };
    }
    Ok((here, last))
}

fn index(token: &str, len: usize) -> Result<usize, String> {
    let n: i64 = token.parse().map_err(|_| format!("invalid index {token}"))?;
    let n = if n < 0 { n + len as i64 } else { n };
    usize::try_from(n).map_err(|_| format!("invalid index {token}"))
}

fn add(doc: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *doc = value;
        return Ok(());
    }
    let (parent, last) = parent(doc, path)?;
    match parent {
        Value::Object(m) => {
            m.insert(last, value);
            Ok(())
        }
        Value::Array(a) if last == "-" => {
            a.push(value);
            Ok(())
        }
        Value::Array(a) => {
            let n: i64 = last.parse().map_err(|_| format!("invalid index {last}"))?;
            let n = if n < 0 { n + a.len() as i64 + 1 } else { n };
            match usize::try_from(n) {
                Ok(i) if i <= a.len() => {
                    a.insert(i, value);
                    Ok(())
                }
                _ => Err(format!("invalid index {last}")),
            }
        }
        _ => Err(format!("missing path: {path}")),
    }
}

fn remove(doc: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = parent(doc, path)?;
    match parent {
        Value::Object(m) => m.remove(&last).ok_or_else(|| format!("missing path: {path}")),
        Value::Array(a) => {
            let i = index(&last, a.len())?;
            if i < a.len() { Ok(a.remove(i)) } else { Err(format!("invalid index {last}")) }
        }
        _ => Err(format!("missing path: {path}")),
    }
}

fn replace(doc: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *doc = value;
        return Ok(());
    }
    let (parent, last) = parent(doc, path)?;
    match parent {
        Value::Object(m) => {
            m.insert(last, value);
            Ok(())
        }
        Value::Array(a) => {
            let i = index(&last, a.len())?;
            *a.get_mut(i).ok_or_else(|| format!("invalid index {last}"))? = value;
            Ok(())
        }
        _ => Err(format!("missing path: {path}")),
    }
}
