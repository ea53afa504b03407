//! Streams of Kubernetes objects, YAML or JSON, as apimachinery's `NewYAMLOrJSONDecoder` reads them.

use crate::error::Error;
use crate::number::format_json_float;
use crate::sigs::from_yaml;
use crate::value::Value;

/// Splits a YAML stream at the lines that begin with `---`.
///
/// After `---` only a comment may follow on its line. The pieces are what is read as one document each; they may be
/// empty of content.
pub fn documents(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    Documents::new(bytes).collect()
}

/// Reads all objects of a stream as Flux does (`ssa.ReadObjects`): lists are replaced by their items, and what has no
/// name, kind or API version, or is a kustomization file, is left out.
///
/// A document that has no kind at all is an error.
pub fn read_objects(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for object in read_all(bytes)? {
        let items = match object {
            Value::Object(mut map) if matches!(map.get("items"), Some(Value::Array(_))) => {
                map.remove("items")
            }
            object => {
                if is_kubernetes_object(&object) && !is_kustomization(&object) {
                    objects.push(object);
                }
                continue;
            }
        };
        let Some(Value::Array(items)) = items else { continue };
        if items.iter().any(|item| !matches!(item, Value::Object(_))) {
            let problem = "items member is not an object: map[string]interface {}";
            return Err(Error::Stream(problem.to_owned()));
        }
        objects.extend(items);
    }
    Ok(objects)
}

/// Reads every document of a stream that begins as JSON or YAML.
///
/// Null documents are left out; any other must be an object with a kind. Numbers without a fraction are integers.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    let mut rest = bytes;
    let mut json_error = None;
    if first_character(&bytes[..bytes.len().min(GUESS)]) == Some(b'{') {
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
        let mut consumed = 0;
        loop {
            let error = match stream.next() {
                None => return Ok(objects),
                Some(Ok(value)) => match checked(preserve_integers(Value::from(value))) {
                    Ok(object) => {
                        consumed = stream.byte_offset();
                        objects.extend(object);
                        continue;
                    }
                    Err(error) => error,
                },
                Some(Err(error)) => Error::Json(format!("json: {error}")),
            };
            if objects.len() > 1 {
                return Err(error);
            }
            json_error = Some(error);
            break;
        }
        // Not JSON after all: what was not consumed is read as YAML.
        rest = skip_line_of_blanks(&bytes[consumed..]);
    }
    for document in Documents::new(rest) {
        let object = document.and_then(|document| {
            let value =
                from_yaml(&document).map_err(|error| error.context("error converting YAML to JSON"))?;
            checked(preserve_integers(value))
        });
        match object {
            Ok(object) => objects.extend(object),
            Err(error) => return Err(json_error.unwrap_or(error)),
        }
        json_error = None;
    }
    Ok(objects)
}

/// How far a stream is searched for `{`.
const GUESS: usize = 2048;

/// The documents of a YAML stream.
struct Documents<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Documents<'a> {
    fn new(bytes: &'a [u8]) -> Documents<'a> {
        Documents { rest: bytes, failed: false }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut document = Vec::new();
        while !self.rest.is_empty() && !self.failed {
            let end = self.rest.iter().position(|&b| b == b'\n');
            let (line, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &self.rest[self.rest.len()..]),
            };
            self.rest = rest;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(after) = line.strip_prefix(b"---") {
                let after = String::from_utf8_lossy(after);
                let after = after.trim();
                if !after.is_empty() && !after.starts_with('#') {
                    self.failed = true;
                    return Some(Err(Error::Stream(format!("invalid Yaml document separator: {after}"))));
                }
                if !document.is_empty() {
                    return Some(Ok(document));
                }
            }
            document.extend_from_slice(line);
            document.push(b'\n');
        }
        (!document.is_empty() && !self.failed).then_some(Ok(document))
    }
}

/// A document as an object; null is none.
fn checked(value: Value) -> Result<Option<Value>, Error> {
    let kind = match &value {
        Value::Null => return Ok(None),
        Value::Object(map) => {
            let api_version = map.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let valid = api_version.matches('/').count() <= 1;
            if valid && map.get("kind").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty()) {
                return Ok(Some(value));
            }
            let json = crate::json::to_json(&value)?;
            return Err(Error::Stream(format!("Object 'Kind' is missing in '{json}'")));
        }
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Int(_) | Value::Uint(_) | Value::Float(_) => "number",
    };
    Err(Error::Json(format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    )))
}

/// The value as Kubernetes reads it from JSON: numbers without a fraction are integers, other numbers floats.
pub fn preserve_integers(value: Value) -> Value {
    match value {
        Value::Uint(value) => Value::Float(value as f64),
        Value::Float(value) => match format_json_float(value).and_then(|text| text.parse::<i64>().ok()) {
            Some(integer) => Value::Int(integer),
            None => Value::Float(value),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(preserve_integers).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, preserve_integers(value))).collect())
        }
        other => other,
    }
}

fn text_at<'v>(object: &'v Value, path: &[&str]) -> &'v str {
    let found = path.iter().try_fold(object, |value, key| value.get(key));
    found.and_then(Value::as_str).unwrap_or_default()
}

fn is_kubernetes_object(object: &Value) -> bool {
    let fields: [&[&str]; 3] = [&["metadata", "name"], &["kind"], &["apiVersion"]];
    fields.iter().all(|path| !text_at(object, path).is_empty())
}

fn is_kustomization(object: &Value) -> bool {
    text_at(object, &["kind"]).eq_ignore_ascii_case("kustomization")
        && text_at(object, &["apiVersion"]).starts_with("kustomize.config.k8s.io/")
}

fn first_character(bytes: &[u8]) -> Option<u8> {
    String::from_utf8_lossy(bytes).trim_start().bytes().next()
}

/// Drops white space up to and including the first line feed.
fn skip_line_of_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|b| b.is_ascii_whitespace() && **b != b'\n').count();
    match bytes.get(blanks) {
        Some(b'\n') => &bytes[blanks + 1..],
        _ => &bytes[blanks..],
    }
}
