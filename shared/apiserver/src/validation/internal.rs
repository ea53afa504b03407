//! Objects in the form of the server's internal types, which some of its error texts quote.
//!
//! Internal types carry no JSON tags: their members have Go's names and order, and absent ones are written too.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::go_value::is_empty;

const TYPES: &str = include_str!("../../data/kubernetes-1.36-internal.json");

/// An object as the internal type `name` (such as `core.PodSpec`) writes it, on one line.
pub(crate) fn text(name: &str, v: &Value) -> String {
    let mut out = String::new();
    shown(name, v).write(&mut out, None);
    out
}

/// The change from `old` to `new` of the internal type `name`, as a unified diff.
pub(crate) fn diff(name: &str, old: &Value, new: &Value) -> String {
    let pretty = |v: &Value| {
        let mut out = String::new();
        shown(name, v).write(&mut out, Some(0));
        out
    };
    super::diff::unified(&pretty(old), &pretty(new))
}

/// A pod template, which the immutability of Jobs quotes.
pub(crate) fn pod_template(v: &Value) -> String {
    text("core.PodTemplateSpec", v)
}

#[derive(Deserialize)]
#[serde(from = "Vec<String>")]
struct Member {
    name: String,
    ty: String,
    presence: Presence,
}

#[derive(PartialEq, Eq)]
enum Presence {
    Always,
    NotEmpty,
    Embedded,
}

impl From<Vec<String>> for Member {
    fn from(parts: Vec<String>) -> Self {
        let mut parts = parts.into_iter();
        let (name, ty) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let presence = match parts.next().as_deref() {
            Some("omit") => Presence::NotEmpty,
            Some("embed") => Presence::Embedded,
            _ => Presence::Always,
        };
        Member { name, ty, presence }
    }
}

fn types() -> &'static HashMap<String, Vec<Member>> {
    static READ: LazyLock<HashMap<String, Vec<Member>>> =
        LazyLock::new(|| serde_json::from_str(TYPES).unwrap_or_default());
    &READ
}

/// JSON with members in a given order.
enum Shown {
    Scalar(String),
    List(Vec<Shown>),
    Object(Vec<(String, Shown)>),
}

fn shown(ty: &str, v: &Value) -> Shown {
    if let Some(inner) = ty.strip_prefix('*') {
        return if v.is_null() { Shown::Scalar("null".to_owned()) } else { shown(inner, v) };
    }
    if let Some(inner) = ty.strip_prefix("[]") {
        return match v {
            Value::Array(items) => Shown::List(items.iter().map(|item| shown(inner, item)).collect()),
            other => scalar(other, "null"),
        };
    }
    if let Some(inner) = ty.strip_prefix("map:") {
        return match v {
            Value::Object(members) => {
                Shown::Object(members.iter().map(|(key, v)| (key.clone(), shown(inner, v))).collect())
            }
            other => scalar(other, "null"),
        };
    }
    if let Some(members) = types().get(ty) {
        let moved = (ty == "core.PodSpec").then(|| host_settings_in_security_context(v));
        let mut out = Vec::new();
        structure(members, moved.as_ref().unwrap_or(v), &mut out);
        return Shown::Object(out);
    }
    match ty {
        "string" => scalar(v, "\"\""),
        "bool" => scalar(v, "false"),
        "Quantity" => scalar(v, "\"0\""),
        "Time" | "[]byte" => scalar(v, "null"),
        _ => scalar(v, "0"),
    }
}

fn structure(members: &[Member], v: &Value, out: &mut Vec<(String, Shown)>) {
    for member in members {
        if member.presence == Presence::Embedded {
            let holder = if member.ty == "metav1.ObjectMeta" { &v["metadata"] } else { v };
            if let Some(inner) = types().get(&member.ty) {
                structure(inner, holder, out);
            }
            continue;
        }
        let found =
            v.as_object().and_then(|m| m.iter().find(|(key, _)| key.eq_ignore_ascii_case(&member.name)));
        let value = found.map_or(&Value::Null, |(_, value)| value);
        if member.presence == Presence::NotEmpty && is_empty(value) {
            continue;
        }
        out.push((member.name.clone(), shown(&member.ty, value)));
    }
}

/// What versioned pods say at the top of their spec is part of the security context of internal ones.
fn host_settings_in_security_context(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(members) = &mut spec {
        let mut context = match members.remove("securityContext") {
            Some(Value::Object(context)) => context,
            _ => Map::new(),
        };
        for name in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
            if let Some(value) = members.remove(name) {
                context.insert(name.to_owned(), value);
            }
        }
        members.insert("securityContext".to_owned(), Value::Object(context));
    }
    spec
}

fn scalar(v: &Value, zero: &str) -> Shown {
    Shown::Scalar(if v.is_null() { zero.to_owned() } else { go_json(v) })
}

/// JSON as Go's encoder writes it, which escapes what HTML would read.
pub(crate) fn go_json(v: &Value) -> String {
    let text = v.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

impl Shown {
    /// Writes on one line, or indented by a space for each level.
    fn write(&self, out: &mut String, indent: Option<usize>) {
        let deeper = indent.map(|level| level + 1);
        let line = |out: &mut String, level: Option<usize>| {
            if let Some(level) = level {
                out.push('\n');
                out.push_str(&" ".repeat(level));
            }
        };
        match self {
            Shown::Scalar(text) => out.push_str(text),
            Shown::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, deeper);
                    item.write(out, deeper);
                }
                if !items.is_empty() {
                    line(out, indent);
                }
                out.push(']');
            }
            Shown::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(out, deeper);
                    out.push_str(&go_json(&Value::from(name.as_str())));
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.write(out, deeper);
                }
                if !members.is_empty() {
                    line(out, indent);
                }
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn internal_names_order_and_zero_values() {
        assert_eq!(
            text("core.ServicePort", &json!({"protocol": "TCP", "port": 1})),
            r#"{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,"NodePort":0}"#
        );
        assert_eq!(
            text("rbac.RoleRef", &json!({"name": "<r>", "kind": "Role", "apiGroup": "g"})),
            r#"{"APIGroup":"g","Kind":"Role","Name":"\u003cr\u003e"}"#
        );
        let template =
            pod_template(&json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true}}));
        assert!(template.starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"#), "{template}");
        assert!(template.contains(r#""SecurityContext":{"HostNetwork":true,"#), "{template}");
    }
}
