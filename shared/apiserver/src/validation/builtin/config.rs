//! ConfigMaps and Secrets.

use base64::Engine;
use serde_json::Value;

use super::super::{metadata, names};
use super::{immutable, member, string};
use crate::api_error::FieldError;
use crate::registry::Resource;

const LARGEST: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";

/// Checks a ConfigMap.
pub(super) fn config_map(resource: &Resource, v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old {
        frozen(v, old, &["data", "binaryData"], errors);
        errors.extend(metadata::validate(resource, v));
    }
    let mut size = 0;
    for (key, value) in members(v, "data") {
        key_problems(key, "data", errors);
        if v.get("binaryData").and_then(|data| data.get(key)).is_some() {
            let why = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid(format!("data[{key}]"), key.as_str(), why));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in members(v, "binaryData") {
        key_problems(key, "binaryData", errors);
        size += decoded(value).len();
    }
    if size > LARGEST {
        errors.push(FieldError::too_long("", LARGEST));
    }
}

/// Checks a Secret.
pub(super) fn secret(resource: &Resource, v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old {
        immutable(v, old, "type", "type", errors);
        frozen(v, old, &["data"], errors);
        errors.extend(metadata::validate(resource, v));
    }
    let mut size = 0;
    for (key, value) in members(v, "data") {
        key_problems(key, "data", errors);
        size += decoded(value).len();
    }
    if size > LARGEST {
        errors.push(FieldError::too_long("data", LARGEST));
    }
    let required = |key: &str, errors: &mut Vec<FieldError>| {
        errors.push(FieldError::required(format!("data[{key}]"), ""));
    };
    let entry = |key: &str| v.get("data").and_then(|data| data.get(key));
    match string(v, "type") {
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            if v["metadata"]["annotations"][ACCOUNT].as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.annotations[{ACCOUNT}]");
                errors.push(FieldError::required(path, ""));
            }
        }
        kind @ ("kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson") => {
            let key = if kind == "kubernetes.io/dockercfg" { ".dockercfg" } else { ".dockerconfigjson" };
            let Some(value) = entry(key) else {
                required(key, errors);
                return;
            };
            if let Some(why) = crate::handlers::go_json::map_error(&decoded(value)) {
                let path = format!("data[{key}]");
                errors.push(FieldError::invalid(path, "<secret contents redacted>", why));
            }
        }
        "kubernetes.io/basic-auth" if entry("username").is_none() && entry("password").is_none() => {
            required("username", errors);
            required("password", errors);
        }
        "kubernetes.io/ssh-auth" if entry("ssh-privatekey").is_none_or(|value| decoded(value).is_empty()) => {
            required("ssh-privatekey", errors);
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if entry(key).is_none() {
                    required(key, errors);
                }
            }
        }
        _ => {}
    }
}

fn frozen(v: &Value, old: &Value, parts: &[&str], errors: &mut Vec<FieldError>) {
    let is_frozen = |v: &Value| v.get("immutable") == Some(&Value::Bool(true));
    if !is_frozen(old) {
        return;
    }
    if !is_frozen(v) {
        errors.push(FieldError::forbidden("immutable", FROZEN));
    }
    for part in parts {
        if member(v, part) != member(old, part) {
            errors.push(FieldError::forbidden(*part, FROZEN));
        }
    }
}

fn key_problems(key: &str, path: &str, errors: &mut Vec<FieldError>) {
    for m in names::config_map_key(key) {
        errors.push(FieldError::invalid(format!("{path}[{key}]"), key, m));
    }
}

fn members<'a>(v: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    v.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn decoded(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}
