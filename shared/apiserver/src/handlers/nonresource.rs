//! Everything that is about no object: discovery, health, version, OpenAPI.

use std::sync::Arc;

use serde_json::json;

use super::Request;
use super::answer::Answer;
use crate::api_error::{ApiError, ApiResult};
use crate::core::Core;
use crate::discovery::{self, AGGREGATED, Document};

pub(crate) fn serve(core: &Arc<Core>, request: &Request) -> ApiResult<Answer> {
    let catalog = core.catalog();
    let path = request.path.trim_end_matches('/');
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["api" | "apis"] => {
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
            let v = discovery::resource_list(&catalog, "", version).ok_or_else(ApiError::unknown_path)?;
            Ok(Answer::json(200, &v))
        }
        ["apis", group] => {
            catalog.group(group).ok_or_else(ApiError::unknown_path)?;
            Ok(Answer::json(200, &discovery::group_document(&catalog, group)))
        }
        ["apis", group, version] => {
            let v = discovery::resource_list(&catalog, group, version).ok_or_else(ApiError::unknown_path)?;
            Ok(Answer::json(200, &v))
        }
        ["healthz" | "livez" | "readyz", ..] => Ok(Answer::text(200, "ok")),
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
