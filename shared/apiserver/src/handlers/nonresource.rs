//! Everything that is about no object: discovery, health, version, OpenAPI.

use std::sync::Arc;

use serde_json::json;

use super::Request;
use super::answer::Answer;
use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::discovery::{self, AGGREGATED, Document};
use crate::openapi;

pub(crate) fn serve(core: &Arc<Core>, request: &Request) -> ApiResult<Answer> {
    let catalog = core.catalog();
    let path = request.path.trim_end_matches('/');
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let reads = matches!(request.method, http::Method::GET | http::Method::HEAD);
    if !reads && matches!(segments.as_slice(), ["version"] | ["api", _] | ["apis", _, ..]) {
        return Err(ApiError::method_not_allowed());
    }
    match segments.as_slice() {
        [""] => Ok(Answer::json(200, &json!({"paths": root_paths(&catalog)}))),
        ["api" | "apis"] => {
            if !wants_aggregated(request.header("accept")) {
                crate::output::negotiate(request.header("accept"), false, false)?;
            }
            let documents = discovery::documents(&catalog);
            let (plain, aggregated) = match segments[0] {
                "api" => (&documents.core, &documents.core_aggregated),
                _ => (&documents.groups, &documents.groups_aggregated),
            };
            if wants_aggregated(request.header("accept")) {
                return Ok(document(request, aggregated, AGGREGATED, true));
            }
            Ok(document(request, plain, "application/json", false).with_header("Vary", "Accept"))
        }
        ["api", version] => {
            let v = discovery::resource_list(&catalog, "", version).ok_or_else(ApiError::unknown_resource)?;
            Ok(Answer::json(200, &v))
        }
        ["apis", group] => {
            catalog.group(group).ok_or_else(ApiError::unknown_path)?;
            Ok(Answer::json(200, &discovery::group_document(&catalog, group)))
        }
        ["apis", group, version] => {
            let known = catalog.group(group).is_some_and(|g| g.builtin);
            let missing = if known { ApiError::unknown_resource } else { ApiError::unknown_path };
            let v = discovery::resource_list(&catalog, group, version).ok_or_else(missing)?;
            Ok(Answer::json(200, &v))
        }
        ["openapi", "v2"] => {
            let protobuf = request.header("accept").contains("proto-openapi.spec.v2");
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
            let (bytes, hash) = openapi::version_3(&catalog, &path).ok_or_else(ApiError::unknown_path)?;
            let asked = request.query.text("hash");
            if !asked.is_empty() && asked != hash {
                let location = format!("/openapi/v3/{path}?hash={hash}");
                return Ok(Answer::text(301, "").with_header("Location", location));
            }
            Ok(tagged(request, bytes, &hash, "application/json"))
        }
        ["healthz" | "livez" | "readyz"] if request.query.get("verbose").is_some() => Ok(Answer::text(
            200,
            &format!("[+]ping ok\n[+]log ok\n[+]etcd ok\n{} check passed\n", segments[0]),
        )),
        ["healthz" | "livez" | "readyz"] | ["healthz" | "livez" | "readyz", "ping" | "log" | "etcd"] => {
            Ok(Answer::text(200, "ok"))
        }
        [".well-known", "openid-configuration"] => Ok(Answer::json(
            200,
            &json!({
                "issuer": core.settings.issuer,
                "jwks_uri": format!("https://{}/openid/v1/jwks", request.header("host")),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
        )),
        ["openid", "v1", "jwks"] => {
            let keys = core.signing_key.key_set().map_err(|e| ApiError::internal(e.to_string()))?;
            Ok(Answer::bytes(200, "application/jwk-set+json", keys.to_string().into()))
        }
        ["metrics"] => Ok(Answer::bytes(200, METRICS, metrics(core).into())),
        ["version"] => Ok(Answer::json(
            200,
            &json!({
                "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
                "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
                "gitVersion": "v1.36.2", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
            }),
        )),
        _ => Err(ApiError::unknown_path()),
    }
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
    let fixed = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez"];
    let mut paths: Vec<String> = fixed.iter().map(|p| (*p).to_owned()).collect();
    for (group, facts) in catalog.groups.iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(facts.versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    let more = ["/openapi/v2", "/openapi/v3", "/metrics", "/openid/v1/jwks", "/readyz", "/version"];
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

fn document(request: &Request, d: &Document, content_type: &str, tagged: bool) -> Answer {
    if tagged && request.header("if-none-match") == d.etag {
        let mut a = Answer::bytes(304, "", bytes::Bytes::new());
        a.headers.push(("ETag", d.etag.clone()));
        return a.with_header("Vary", "Accept");
    }
    let a = Answer::bytes(200, content_type, d.json.clone());
    if tagged { a.with_header("ETag", d.etag.clone()).with_header("Vary", "Accept") } else { a }
}
