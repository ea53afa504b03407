//! Request bodies: JSON and YAML into values, with the duplicate fields that they contained.

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Context;
use crate::api_error::{ApiError, ApiResult};

/// How a request wants unknown and duplicate fields treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub fn of(ctx: &Context) -> ApiResult<Self> {
        match ctx.request.query.text("fieldValidation") {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => {
                let e = crate::api_error::FieldError::not_supported(
                    "fieldValidation",
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                );
                Err(ApiError::invalid("meta.k8s.io", options_kind(ctx), "", vec![e]))
            }
        }
    }
}

fn options_kind(ctx: &Context) -> &'static str {
    match ctx.target.verb {
        "create" => "CreateOptions",
        "patch" => "PatchOptions",
        _ => "UpdateOptions",
    }
}

/// A decoded body.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub value: Value,
    /// Messages such as `duplicate field "spec.replicas"`.
    pub problems: Vec<String>,
}

/// The media type of a body without its parameters.
pub(crate) fn media_type<'a>(ctx: &'a Context) -> &'a str {
    ctx.request.header("content-type").split(';').next().unwrap_or_default().trim()
}

/// Decodes the body of a create or update.
pub(crate) fn object(ctx: &Context) -> ApiResult<Decoded> {
    let body = &ctx.request.body;
    let decoded = match media_type(ctx) {
        "" | "application/json" => json(body),
        "application/yaml" => yaml(body),
        other => {
            return Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf{}",
                if other.is_empty() { "," } else { "" }
            )));
        }
    };
    let decoded = decoded.map_err(|e| {
        let r = ctx.resource;
        ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {e}",
            r.kind, r.version, r.kind
        ))
    })?;
    if !decoded.value.is_object() {
        return Err(ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ \
             APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            go_json_kind(&decoded.value)
        )));
    }
    Ok(decoded)
}

pub(crate) fn go_json_kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Parses JSON, noting duplicate members.
pub(crate) fn json(bytes: &[u8]) -> Result<Decoded, String> {
    let mut problems = Vec::new();
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let seed = Node { path: String::new(), problems: &mut problems };
    let value = seed.deserialize(&mut de).map_err(|e| e.to_string())?;
    de.end().map_err(|e| e.to_string())?;
    Ok(Decoded { value, problems })
}

/// Parses YAML or JSON.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Decoded, String> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(d) = json(bytes)
    {
        return Ok(d);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| "yaml: control characters are not allowed".to_owned())?;
    let value: Value = serde_yaml::from_str(text).map_err(|e| format!("yaml: {e}"))?;
    Ok(Decoded { value, problems: Vec::new() })
}

struct Node<'a> {
    path: String,
    problems: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_string<E: de::Error>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        Value::deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, out.len());
            match seq.next_element_seed(Node { path, problems: &mut *self.problems })? {
                Some(v) => out.push(v),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = crate::crd::structural::join(&self.path, &key);
            if out.contains_key(&key) {
                let problem = format!("duplicate field \"{path}\"");
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
            let v = map.next_value_seed(Node { path, problems: &mut *self.problems })?;
            out.insert(key, v);
        }
        Ok(Value::Object(out))
    }
}

/// Decodes the `DeleteOptions` of a delete.
pub(crate) fn options(ctx: &Context) -> ApiResult<Value> {
    let body = &ctx.request.body;
    let decoded = match media_type(ctx) {
        "application/yaml" => yaml(body),
        _ => json(body),
    };
    match decoded {
        Ok(d) if d.value.is_object() => Ok(d.value),
        Ok(d) => Err(ApiError::bad_request(format!(
            "json: cannot unmarshal {} into Go value",
            go_json_kind(&d.value)
        ))),
        Err(e) => Err(ApiError::bad_request(e)),
    }
}
