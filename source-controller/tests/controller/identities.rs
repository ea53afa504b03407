//! Credentials that are not passwords in Secrets.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use serde_json::json;

use crate::git::{self, GitServer, Repositories, ServerState};
use crate::world::World;

const KEY: &str = include_str!("../../../shared/auth/tests/app-key.pem");

/// The part of GitHub's API that gives tokens; it notes what it is asked.
async fn github() -> (String, Arc<Mutex<Vec<String>>>) {
    async fn respond(State(seen): State<Arc<Mutex<Vec<String>>>>, request: Request) -> String {
        assert!(request.headers()["authorization"].to_str().unwrap().starts_with("Bearer ey"));
        seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        json!({"id": 7, "token": "ghs_installation", "expires_at": "2099-01-01T00:00:00Z"}).to_string()
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(respond).with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_github_app_reads_with_a_token_it_keeps() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n");
    app.commit("first");
    let server = GitServer::start(ServerState {
        root: repositories.root.path().to_owned(),
        authorization: Some(git::basic("x-access-token", "ghs_installation")),
        ..ServerState::default()
    })
    .await;
    let (api, seen) = github().await;
    let world = World::start("apps", &[]).await;
    let data = [
        ("githubAppID", "123"),
        ("githubAppInstallationOwner", "acme"),
        ("githubAppPrivateKey", KEY),
        ("githubAppBaseURL", &api),
    ];
    world.secret("apps", "app", &data).await;
    let url = format!("{}/app.git", server.url);
    world.repository("app", json!({"url": url, "provider": "github", "secretRef": {"name": "app"}})).await;
    world.until_ready("app").await;
    world.reconcile("app").await;
    let calls = ["GET /orgs/acme/installation", "POST /app/installations/7/access_tokens"];
    assert_eq!(*seen.lock().unwrap(), calls, "the second pass uses the token of the first");

    // The token never shows.
    let said = serde_json::to_string(&*world.history.lock().unwrap()).unwrap();
    assert!(!said.contains("ghs_") && !said.contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_of_objects_need_the_gate_and_the_right_host() {
    let world = World::start("apps", &[]).await;
    let azure = "https://dev.azure.com/org/project/_git/repo";
    let spec = json!({"url": azure, "provider": "azure", "serviceAccountName": "reader"});
    world.repository("gate", spec).await;
    let message = world.try_until_failed("gate", "FeatureGateDisabled").await.unwrap();
    assert!(message.starts_with("to use spec.serviceAccountName for provider authentication"), "{message}");
    world.until("gate", "stalled", |o| crate::world::condition(o, "Stalled").is_some()).await;

    for (provider, part) in [("azure", "invalid Azure DevOps url"), ("aws", "invalid AWS CodeCommit url")] {
        world.repository(provider, json!({"url": "https://git.example.com/app", "provider": provider})).await;
        let message = world.try_until_failed(provider, "AuthenticationFailed").await.unwrap();
        assert!(message.contains(part), "{message}");
    }

    let gated = World::start("apps", &["--feature-gates=ObjectLevelWorkloadIdentity=true"]).await;
    let spec = json!({"url": azure, "provider": "azure", "serviceAccountName": "absent"});
    gated.repository("absent", spec).await;
    let message = gated.try_until_failed("absent", "AuthenticationFailed").await.unwrap();
    assert!(message.ends_with("service account 'apps/absent': not found"), "{message}");
    gated.apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "plain", "namespace": "apps"}})).await;
    let spec = json!({"url": azure, "provider": "azure", "serviceAccountName": "plain"});
    gated.repository("plain", spec).await;
    let message = gated.try_until_failed("plain", "AuthenticationFailed").await.unwrap();
    assert!(message.contains("the annotation 'azure.workload.identity/tenant-id' is missing"), "{message}");

    // Where everybody has to be somebody, a namespace without that account is told so.
    let flags = ["--feature-gates=ObjectLevelWorkloadIdentity=true", "--default-service-account=tenant"];
    let locked = World::start("apps", &flags).await;
    locked.repository("locked", json!({"url": azure, "provider": "azure"})).await;
    let message = locked.try_until_failed("locked", "AuthenticationFailed").await.unwrap();
    assert!(message.contains("the specified default service account does not exist in the object namespace"));
    assert!(message.contains("multi-tenant workload identity lockdown"), "{message}");
}
