//! What people get wrong: each ends in a condition and an event that say what to do, and nothing secret is in either.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::git::{self, GitServer, Repositories, ServerState};
use crate::world::{World, condition};

const PASSWORD: &str = "correct-horse-battery";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_named_and_secrets_are_not() {
    let repositories = Repositories::new();
    let app = repositories.create("app.git");
    app.write("deploy/app.yaml", "a: 1\n").write("big.bin", &"0123456789".repeat(20_000));
    app.commit("first");
    repositories.create("empty.git");
    let server = GitServer::start(ServerState {
        root: repositories.root.path().to_owned(),
        authorization: Some(git::basic("flux", PASSWORD)),
        ..ServerState::default()
    })
    .await;
    let url = format!("{}/app.git", server.url);
    let expired = tls_server(Validity::Over, repositories.root.path()).await;
    let unknown = tls_server(Validity::Now, repositories.root.path()).await;
    let world = World::start("apps", &["--git-max-size=100000"]).await;
    let credentials = [("username", "flux"), ("password", PASSWORD)];
    world.secret("apps", "good", &credentials).await;
    world.secret("apps", "only-password", &[("password", PASSWORD)]).await;
    world.secret("apps", "bad-ca", &[credentials[0], credentials[1], ("ca.crt", "no certificate")]).await;
    world.secret("apps", "half-tls", &[credentials[0], credentials[1], ("tls.crt", "x")]).await;
    world.secret("apps", "ca", &[credentials[0], credentials[1], ("ca.crt", &expired.ca)]).await;
    world.secret("apps", "token", &[("bearerToken", PASSWORD)]).await;
    world.secret("apps", "bad-proxy", &[("address", "ftp://proxy"), ("password", PASSWORD)]).await;
    world.secret("apps", "dead-proxy", &[("address", "http://127.0.0.1:9")]).await;
    world
        .secret(
            "apps",
            "app",
            &[("githubAppID", "1"), ("githubAppInstallationID", "2"), ("githubAppPrivateKey", PASSWORD)],
        )
        .await;
    world.secret("apps", "broken-app", &[("githubAppID", "1")]).await;
    world.secret("apps", "bad-key", &[("identity", PASSWORD), ("known_hosts", "h ssh-ed25519 AAAA")]).await;
    let secret = |name: &str| json!({"name": name});
    let cases: Vec<(&str, Value, &str, &str)> = vec![
        (
            "branch",
            json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "nope"}}),
            "GitOperationFailed",
            "couldn't find remote ref \"refs/heads/nope\"",
        ),
        (
            "empty",
            json!({"url": format!("{}/empty.git", server.url), "secretRef": secret("good")}),
            "EmptyGitRepository",
            "git repository is empty",
        ),
        (
            "host",
            json!({"url": "https://git.invalid/app.git", "timeout": "20s"}),
            "GitOperationFailed",
            "dial tcp: lookup git.invalid: no such host",
        ),
        (
            "password",
            json!({"url": url.replace("//", &format!("//flux:{PASSWORD}x@"))}),
            "GitOperationFailed",
            "authentication required",
        ),
        (
            "large",
            json!({"url": url, "secretRef": secret("good")}),
            "GitOperationFailed",
            "repository is too large: more than 100000 bytes",
        ),
        (
            "expired",
            json!({"url": expired.url, "secretRef": secret("ca")}),
            "GitOperationFailed",
            "certificate expired",
        ),
        (
            "unknown-authority",
            json!({"url": unknown.url, "secretRef": secret("good")}),
            "GitOperationFailed",
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            "bad-ca",
            json!({"url": unknown.url, "secretRef": secret("bad-ca")}),
            "AuthenticationFailed",
            "CA certificate",
        ),
        (
            "half-tls",
            json!({"url": unknown.url, "secretRef": secret("half-tls")}),
            "AuthenticationFailed",
            "'tls.key'",
        ),
        (
            "only-password",
            json!({"url": url, "secretRef": secret("only-password")}),
            "AuthenticationFailed",
            "invalid 'http' auth option: 'password' requires 'username' to be set",
        ),
        (
            "two-ways",
            json!({"url": url.replace("//", "//user:pass@"), "secretRef": secret("token")}),
            "AuthenticationFailed",
            "basic auth and bearer token cannot be set at the same time",
        ),
        (
            "bad-proxy",
            json!({"url": url, "proxySecretRef": secret("bad-proxy")}),
            "AuthenticationFailed",
            "supported schemes (http, https, socks5), got 'ftp'",
        ),
        (
            "dead-proxy",
            json!({"url": url, "secretRef": secret("good"), "proxySecretRef": secret("dead-proxy")}),
            "GitOperationFailed",
            "connection refused",
        ),
        (
            "no-proxy",
            json!({"url": url, "proxySecretRef": secret("absent")}),
            "AuthenticationFailed",
            "secrets \"absent\" not found",
        ),
        (
            "app-without-provider",
            json!({"url": url, "secretRef": secret("app")}),
            "InvalidProviderConfiguration",
            "has github app data but provider is not set to github",
        ),
        (
            "provider-without-app",
            json!({"url": url, "provider": "github", "secretRef": secret("good")}),
            "InvalidProviderConfiguration",
            "secretRef with github app data must be specified",
        ),
        (
            "broken-app",
            json!({"url": url, "provider": "github", "secretRef": secret("broken-app")}),
            "AuthenticationFailed",
            "githubAppPrivateKey",
        ),
        (
            "bad-app-key",
            json!({"url": url, "provider": "github", "secretRef": secret("app")}),
            "AuthenticationFailed",
            "private key",
        ),
        (
            "bad-ssh-key",
            json!({"url": "ssh://git@127.0.0.1/app", "secretRef": secret("bad-key")}),
            "AuthenticationFailed",
            "identity key",
        ),
        (
            "sparse",
            json!({"url": url, "secretRef": secret("good"), "sparseCheckout": ["../x"], "ref": {"branch": "small"}}),
            "GitOperationFailed",
            "sparse checkout dir '../x' does not exist",
        ),
        (
            "commit",
            json!({"url": url, "secretRef": secret("good"), "ref": {"commit": "main"}}),
            "GitOperationFailed",
            "unable to resolve commit object for 'main'",
        ),
        (
            "name",
            json!({"url": url, "secretRef": secret("good"), "ref": {"name": "/refs/heads/main"}}),
            "GitOperationFailed",
            "must not start or end with a slash",
        ),
        (
            "no-keys",
            json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "small"},
            "verify": {"mode": "HEAD", "secretRef": secret("absent")}}),
            "VerificationError",
            "public keys secret error",
        ),
        (
            "tag-mode",
            json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "small"},
            "verify": {"mode": "Tag", "secretRef": secret("good")}}),
            "InvalidVerificationMode",
            "if a tag reference is not specified",
        ),
        (
            "include-file",
            json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "small"},
            "include": [{"repository": {"name": "small"}, "fromPath": "absent", "toPath": "x"}]}),
            "CopyFailure",
            "failed to copy 'small' include from absent to x",
        ),
        (
            "include-root",
            json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "small"},
            "include": [{"repository": {"name": "small"}, "toPath": "/"}]}),
            "CopyFailure",
            "the destination exists already",
        ),
    ];
    app.git(&["checkout", "-q", "--orphan", "small"]);
    app.git(&["rm", "-q", "--cached", "big.bin"]);
    std::fs::remove_file(app.work.path().join("big.bin")).unwrap();
    app.commit("small");
    world
        .repository("small", json!({"url": url, "secretRef": secret("good"), "ref": {"branch": "small"}}))
        .await;
    world.until_ready("small").await;
    for (name, spec, _, _) in &cases {
        world.repository(name, spec.clone()).await;
    }
    let mut wrong = Vec::new();
    for (name, _, reason, part) in &cases {
        let Some(message) = world.try_until_failed(name, reason).await else {
            let object = world.repositories("apps").get(name).await.unwrap();
            wrong.push(format!("{name}: {}", object.data["status"]["conditions"]));
            continue;
        };
        if !message.contains(part) {
            wrong.push(format!("{name}: {message}"));
        }
        let end = std::time::Instant::now() + crate::world::DEADLINE;
        while !world.events("apps").await.iter().any(|event| {
            event["involvedObject"]["name"] == **name
                && event["type"] == "Warning"
                && event["reason"] == **reason
                && event["message"] == message
        }) {
            assert!(std::time::Instant::now() < end, "{name}: no event {reason} {message:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let list = world.repositories("apps").list(&Default::default()).await.unwrap();
    let mut said = world.posts.lock().unwrap().join("\n");
    for object in &list {
        said.push_str(&object.data["status"].to_string());
    }
    said.push_str(&serde_json::to_string(&world.events("apps").await).unwrap());
    let header = git::basic("flux", PASSWORD);
    for forbidden in [PASSWORD, header.trim_start_matches("Basic ")] {
        assert!(!said.contains(forbidden), "a secret was told");
    }
    let stalled: Vec<&str> = list
        .iter()
        .filter(|object| condition(&serde_json::to_value(object).unwrap(), "Stalled").is_some())
        .map(|object| object.metadata.name.as_deref().unwrap())
        .collect();
    assert_eq!(stalled, ["tag-mode"]);
}

enum Validity {
    Now,
    Over,
}

struct TlsServer {
    url: String,
    ca: String,
}

/// Git's server over TLS with a certificate of its own.
async fn tls_server(validity: Validity, root: &std::path::Path) -> TlsServer {
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    if matches!(validity, Validity::Over) {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    let state = Arc::new(ServerState { root: root.to_owned(), ..ServerState::default() });
    let url = git::serve_tls(git::router(state), certificate.der().clone(), key.serialize_der()).await;
    TlsServer { url: format!("{url}/app.git"), ca }
}
