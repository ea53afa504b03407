//! Everything that is about no object: discovery, health, version, OpenAPI.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::Request;
use super::answer::Answer;
use super::health;
use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::discovery::{self, AGGREGATED, Document};
use crate::openapi;
use crate::output::{self, Accepted};
use crate::protobuf;

/// The media types of discovery documents.
const DISCOVERY: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];
const JSON_ONLY: [&str; 1] = ["application/json"];

pub(crate) fn serve(core: &Arc<Core>, request: &Request) -> ApiResult<Answer> {
    if request.path.contains("//") {
        return Err(ApiError::unknown_path());
    }
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    // Routes take a slash at their end, other handlers do not.
    let (routed, exact): (Vec<&str>, Vec<&str>) =
        (path.trim_end_matches('/').split('/').collect(), path.split('/').collect());
    match routed.as_slice() {
        ["api" | "apis", ..] => return discovery_answer(core, request, &routed),
        ["version"] => return route(request, &JSON_ONLY, |_| Ok(version())),
        [".well-known", "openid-configuration"] => {
            return route(request, &JSON_ONLY, |_| {
                Ok(json!({
                    "issuer": core.settings.issuer,
                    "jwks_uri": format!("https://{}/openid/v1/jwks", request.header("host")),
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }))
            });
        }
        ["openid", "v1", "jwks"] => {
            check_route(request, &[KEY_SET])?;
            let keys = core.signing_key.key_set().map_err(|e| ApiError::internal(e.to_string()))?;
            return Ok(Answer::bytes(200, KEY_SET, keys.to_string().into()));
        }
        ["openid", "v1", "jwks", ..] => return Err(ApiError::unknown_resource()),
        _ => {}
    }
    let catalog = core.catalog();
    match exact.as_slice() {
        [""] => Ok(Answer::json(200, &json!({"paths": root_paths(&catalog)}))),
        ["openapi", "v2"] => {
            let accept = request.header("accept");
            let protobuf = accept.contains("proto-openapi.spec.v2");
            if !protobuf && !takes_json(accept) {
                return Ok(not_acceptable());
            }
            let (bytes, hash) = openapi::version_2(&catalog, protobuf);
            let content_type = if protobuf { V2_PROTOBUF } else { "application/json" };
            Ok(tagged(request, bytes, &hash, content_type))
        }
        ["openapi", "v3"] => {
            let index = openapi::index(&catalog).to_string();
            Ok(Answer::text(200, &index))
        }
        ["openapi", "v3", rest @ ..] => {
            let path = rest.join("/");
            let missing = || Answer::bytes(404, "", bytes::Bytes::new());
            let Some((bytes, hash)) = openapi::version_3(&catalog, &path) else { return Ok(missing()) };
            let accept = request.header("accept");
            if !takes_json(accept) && !accept.contains("proto-openapi.spec.v3") {
                return Ok(not_acceptable());
            }
            let asked = request.query.text("hash");
            if !asked.is_empty() && asked != hash {
                let location = format!("/openapi/v3/{path}?hash={hash}");
                return Ok(Answer::text(301, "").with_header("Location", location));
            }
            Ok(tagged(request, bytes, &hash, "application/json"))
        }
        [endpoint @ ("healthz" | "livez" | "readyz"), check @ ..] if check != [""] => {
            health::serve(request, endpoint, &check.join("/"))
        }
        ["metrics"] => Ok(Answer::bytes(200, METRICS, metrics(core).into())),
        _ => Err(ApiError::unknown_path()),
    }
}

const KEY_SET: &str = "application/jwk-set+json";

/// Discovery, aggregated or not.
fn discovery_answer(core: &Arc<Core>, request: &Request, segments: &[&str]) -> ApiResult<Answer> {
    let catalog = core.catalog();
    let accept = request.header("accept");
    match segments {
        ["api"] | ["apis"] if wants_aggregated(accept) => {
            if segments[0] == "api" {
                refuse_method(request)?;
            }
            let documents = discovery::documents(&catalog);
            let shown = match segments[0] {
                "api" => &documents.core_aggregated,
                _ => &documents.groups_aggregated,
            };
            Ok(document(request, shown, AGGREGATED))
        }
        ["api"] => {
            let answer =
                route(request, &DISCOVERY, |_| Ok(discovery::core_versions(request.header("host"))))?;
            Ok(answer.with_header("Vary", "Accept"))
        }
        ["apis"] => {
            let accepted = output::negotiate(accept, false, false)?;
            let answer = Answer::document(200, &discovery::group_list(&catalog), accepted);
            Ok(answer.with_header("Vary", "Accept"))
        }
        ["api", version] => {
            let list =
                discovery::resource_list(&catalog, "", version).ok_or_else(ApiError::unknown_resource)?;
            route(request, &DISCOVERY, |_| Ok(list))
        }
        ["apis", group] => {
            catalog.group(group).ok_or_else(ApiError::unknown_path)?;
            let accepted = output::negotiate(accept, false, false)?;
            Ok(Answer::document(200, &discovery::group_document(&catalog, group), accepted))
        }
        ["apis", group, version] => {
            let known = catalog.group(group).is_some_and(|g| g.builtin);
            let missing = if known { ApiError::unknown_resource } else { ApiError::unknown_path };
            let v = discovery::resource_list(&catalog, group, version).ok_or_else(missing)?;
            if known {
                return route(request, &DISCOVERY, |_| Ok(v));
            }
            let accepted = output::negotiate(accept, false, false)?;
            Ok(Answer::document(200, &v, accepted))
        }
        _ => Err(ApiError::unknown_path()),
    }
}

/// Answers a GET in one of the media types that a route offers.
fn route(
    request: &Request,
    offered: &[&str],
    document: impl FnOnce(Accepted) -> ApiResult<Value>,
) -> ApiResult<Answer> {
    let accepted = check_route(request, offered)?;
    Ok(Answer::document(200, &document(accepted)?, accepted))
}

fn check_route(request: &Request, offered: &[&str]) -> ApiResult<Accepted> {
    refuse_method(request)?;
    output::negotiate_route(request.header("accept"), offered)
}

/// Routes are read in one way only.
fn refuse_method(request: &Request) -> ApiResult<()> {
    if request.method == Method::GET { Ok(()) } else { Err(ApiError::method_not_allowed()) }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn takes_json(accept: &str) -> bool {
    accept.trim().is_empty()
        || accept
            .split(',')
            .map(output::media_type)
            .any(|media| matches!(media, "*/*" | "application/*" | "application/json"))
}

/// 406 as the handlers of OpenAPI answer it.
fn not_acceptable() -> Answer {
    Answer::bytes(406, "", bytes::Bytes::new())
}

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts of requests and of stored objects in the text format of Prometheus, under the server's usual names.
fn metrics(core: &Core) -> String {
    use std::fmt::Write;
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut requests: std::collections::BTreeMap<(String, String), u64> = Default::default();
    for (key, count) in core.log.counts() {
        *requests.entry((key.verb.to_uppercase(), key.resource)).or_default() += count;
    }
    let mut out = String::from(
        "# HELP apiserver_request_total Counter of apiserver requests broken out for each verb and API resource.\n# TYPE apiserver_request_total counter\n",
    );
    for ((verb, resource), count) in requests {
        let (resource, part) = resource.split_once('/').unwrap_or((&resource, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let _ = writeln!(
            out,
            "apiserver_request_total{{group=\"{}\",resource=\"{}\",subresource=\"{}\",verb=\"{}\"}} {count}",
            escaped(group),
            escaped(resource),
            escaped(part),
            escaped(&verb)
        );
    }
    out.push_str("# HELP apiserver_storage_objects Number of stored objects at the time of last check split by kind.\n# TYPE apiserver_storage_objects gauge\n");
    let mut tables = core.store.tables();
    tables.sort();
    for table in tables {
        let count = core.store.list(&table, None).objects.len();
        let _ = writeln!(out, "apiserver_storage_objects{{resource=\"{}\"}} {count}", escaped(&table));
    }
    out
}

const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A document with its entity tag, or 304 when the client has it.
fn tagged(request: &Request, bytes: bytes::Bytes, hash: &str, content_type: &str) -> Answer {
    let tag = format!("\"{hash}\"");
    if request.header("if-none-match").split(',').any(|t| t.trim() == tag) {
        let mut a = Answer::bytes(304, "", bytes::Bytes::new());
        a.headers.push(("ETag", tag));
        return a;
    }
    Answer::bytes(200, content_type, bytes).with_header("ETag", tag).with_header("Vary", "Accept")
}

/// What is served apart from objects.
fn root_paths(catalog: &crate::registry::Catalog) -> Vec<String> {
    let fixed = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"];
    let mut paths: Vec<String> = fixed.iter().map(|p| (*p).to_owned()).collect();
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.push(format!("/{endpoint}"));
        paths.extend(health::checks(endpoint).iter().map(|check| format!("/{endpoint}/{check}")));
    }
    for (group, facts) in catalog.groups.iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(facts.versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    let more = ["/openapi/v2", "/openapi/v3", "/openapi/v3/", "/metrics", "/openid/v1/jwks", "/version"];
    paths.extend(more.iter().map(|p| (*p).to_owned()));
    paths.sort();
    paths
}

fn wants_aggregated(accept: &str) -> bool {
    accept
        .split(',')
        .take_while(|c| !matches!(c.trim(), "application/json" | "*/*"))
        .any(|c| c.contains("as=APIGroupDiscoveryList") && c.contains("v=v2") && !c.contains("v=v2beta"))
}

fn document(request: &Request, d: &Document, content_type: &str) -> Answer {
    if request.header("if-none-match") == d.etag {
        let mut a = Answer::bytes(304, "", bytes::Bytes::new());
        a.headers.push(("ETag", d.etag.clone()));
        return a.with_header("Vary", "Accept");
    }
    Answer::bytes(200, content_type, d.json.clone())
        .with_header("ETag", d.etag.clone())
        .with_header("Vary", "Accept")
}
