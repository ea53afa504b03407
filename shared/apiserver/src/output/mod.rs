//! The form of answers: which representation a client accepts, and how objects, lists and events become it.

pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod printing;
pub(crate) mod table;

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult};
use crate::protobuf;

/// The representation a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Object,
    /// `PartialObjectMetadata`.
    PartialMetadata,
    /// `PartialObjectMetadataList`.
    PartialMetadataList,
    /// `meta.k8s.io/v1` `Table`.
    Table,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Json,
    Yaml,
    /// Kubernetes' own messages, which only built-in kinds have.
    Protobuf,
}

impl Syntax {
    pub fn content_type(self) -> &'static str {
        match self {
            Syntax::Json => "application/json",
            Syntax::Yaml => "application/yaml",
            Syntax::Protobuf => protobuf::MEDIA_TYPE,
        }
    }
}

/// Representation and syntax of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub form: Form,
    pub syntax: Syntax,
}

impl Accepted {
    pub const JSON: Accepted = Accepted { form: Form::Object, syntax: Syntax::Json };
}

/// Reads an `Accept` header, of a request about objects or of another. Custom resources have no messages, but their
/// metadata has.
pub(crate) fn negotiate(accept: &str, transforms: bool, custom: bool) -> ApiResult<Accepted> {
    if accept.trim().is_empty() {
        return Ok(Accepted::JSON);
    }
    let mut known = false;
    let mut clauses: Vec<&str> = accept.split(',').collect();
    clauses.sort_by(|one, other| quality(other).total_cmp(&quality(one)));
    for clause in clauses {
        let mut parts = clause.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let syntax = match media {
            "application/json" | "*/*" | "application/*" => Syntax::Json,
            "application/yaml" => Syntax::Yaml,
            protobuf::MEDIA_TYPE => Syntax::Protobuf,
            _ => continue,
        };
        known = true;
        let mut target = "";
        let (mut group, mut version) = ("", "");
        for p in parts {
            match p.split_once('=') {
                Some(("as", v)) => target = v,
                Some(("g", v)) => group = v,
                Some(("v", v)) => version = v,
                _ => {}
            }
        }
        let meta = transforms && group == "meta.k8s.io" && matches!(version, "v1" | "v1beta1");
        let form = match target {
            "" if custom && syntax == Syntax::Protobuf => continue,
            "Table" if syntax == Syntax::Protobuf => continue,
            "" => Form::Object,
            "PartialObjectMetadata" if meta => Form::PartialMetadata,
            "PartialObjectMetadataList" if meta => Form::PartialMetadataList,
            "Table" if meta => Form::Table,
            _ => continue,
        };
        return Ok(Accepted { form, syntax });
    }
    if !known && transforms && !custom {
        return Err(unacceptable("application/json, application/yaml, application/vnd.kubernetes.protobuf"));
    }
    Err(ApiError::new(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf",
    ))
}

/// Reads the `Accept` header of a request for one of the documents that are served by routes of their own, each of which
/// offers some media types.
pub(crate) fn negotiate_route(accept: &str, offered: &[&str]) -> ApiResult<Accepted> {
    if accept.trim().is_empty() {
        return Ok(Accepted::JSON);
    }
    if !accept.split(',').map(media_type).any(|media| media == "*/*" || offered.contains(&media)) {
        return Err(unacceptable(&offered.join(", ")));
    }
    let accepted = negotiate(accept, false, false);
    if offered.contains(&"application/yaml") { accepted } else { Ok(accepted.unwrap_or(Accepted::JSON)) }
}

/// The media type of a header, or of a clause of one, without its parameters.
pub(crate) fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// 406 with what a route offers.
fn unacceptable(offered: &str) -> ApiError {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
    ApiError::new(406, "NotAcceptable", message).with_empty_details()
}

/// How much a client likes what a clause of its `Accept` header names.
fn quality(clause: &str) -> f64 {
    let value = clause.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(1.0)
}

/// Collections are also offered as streams.
pub(crate) fn with_streams(mut e: ApiError) -> ApiError {
    if e.message.starts_with("406: ") {
        e.message
            .push_str(", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch");
    }
    e
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn partial_metadata(v: &Value) -> Value {
    let mut out =
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": v["metadata"]});
    if v["kind"] == "DaemonSet" && v["apiVersion"] == "apps/v1" {
        hide_template_generation(&mut out);
    }
    out
}

/// The generation of a DaemonSet's template is an annotation only of the whole object.
fn hide_template_generation(v: &mut Value) {
    let annotations = v["metadata"]["annotations"].as_object_mut();
    let left = annotations.map(|a| {
        a.remove("deprecated.daemonset.template.generation");
        a.len()
    });
    if left == Some(0) {
        crate::object::metadata(v).remove("annotations");
    }
}

/// Bytes of a JSON value in a syntax, with the newline that the server ends texts with, and the syntax it became: what
/// has no message is JSON.
pub(crate) fn encode(v: &Value, syntax: Syntax) -> (Syntax, Vec<u8>) {
    match syntax {
        Syntax::Yaml => {
            let text = fluxide_goyaml::sigs::json_to_yaml(v.to_string().as_bytes()).unwrap_or_default();
            return (syntax, text.into_bytes());
        }
        Syntax::Protobuf => {
            if let Some(bytes) = protobuf::encode(v) {
                return (syntax, bytes);
            }
        }
        Syntax::Json => {}
    }
    let mut out = serde_json::to_vec(v).unwrap_or_default();
    out.push(b'\n');
    (Syntax::Json, out)
}
