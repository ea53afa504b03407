//! Git hosting services: nothing is said twice, and only our own comments are edited.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{alert, settings};
use crate::notifier::http::{Answer, Clients, Request};
use crate::notifier::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const KEY: &str = include_str!("../../../tests/app-key.pem");

/// A service whose answers to GET are given, and which notes what is written.
struct Service {
    connections: Connections,
    written: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Service {
    fn new(get: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let written: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let notes = Arc::clone(&written);
        let script = move |request: &Request| {
            let path = request.url[url::Position::BeforePath..].to_owned();
            let (status, body) = if request.method == reqwest::Method::GET {
                get(&path)
            } else {
                let body = serde_json::from_slice(&request.body).unwrap_or_default();
                notes.lock().unwrap().push((format!("{} {path}", request.method), body));
                (201, json!({"token": "ghs_x", "expires_at": "2099-01-01T00:00:00Z"}))
            };
            Answer { status: StatusCode::from_u16(status).unwrap(), body: body.to_string().into_bytes() }
        };
        let connections = Connections {
            clients: Clients::scripted(Arc::new(script)),
            tokens: TokenCache::new(10, Duration::from_secs(3600), None),
            cluster: None,
            posted: Posted::default(),
            identities: Identities::of_process(String::new()),
        };
        Self { connections, written }
    }

    async fn told(&self, settings: &Settings, severity: &str, reason: &str) -> Vec<(String, Value)> {
        let event: Event = serde_json::from_value(json!({
            "involvedObject": {"kind": "Kustomization", "namespace": "ns", "name": "app", "uid": "u"},
            "severity": severity, "reason": reason, "message": "m", "timestamp": "2026-08-01T10:00:00Z",
            "metadata": {"revision": format!("main@sha1:{COMMIT}"), "change_request": "7", "summary": "s"},
            "reportingController": "k",
        }))
        .unwrap();
        let alert = alert();
        let message = Message { event: &event, alert: &alert, status_id: "kustomization/app/1" };
        send(&self.connections, settings, &message).await.unwrap();
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

fn types() -> Vec<(&'static str, Settings, Value)> {
    let token = [("token", "t")];
    let of = |kind: &str, address: &str, data: &[(&str, &str)]| {
        settings(json!({"type": kind, "address": address}), data)
    };
    let id = "kustomization/app/1";
    let listed = |state: &str| {
        json!([
            {"context": "other", "state": "failure", "status": "failed", "description": "x"},
            {"context": id, "name": id, "sha": COMMIT, "state": state, "status": state, "description": "health check failed"},
            {"context": id, "name": "older", "state": "success", "status": "success", "description": "ready"},
        ])
    };
    vec![
        ("github", of("github", "https://github.com/o/r", &token), listed("failure")),
        ("gitlab", of("gitlab", "https://gitlab.com/group/sub/project", &token), listed("failed")),
        ("gitea", of("gitea", "https://gitea.test/o/r", &token), listed("failure")),
        (
            "bitbucket",
            of("bitbucket", "https://bitbucket.org/o/r", &[("token", "u:p")]),
            json!({"state": "FAILED", "description": "health check failed"}),
        ),
        (
            "azuredevops",
            of("azuredevops", "https://dev.azure.com/o/p/_git/r", &token),
            json!({"value": [
            {"context": {"genre": "fluxcd", "name": id}, "state": "succeeded", "description": "x"},
            {"context": {"genre": "fluxcd:s", "name": id}, "state": "error", "description": "health check failed"}]}),
        ),
    ]
}

#[tokio::test]
async fn a_status_that_is_there_is_not_set_again() {
    for (kind, settings, listed) in types() {
        let there = Service::new(move |_| (200, listed.clone()));
        assert_eq!(there.told(&settings, "error", "HealthCheckFailed").await, [], "{kind}");
        let written = there.told(&settings, "info", "ReconciliationSucceeded").await;
        assert_eq!(written.len(), 1, "{kind}");
        assert_eq!(written[0].1["description"], "reconciliation succeeded", "{kind}");
        assert!(written[0].0.contains(COMMIT), "{kind}: {}", written[0].0);
        // Set a moment ago: nobody is asked.
        assert_eq!(there.told(&settings, "info", "ReconciliationSucceeded").await, [], "{kind}");
        // But what it was before is set again.
        let again = there.told(&settings, "error", "DependencyNotReady").await;
        assert_eq!(again.len(), 1, "{kind}");
        let back = there.told(&settings, "info", "ReconciliationSucceeded").await;
        assert_eq!(back.len(), 1, "{kind}");
        let progress = there.told(&settings, "info", "Progressing").await;
        match kind {
            "gitea" => assert_eq!(progress[0].1["state"], "pending"),
            _ => assert_eq!(progress, [], "{kind}"),
        }
    }
}

#[tokio::test]
async fn bitbucket_server_has_its_context_path_and_asks_for_one_status() {
    let spec = json!({"type": "bitbucketserver", "address": "https://git.test/context/scm/project/repo.git"});
    let server = settings(spec, &[("token", "t")]);
    let service = Service::new(|path| {
        assert!(
            path.starts_with(&format!(
                "/context/rest/api/latest/projects/project/repos/repo/commits/{COMMIT}/builds?key="
            )),
            "{path}"
        );
        (404, json!({}))
    });
    let written = service.told(&server, "error", "HealthCheckFailed").await;
    assert_eq!(written[0].1["name"], "kustomization/app [health check failed]");
    assert_eq!(written[0].1["state"], "FAILED");
    let known = written[0].1.clone();
    let there = Service::new(move |_| (200, known.clone()));
    assert_eq!(there.told(&server, "error", "HealthCheckFailed").await, []);
}

#[tokio::test]
async fn our_comment_is_edited_and_others_are_left_alone() {
    let marker = "<!-- flux-pr-comment-key:1-2/Kustomization/ns/app -->";
    let note = marker.replace("-pr-", "-mr-");
    for (kind, address, path, method) in [
        ("githubpullrequestcomment", "https://github.com/o/r", "/repos/o/r/issues/", "PATCH"),
        ("giteapullrequestcomment", "https://gitea.test/o/r", "/api/v1/repos/o/r/issues/", "PATCH"),
        (
            "gitlabmergerequestcomment",
            "https://gitlab.com/o/r",
            "/api/v4/projects/o%2Fr/merge_requests/7/notes",
            "PUT",
        ),
    ] {
        let settings = settings(json!({"type": kind, "address": address}), &[("token", "t")]);
        let is_gitlab = kind.starts_with("gitlab");
        let marker = if is_gitlab { note.clone() } else { marker.to_owned() };
        let user = |login: &str| {
            if is_gitlab { json!({"username": login, "name": "flux-bot"}) } else { json!({"login": login}) }
        };
        let author = if is_gitlab { "author" } else { "user" };
        let comments = |ours: bool| {
            let mut list = vec![
                json!({"id": 1, "body": format!("{marker} quoted"), author: user("somebody")}),
                json!({"id": 2, "body": "something else", author: user("flux-bot")}),
                json!({"id": 3, "body": null, author: null}),
            ];
            if ours {
                list.push(json!({"id": 4, "body": format!("{marker}\n\nold"), author: user("flux-bot")}));
            }
            Value::from(list)
        };
        let answers = |list: Value, me: Value| {
            move |path: &str| {
                if path.ends_with("/user") { (200, me.clone()) } else { (200, list.clone()) }
            }
        };
        let fresh = Service::new(answers(comments(false), user("flux-bot")));
        let written = fresh.told(&settings, "error", "HealthCheckFailed").await;
        assert_eq!(written.len(), 1, "{kind}");
        assert!(written[0].0.starts_with(&format!("POST {path}")), "{kind}: {}", written[0].0);
        let body = written[0].1["body"].as_str().unwrap();
        assert_eq!(
            body,
            format!(
                "{marker}\n\n## Flux Status\n\n⚠️ Kustomization/ns/app\n\nm\n\nMetadata:\n* `revision`: main@sha1:{COMMIT}\n* `summary`: s\n"
            )
        );
        let known = Service::new(answers(comments(true), user("flux-bot")));
        let written = known.told(&settings, "info", "ReconciliationSucceeded").await;
        assert_eq!(written.len(), 1, "{kind}");
        assert!(
            written[0].0.starts_with(&format!("{method} ")) && written[0].0.ends_with("/4"),
            "{kind}: {}",
            written[0].0
        );
    }
}

#[tokio::test]
async fn a_github_app_knows_its_own_comments() {
    let app =
        [("githubAppID", "123"), ("githubAppInstallationOwner", "somebody"), ("githubAppPrivateKey", KEY)];
    let settings =
        settings(json!({"type": "githubpullrequestcomment", "address": "https://github.com/o/r"}), &app);
    let service = Service::new(|path| match path {
        "/app" => (200, json!({"slug": "fluxide"})),
        "/orgs/somebody/installation" => (404, json!({})),
        "/users/somebody/installation" => (200, json!({"id": 42})),
        path if path.starts_with("/repos/o/r/issues/7/comments") => (
            200,
            json!([
            {"id": 9, "body": "<!-- flux-pr-comment-key:1-2/Kustomization/ns/app -->", "user": {"login": "fluxide[bot]"}}]),
        ),
        path => panic!("{path}"),
    });
    let written = service.told(&settings, "info", "ReconciliationSucceeded").await;
    let lines: Vec<&str> = written.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["POST /app/installations/42/access_tokens", "PATCH /repos/o/r/issues/comments/9"]);
    let written = service.told(&settings, "error", "HealthCheckFailed").await;
    assert_eq!(written.len(), 1, "the token is kept");
}
