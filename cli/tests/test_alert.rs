//! `fluxide test alert` against an API server and a service that answers.

use fluxide::dev::cluster::{client_from_kubeconfig, install_definitions};
use fluxide::dev::notifications::Messages;
use fluxide_apiserver::{RunningServer, Server};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

struct Lab {
    client: kube::Client,
    home: tempfile::TempDir,
    _server: RunningServer,
}

/// Exit code, standard output and standard error.
type Outcome = (i32, String, String);

impl Lab {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let server = Server::builder().start().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        server.write_kubeconfig(&home.path().join("kubeconfig")).unwrap();
        let client = client_from_kubeconfig(&server.kubeconfig()).await.unwrap();
        install_definitions(&client).await.unwrap();
        Self { client, home, _server: server }
    }

    async fn apply(&self, api_version: &str, kind: &str, name: &str, rest: Value) {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "default", &resource);
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
    }

    async fn alert(&self, name: &str, alert: Value, provider: Value) {
        const API: &str = "notification.toolkit.fluxcd.io/v1beta3";
        self.apply(API, "Provider", name, json!({"spec": provider})).await;
        let mut spec = json!({"providerRef": {"name": name}, "eventSources": [{"kind": "Kustomization", "name": "apps"}]});
        spec.as_object_mut().unwrap().extend(alert.as_object().unwrap().clone());
        self.apply(API, "Alert", name, json!({"spec": spec})).await;
    }

    async fn test(&self, arguments: &[&str]) -> Outcome {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_fluxide"))
            .args(["test", "alert", "--namespace", "default"])
            .args(arguments)
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_answers_is_told() {
    let lab = Lab::start().await;
    let mut messages = Messages::start().await.unwrap();
    let (address, missing) = (messages.url(), format!("{}services/T0SECRET", messages.url()));
    lab.alert(
        "chat",
        json!({"eventMetadata": {"cluster": "test"}}),
        json!({"type": "slack", "address": address}),
    )
    .await;
    let (code, out, err) = lab.test(&["chat", "--message", "Does it work?", "--severity", "error"]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let server = address.trim_end_matches('/');
    assert!(out.contains(&format!("► POST {server} answered 200")), "{out}");
    assert!(out.contains("✔ provider default/chat (slack) accepted the message after "), "{out}");
    let message = messages.next().await;
    assert_eq!(
        (message.about.as_str(), message.text.as_str()),
        ("kustomization/apps.default", "Does it work?")
    );
    assert!(message.is_bad);

    // An address that came from a Secret is not shown.
    lab.apply("v1", "Secret", "hook", json!({"stringData": {"address": missing}})).await;
    lab.alert("hook", json!({}), json!({"type": "slack", "secretRef": {"name": "hook"}})).await;
    let (code, out, _) = lab.test(&["hook"]).await;
    assert_eq!(code, 1);
    assert!(out.contains(&format!("► POST {server} answered 404")), "{out}");
    assert!(
        out.contains("✗ provider default/hook (slack) after ")
            && out.contains("request failed with status code 404")
    );
    assert!(!out.contains("T0SECRET"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_explained() {
    let lab = Lab::start().await;
    let generic = || json!({"type": "generic", "address": "http://127.0.0.1:1/", "timeout": "1s"});
    let github = json!({"type": "github", "address": "http://127.0.0.1:1/o/r", "timeout": "1s"});
    let comment =
        json!({"type": "giteapullrequestcomment", "address": "http://127.0.0.1:1/o/r", "timeout": "1s"});
    lab.alert("down", json!({}), generic()).await;
    lab.alert("suspended", json!({"suspend": true}), generic()).await;
    lab.alert(
        "provider",
        json!({}),
        json!({"type": "generic", "address": "http://127.0.0.1:1/", "suspend": true}),
    )
    .await;
    lab.alert("dangling", json!({"providerRef": {"name": "none"}}), generic()).await;
    lab.alert("commit", json!({}), github).await;
    lab.alert("comment", json!({}), comment).await;
    for (arguments, expected) in [
        (
            &["none"][..],
            "alert 'default/none' cannot be read: alerts.notification.toolkit.fluxcd.io \"none\" not found",
        ),
        (&["suspended"], "alert 'default/suspended' is suspended; resume it first"),
        (&["provider"], "provider 'default/provider' is suspended; resume it first"),
        (
            &["dangling"],
            "failed to read provider: Provider.notification.toolkit.fluxcd.io \"none\" not found",
        ),
        (
            &["commit"],
            "provider 'default/commit' needs the metadata \"commit\"; give it with --metadata commit=...",
        ),
        (
            &["comment"],
            "provider 'default/comment' needs the metadata \"change_request\"; give it with --metadata change_request=...",
        ),
    ] {
        let (code, out, err) = lab.test(arguments).await;
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(err.trim_end(), format!("✗ {expected}"), "{arguments:?}");
    }
    let (code, out, _) = lab.test(&["down"]).await;
    assert_eq!(code, 1);
    assert!(out.contains("Connection refused") && !out.contains("answered"), "{out}");
    let (code, out, _) = lab.test(&["commit", "--metadata", "commit=main@sha1:abc"]).await;
    assert_eq!(code, 1);
    assert!(out.contains("github token or github app details must be specified"), "{out}");
    let (code, _, err) = lab.test(&["down", "--severity", "fatal"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("[possible values: info, error]"), "{err}");
    let (code, _, err) = lab.test(&["down", "--metadata", "x"]).await;
    assert_eq!((code, err.contains("it must be KEY=VALUE")), (2, true), "{err}");
}
