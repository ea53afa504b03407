//! The function map of Helm's engine.

use std::sync::Arc;

use super::include::{include, tpl};
use super::toml::{TomlError, to_toml};
use super::toml_read::from_toml;
use super::yaml::{from_yaml, from_yaml_list, to_yaml, to_yaml_pretty};
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::session::Session;
use crate::sprig::json::{from_json_leniently, json_kind, to_json};
use crate::sprig::{item, text};
use crate::types::{ANY_LIST, ANY_MAP, Type};
use crate::value::Value;
use crate::{List, Map};

/// Answers `lookup` from a cluster, or from anything else.
pub trait Lookup: Send + Sync {
    /// The object, or a list object when the name is empty; an empty map when there is none. The error ends the rendering.
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String>;
}

struct LookupService(Arc<dyn Lookup>);

struct LintMode;

impl Session {
    /// Lets `lookup` find objects. Without it nothing is ever found.
    pub fn set_lookup(&mut self, lookup: Arc<dyn Lookup>) {
        self.provide("lookup", Arc::new(LookupService(lookup)));
    }

    /// Makes `required` and `fail` pass, as `helm lint` wants them.
    pub fn set_lint(&mut self, lint: bool) {
        if lint {
            self.provide("lint", Arc::new(LintMode));
        } else {
            self.withdraw("lint");
        }
    }
}

/// Sprig without access to environment and network, and Helm's own functions.
pub fn functions() -> Functions {
    const STRING: Type = Type::String;
    const ANY: Type = Type::Any;
    let mut functions = crate::sprig::functions();
    functions
        .insert("include", Function::new(&[STRING, ANY], |call, a| include(call, text(a, 0), item(a, 1))));
    functions.insert("tpl", Function::new(&[STRING, ANY], |call, a| tpl(call, text(a, 0), item(a, 1))));
    functions.insert("required", Function::new(&[STRING, ANY], required));
    functions.insert(
        "fail",
        Function::new(
            &[STRING],
            |call, a| {
                if is_lint(call) { Ok(Value::from("")) } else { Err(warning(text(a, 0))) }
            },
        ),
    );
    functions.insert("lookup", Function::new(&[STRING, STRING, STRING, STRING], lookup));
    functions.insert("getHostByName", Function::new(&[STRING], |_, _| Ok(Value::from(""))));
    functions.insert(
        "toYaml",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            counted(call, to_yaml(item(a, 0)).unwrap_or_default())
        }),
    );
    functions.insert(
        "mustToYaml",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            counted(call, to_yaml(item(a, 0))?)
        }),
    );
    functions.insert(
        "toYamlPretty",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            counted(call, to_yaml_pretty(item(a, 0)).unwrap_or_default())
        }),
    );
    functions.insert(
        "fromYaml",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(from_yaml(text(a, 0)).unwrap_or_else(|message| error_map(&message)))
        }),
    );
    functions.insert(
        "fromYamlArray",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(from_yaml_list(text(a, 0)).unwrap_or_else(|message| Value::from(vec![Value::from(message)])))
        }),
    );
    functions.insert(
        "toJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            counted(call, to_json(item(a, 0), true, None).unwrap_or_default())
        }),
    );
    functions.insert(
        "mustToJson",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            counted(call, to_json(item(a, 0), true, None)?)
        }),
    );
    functions.insert(
        "fromJson",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(match from_json_leniently(text(a, 0)) {
                Ok((Value::Map(map), error)) => {
                    if let Some(error) = error {
                        map.insert("Error", Value::from(error.to_string()));
                    }
                    Value::Map(map)
                }
                Ok((Value::Nil, None)) => Value::Map(Map::nil(&ANY_MAP)),
                Ok((other, _)) => error_map(&format!(
                    "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    json_kind(&other)
                )),
                Err(error) => error_map(&error.to_string()),
            })
        }),
    );
    functions.insert(
        "fromJsonArray",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(match from_json_leniently(text(a, 0)) {
                Ok((list @ Value::List(_), None)) => list,
                Ok((Value::List(_), Some(error))) | Err(error) => {
                    Value::from(vec![Value::from(error.to_string())])
                }
                Ok((Value::Nil, None)) => Value::List(List::nil(&ANY_LIST)),
                Ok((other, _)) => Value::from(vec![Value::from(format!(
                    "json: cannot unmarshal {} into Go value of type []interface {{}}",
                    json_kind(&other)
                ))]),
            })
        }),
    );
    functions.insert(
        "toToml",
        Function::new(&[ANY], |call, a| {
            match call.check_text(a).map_err(TomlError::from).and_then(|()| to_toml(item(a, 0))) {
                Ok(text) => {
                    call.charge(text.len())?;
                    Ok(Value::string(text))
                }
                // What the encoder panics on is an error of the call; its own errors are the text.
                Err(error) if error.is_panic => Err(error.error),
                Err(error) => Ok(Value::String(error.error.text().clone())),
            }
        }),
    );
    functions.insert(
        "mustToToml",
        Function::new(&[ANY], |call, a| {
            call.check_text(a)?;
            let text = to_toml(item(a, 0)).map_err(|error| error.error)?;
            call.charge(text.len())?;
            Ok(Value::string(text))
        }),
    );
    functions.insert(
        "fromToml",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len().saturating_mul(8))?;
            Ok(from_toml(text(a, 0)))
        }),
    );
    functions
}

fn counted(call: &mut Call<'_>, text: String) -> Result<Value, Error> {
    call.charge(text.len())?;
    Ok(Value::from(text))
}

fn error_map(message: &str) -> Value {
    let map = Map::new();
    map.insert("Error", Value::from(message));
    Value::Map(map)
}

fn is_lint(call: &Call<'_>) -> bool {
    call.session.service::<LintMode>("lint").is_some()
}

/// An error whose text the user wrote: the wording of the whole error finds it by these marks.
fn warning(text: &[u8]) -> Error {
    Error::new([b"HELM_ERR_START", text, b"HELM_ERR_END"].concat())
}

fn required(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let value = item(arguments, 1);
    let missing = match value {
        Value::Nil => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if !missing {
        return Ok(value.clone());
    }
    if is_lint(call) { Ok(Value::from("")) } else { Err(warning(text(arguments, 0))) }
}

fn lookup(call: &mut Call<'_>, arguments: &[Value]) -> Result<Value, Error> {
    let service = call.session.service::<LookupService>("lookup");
    let Some(service) = service.filter(|_| !is_lint(call)) else {
        return Ok(Value::Map(Map::new()));
    };
    let [api_version, kind, namespace, name] =
        [0, 1, 2, 3].map(|at| String::from_utf8_lossy(text(arguments, at)).into_owned());
    service.0.lookup(&api_version, &kind, &namespace, &name).map_err(Error::new)
}
