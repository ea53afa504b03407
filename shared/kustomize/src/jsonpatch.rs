//! JSON patches (RFC 6902) as evanphx/json-patch v4 applies them: replacing a key that is missing adds it, negative
//! indices count from the end.

use serde_json::{Map, Value};
use thiserror::Error;

/// How much `copy` operations of one patch may copy, in JSON values.
const COPY_LIMIT: usize = 1_000_000;

/// Why a JSON patch cannot be read or applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JsonPatchError {
    /// The patch is not a list of operations.
    #[error("decoding {text}: json: cannot unmarshal {value} into Go value of type jsonpatch.{wanted}")]
    NotAPatch {
        /// The patch.
        text: String,
        /// What is there.
        value: &'static str,
        /// What should be there.
        wanted: &'static str,
    },
    /// The text begins like JSON and is none.
    #[error("decoding {text}: {problem}")]
    NotJson {
        /// The patch.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text is neither JSON nor YAML.
    #[error("{0}")]
    Syntax(String),
    /// An unknown operation.
    #[error("Unexpected kind: {0}")]
    UnknownOperation(String),
    /// An operation without `path`, or without `from` where it is needed.
    #[error("{operation} operation failed to decode {member}: missing value")]
    MissingMember {
        /// The operation.
        operation: String,
        /// `path` or `from`.
        member: &'static str,
    },
    /// The place an operation is about does not exist.
    #[error("{operation} operation does not apply: {what}: {path}: missing value")]
    MissingPath {
        /// The operation.
        operation: &'static str,
        /// What is missing.
        what: &'static str,
        /// The place; in quotes for `add` and `remove`.
        path: String,
    },
    /// The place exists and the operation cannot be done there.
    #[error("error in {operation} for {member}: '{path}': {problem}")]
    Failed {
        /// The operation.
        operation: &'static str,
        /// `path` or `from`.
        member: &'static str,
        /// The place.
        path: String,
        /// Why.
        problem: String,
    },
    /// A `test` that does not hold.
    #[error("testing value {0} failed: test failed")]
    TestFailed(String),
    /// A patch that replaces the whole document by something else than an object or list.
    #[error("replace operation value must be object or array: <nil>")]
    ReplaceRoot,
    /// `copy` would make the document explode.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is over the limit {COPY_LIMIT}"
    )]
    CopyLimit,
}

/// A decoded patch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPatch(Vec<Operation>);

#[derive(Clone, Debug, PartialEq)]
struct Operation(Map<String, Value>);

impl JsonPatch {
    /// Reads JSON (when it starts with `[`) or YAML.
    pub(crate) fn parse(text: &str) -> Result<JsonPatch, JsonPatchError> {
        let value = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|err| JsonPatchError::NotJson {
                text: text.to_owned(),
                problem: if err.is_eof() { "unexpected end of JSON input".into() } else { err.to_string() },
            })?
        } else {
            crate::yaml::to_json(text.as_bytes()).map_err(|err| JsonPatchError::Syntax(err.to_string()))?
        };
        let wrong = |value: &Value, wanted| JsonPatchError::NotAPatch {
            text: shown(text),
            value: crate::yaml::json_type(value),
            wanted,
        };
        match value {
            Value::Null => Ok(JsonPatch(Vec::new())),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::Object(map) => Ok(Operation(map)),
                    Value::Null => Ok(Operation(Map::new())),
                    other => Err(wrong(&other, "Operation")),
                })
                .collect::<Result<_, _>>()
                .map(JsonPatch),
            other => Err(wrong(&other, "Patch")),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies every operation in order.
    pub(crate) fn apply(&self, document: &mut Value) -> Result<(), JsonPatchError> {
        let mut copied = 0;
        for operation in &self.0 {
            match operation.text("op").unwrap_or_default() {
                "add" => add(document, operation)?,
                "remove" => remove(document, operation)?,
                "replace" => replace(document, operation)?,
                "move" => move_value(document, operation)?,
                "copy" => copy(document, operation, &mut copied)?,
                "test" => test(document, operation)?,
                "" => return Err(JsonPatchError::UnknownOperation("unknown".into())),
                other => return Err(JsonPatchError::UnknownOperation(other.to_owned())),
            }
        }
        Ok(())
    }
}

/// A patch as errors show it: JSON as it was written, YAML as the JSON it means.
fn shown(text: &str) -> String {
    if text.starts_with('[') {
        return text.to_owned();
    }
    crate::yaml::to_json(text.as_bytes()).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

impl Operation {
    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    fn path(&self, operation: &str, member: &'static str) -> Result<&str, JsonPatchError> {
        self.text(member)
            .ok_or_else(|| JsonPatchError::MissingMember { operation: operation.to_owned(), member })
    }

    fn value(&self) -> Value {
        self.0.get("value").cloned().unwrap_or(Value::Null)
    }
}

fn add(document: &mut Value, operation: &Operation) -> Result<(), JsonPatchError> {
    let path = operation.path("add", "path")?;
    let (container, key) =
        find(document, path).ok_or_else(|| missing("add", "doc is missing path", &format!("\"{path}\"")))?;
    insert(container, &key, operation.value()).map_err(|problem| failed("add", "path", path, problem))
}

fn remove(document: &mut Value, operation: &Operation) -> Result<(), JsonPatchError> {
    let path = operation.path("remove", "path")?;
    let (container, key) = find(document, path)
        .ok_or_else(|| missing("remove", "doc is missing path", &format!("\"{path}\"")))?;
    take(container, &key).map(drop).map_err(|problem| failed("remove", "path", path, problem))
}

fn replace(document: &mut Value, operation: &Operation) -> Result<(), JsonPatchError> {
    let path = operation.path("replace", "path")?;
    if path.is_empty() {
        let value = operation.value();
        if !value.is_object() && !value.is_array() {
            return Err(JsonPatchError::ReplaceRoot);
        }
        *document = value;
        return Ok(());
    }
    let (container, key) =
        find(document, path).ok_or_else(|| missing("replace", "doc is missing path", path))?;
    match container {
        Value::Array(items) => {
            let at = index(&key, items.len()).map_err(|_| missing("replace", "doc is missing key", path))?;
            items[at] = operation.value();
        }
        Value::Object(map) => {
            map.insert(key, operation.value());
        }
        _ => return Err(missing("replace", "doc is missing path", path)),
    }
    Ok(())
}

fn move_value(document: &mut Value, operation: &Operation) -> Result<(), JsonPatchError> {
    let from = operation.path("move", "from")?;
    let (container, key) =
        find(document, from).ok_or_else(|| missing("move", "doc is missing from path", from))?;
    let value = take(container, &key).map_err(|problem| failed("move", "path", &key, problem))?;
    let path = operation.path("move", "path")?;
    let (container, key) =
        find(document, path).ok_or_else(|| missing("move", "doc is missing destination path", path))?;
    insert(container, &key, value).map_err(|problem| failed("move", "path", path, problem))
}

fn copy(document: &mut Value, operation: &Operation, copied: &mut usize) -> Result<(), JsonPatchError> {
    let from = operation.path("copy", "from")?;
    let (container, key) =
        find(document, from).ok_or_else(|| missing("copy", "doc is missing from path", from))?;
    let value = get(container, &key).map_err(|problem| failed("copy", "from", from, problem))?.clone();
    *copied += size(&value);
    if *copied > COPY_LIMIT {
        return Err(JsonPatchError::CopyLimit);
    }
    let path = operation.path("copy", "path")?;
    let (container, key) =
        find(document, path).ok_or_else(|| missing("copy", "doc is missing destination path", path))?;
    insert(container, &key, value).map_err(|problem| failed("copy", "path", path, problem))
}

fn test(document: &mut Value, operation: &Operation) -> Result<(), JsonPatchError> {
    let path = operation.path("test", "path")?;
    let expected = operation.value();
    let holds = if path.is_empty() {
        *document == expected
    } else {
        let (container, key) =
            find(document, path).ok_or_else(|| missing("test", "is missing path", path))?;
        let value = get(container, &key).map_err(|problem| failed("test", "path", path, problem))?;
        equal(value, &expected)
    };
    if holds { Ok(()) } else { Err(JsonPatchError::TestFailed(path.to_owned())) }
}

/// The object or list that holds the last step of a path, and that step.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut steps: Vec<&str> = path.split('/').collect();
    if steps.len() < 2 {
        return None;
    }
    let key = unescape(steps.pop()?);
    let mut current = document;
    for step in &steps[1..] {
        current = match current {
            Value::Object(map) => map.get_mut(&unescape(step))?,
            Value::Array(items) => {
                let at = index(&unescape(step), items.len()).ok()?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    (current.is_object() || current.is_array()).then_some((current, key))
}

fn get<'a>(container: &'a Value, key: &str) -> Result<&'a Value, String> {
    match container {
        Value::Object(map) => Ok(map.get(key).unwrap_or(&Value::Null)),
        Value::Array(items) => Ok(&items[index(key, items.len())?]),
        _ => Err("missing value".into()),
    }
}

fn insert(container: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match container {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at: i64 = key.parse().map_err(|_| {
                format!("value was not a proper array index: '{key}': strconv.Atoi: parsing {key:?}: invalid syntax")
            })?;
            let size = items.len() as i64 + 1;
            if at >= size || at < -size {
                return Err(invalid_index(at));
            }
            items.insert(if at < 0 { at + size } else { at } as usize, value);
        }
        _ => return Err("missing value".into()),
    }
    Ok(())
}

fn take(container: &mut Value, key: &str) -> Result<Value, String> {
    match container {
        Value::Object(map) => {
            map.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
        }
        Value::Array(items) => {
            let at = index(key, items.len())?;
            Ok(items.remove(at))
        }
        _ => Err("missing value".into()),
    }
}

fn index(key: &str, len: usize) -> Result<usize, String> {
    let at: i64 = key.parse().map_err(|_| format!("strconv.Atoi: parsing {key:?}: invalid syntax"))?;
    let len = len as i64;
    if at >= len || at < -len {
        return Err(invalid_index(at));
    }
    Ok(if at < 0 { at + len } else { at } as usize)
}

fn invalid_index(at: i64) -> String {
    format!("Unable to access invalid index: {at}: invalid index referenced")
}

/// Equality of JSON, numbers by their value as 64-bit floats.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => l == r || l.as_f64() == r.as_f64(),
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| equal(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(key, l)| r.get(key).is_some_and(|r| equal(l, r)))
        }
        _ => left == right,
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn unescape(step: &str) -> String {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~") } else { step.to_owned() }
}

fn missing(operation: &'static str, what: &'static str, path: &str) -> JsonPatchError {
    JsonPatchError::MissingPath { operation, what, path: path.to_owned() }
}

fn failed(operation: &'static str, member: &'static str, path: &str, problem: String) -> JsonPatchError {
    JsonPatchError::Failed { operation, member, path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut document: Value, patch: Value, expected: Result<Value, &str>) {
        let patch = JsonPatch::parse(&patch.to_string()).unwrap();
        let result = patch.apply(&mut document).map(|()| document).map_err(|err| err.to_string());
        assert_eq!(result, expected.map_err(str::to_owned));
    }

    #[test]
    fn applies_like_evanphx() {
        check(
            json!({"a": {}}),
            json!([{"op": "replace", "path": "/a/b", "value": 1}]),
            Ok(json!({"a": {"b": 1}})),
        );
        check(
            json!({"a": [1, 2]}),
            json!([{"op": "add", "path": "/a/-1", "value": 3}]),
            Ok(json!({"a": [1, 2, 3]})),
        );
        check(json!({"a": [1, 2]}), json!([{"op": "remove", "path": "/a/-1"}]), Ok(json!({"a": [1]})));
        check(json!({"a/b": 1}), json!([{"op": "move", "from": "/a~1b", "path": "/c"}]), Ok(json!({"c": 1})));
        check(json!({"a": 1.0}), json!([{"op": "test", "path": "/a", "value": 1}]), Ok(json!({"a": 1.0})));
    }

    #[test]
    fn names_what_is_missing() {
        check(
            json!({}),
            json!([{"op": "add", "path": "/a/b", "value": 1}]),
            Err("add operation does not apply: doc is missing path: \"/a/b\": missing value"),
        );
        check(
            json!({}),
            json!([{"op": "remove", "path": "/x"}]),
            Err("error in remove for path: '/x': Unable to remove nonexistent key: x: missing value"),
        );
        check(
            json!({"a": []}),
            json!([{"op": "replace", "path": "/a/0", "value": 1}]),
            Err("replace operation does not apply: doc is missing key: /a/0: missing value"),
        );
        check(
            json!({}),
            json!([{"op": "test", "path": "/a", "value": 1}]),
            Err("testing value /a failed: test failed"),
        );
    }
}
