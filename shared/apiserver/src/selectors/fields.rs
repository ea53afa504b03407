//! Field selectors: `metadata.name=a,status.phase!=Running`, with the fields each kind supports.

use fluxide_gotext::quote_str;
use serde_json::Value;

use crate::registry::Resource;

/// Requirements that all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
}

/// Parses a field selector for a resource. The error is the server's text.
pub(crate) fn field_selector(text: &str, resource: &Resource) -> Result<FieldSelector, String> {
    let mut terms = Vec::new();
    for part in split_unescaped(text) {
        if part.is_empty() {
            continue;
        }
        let (field, equal, value) = match split_term(&part) {
            Some(t) => t,
            None => return Err(format!("invalid selector: '{text}'; can't understand '{part}'")),
        };
        let value = unescape(value)?;
        if !supported(field, resource) {
            return Err(unsupported(field, resource));
        }
        // The oldest clients called the node of a Pod its host.
        let field = if field == "spec.host" && resource.is("", "pods") { "spec.nodeName" } else { field };
        terms.push(Term { field: field.to_owned(), equal, value });
    }
    Ok(FieldSelector { terms })
}

impl FieldSelector {
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The one value that the selector allows for a field, if it asks for one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.equal && t.field == field).map(|t| t.value.as_str())
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|t| (field_value(object, &t.field) == t.value) == t.equal)
    }
}

fn split_unescaped(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            out.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out
}

fn split_term(part: &str) -> Option<(&str, bool, &str)> {
    let at = part.find(['=', '!'])?;
    let (field, rest) = part.split_at(at);
    if let Some(v) = rest.strip_prefix("!=") {
        Some((field, false, v))
    } else if let Some(v) = rest.strip_prefix("==") {
        Some((field, true, v))
    } else {
        rest.strip_prefix('=').map(|v| (field, true, v))
    }
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            if c == ',' || c == '=' {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                ));
            }
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(e @ ('\\' | ',' | '=')) => out.push(e),
            Some(e) => return Err(format!("invalid field selector: invalid escape sequence: \\{e}")),
            None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
        }
    }
    Ok(out)
}

/// Fields beyond `metadata.name` and `metadata.namespace`; `None` when the kind has no selectors of its own.
fn own_fields(resource: &Resource) -> Option<&'static [&'static str]> {
    Some(match (resource.group.as_str(), resource.plural.as_str()) {
        ("" | "events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        ("", "pods") => &[
            "spec.host",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase", "name"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => return None,
    })
}

fn supported(field: &str, resource: &Resource) -> bool {
    let in_namespaces = resource.namespaced || resource.custom.is_none() && own_fields(resource).is_none();
    if field == "metadata.name" || field == "metadata.namespace" && in_namespaces {
        return true;
    }
    if let Some(c) = &resource.custom {
        return c.selectable_fields.iter().any(|f| f == field);
    }
    own_fields(resource).is_some_and(|f| f.contains(&field))
}

fn unsupported(field: &str, resource: &Resource) -> String {
    if resource.is("batch", "jobs") {
        format!("field label {} not supported for Job", fluxide_gotext::quote_str(field))
    } else if resource.custom.is_some() || own_fields(resource).is_some() {
        format!("field label not supported: {field}")
    } else {
        format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            quote_str(field)
        )
    }
}

fn field_value(object: &Value, field: &str) -> String {
    match field {
        "source" => {
            let source = pointer(object, "source.component");
            return if source.is_empty() { pointer(object, "reportingComponent") } else { source };
        }
        "reportingController" => return pointer(object, "reportingComponent"),
        "name" => return pointer(object, "metadata.name"),
        "status.successful" => return zero(pointer(object, "status.succeeded")),
        "status.replicas" => return zero(pointer(object, "status.replicas")),
        "spec.unschedulable" | "spec.hostNetwork" => {
            let v = pointer(object, field);
            return if v.is_empty() { "false".to_owned() } else { v };
        }
        _ => {}
    }
    match field.strip_prefix("regarding.") {
        Some(rest) => pointer(object, &format!("involvedObject.{rest}")),
        None => pointer(object, field),
    }
}

fn zero(v: String) -> String {
    if v.is_empty() { "0".to_owned() } else { v }
}

fn pointer(object: &Value, field: &str) -> String {
    match field.split('.').try_fold(object, |v, k| v.get(k)) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => String::new(),
        Some(v) => v.to_string(),
    }
}
