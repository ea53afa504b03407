//! Health: `/healthz`, `/livez` and `/readyz`, whole, check by check, and listed.

use fluxide_gotext::quote_str;

use super::Request;
use super::answer::Answer;
use crate::api_error::{ApiError, ApiResult};

/// What a real server starts, each with a check of its own that clients may ask for by name. All of them pass: nothing is
/// served before the server is ready.
const HOOKS: [&str; 29] = [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
];
const LAST_HOOKS: [&str; 2] =
    ["poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller"];

/// The names of the checks behind `endpoint`, in order.
pub(super) fn checks(endpoint: &str) -> Vec<&'static str> {
    let (before, after): (&[&str], &[&str]) = match endpoint {
        "readyz" => (&["ping", "log", "informer-sync"], &["shutdown"]),
        _ => (&["ping", "log", "loopback-serving-certificate", "etcd"], &[]),
    };
    [before, &HOOKS, &LAST_HOOKS, after].concat()
}

/// Answers for all checks of an endpoint, or for one.
pub(super) fn serve(request: &Request, endpoint: &str, check: &str) -> ApiResult<Answer> {
    let all = checks(endpoint);
    if !check.is_empty() {
        // The checks of storage have names of their own everywhere.
        let known = all.contains(&check) || matches!(check, "etcd" | "etcd-readiness");
        return if known { Ok(plain("ok")) } else { Err(ApiError::unknown_path()) };
    }
    if request.query.get("verbose").is_none() {
        return Ok(plain("ok"));
    }
    let excluded: Vec<&str> = request.query.all("exclude").flat_map(|names| names.split(',')).collect();
    let mut out = String::new();
    for name in &all {
        let how = if excluded.contains(name) { "excluded: ok" } else { "ok" };
        out.push_str(&format!("[+]{name} {how}\n"));
    }
    let unknown: Vec<String> =
        excluded.iter().filter(|name| !all.contains(name)).map(|name| quote_str(name)).collect();
    if !unknown.is_empty() {
        out.push_str(&format!(
            "warn: some health checks cannot be excluded: no matches for {}\n",
            unknown.join(",")
        ));
    }
    out.push_str(&format!("{endpoint} check passed\n"));
    Ok(plain(&out))
}

fn plain(text: &str) -> Answer {
    Answer::text(200, text).with_header("X-Content-Type-Options", "nosniff")
}
