//! Kustomizations with encrypted files: what reaches the cluster is plain, and nothing that was tampered with does.

use serde_json::{Value, json};

use crate::world::{World, message};

fn corpus(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/sops/tests/corpus");
    std::fs::read_to_string(format!("{root}/{path}")).unwrap()
}

fn age_secret(identity: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "apps"},
        "stringData": {"one.agekey": corpus(&format!("keys/{identity}.agekey")), "notes": "not a key"}})
}

fn decryption() -> Value {
    json!({"decryption": {"provider": "sops", "secretRef": {"name": "keys"}}, "targetNamespace": "apps"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_generator_sources_arrive_plain() {
    let world = World::start().await;
    let (secret, settings) = (corpus("files/res-extra-label.enc.yaml"), corpus("files/dotenv-age.enc.env"));
    let kustomization = "resources: [secret.yaml]\nsecretGenerator:\n- name: generated\n  envs: [settings.env]\n  \
                         options: {disableNameSuffixHash: true}\n";
    world
        .publish(
            "main@sha1:1",
            &[("kustomization.yaml", kustomization), ("secret.yaml", &secret), ("settings.env", &settings)],
        )
        .await;
    world.apply(age_secret("age1")).await;
    // The label was added after the file was encrypted, which its seal covers.
    world.kustomization("sealed", decryption()).await;
    let sealed = world.until_failed("sealed", "BuildFailed").await;
    assert!(
        message(&sealed, "Ready").contains("/secret.yaml: MAC mismatch"),
        "{}",
        message(&sealed, "Ready")
    );

    let pristine = corpus("files/res-pgp.enc.yaml");
    let mut keys = age_secret("age1");
    keys["stringData"]["two.asc"] = corpus("keys/pgp-a.asc").into();
    world.apply(keys).await;
    world
        .publish(
            "main@sha1:2",
            &[("kustomization.yaml", kustomization), ("secret.yaml", &pristine), ("settings.env", &settings)],
        )
        .await;
    world.until_applied("sealed", "main@sha1:2").await;
    let secret = world.get("v1", "Secret", "s").await.unwrap();
    assert_eq!(secret["data"]["password"], "aHVudGVyMg==");
    assert_eq!(secret["sops"], Value::Null);
    let generated = world.get("v1", "Secret", "generated").await.unwrap();
    assert_eq!(generated["data"]["B"], "dHdvIHdvcmRz");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_is_said_without_secrets() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("secret.yaml", &corpus("files/res-whole-encrypted.enc.yaml"))]).await;
    world.kustomization("app", decryption()).await;
    let missing = world.until_failed("app", "BuildFailed").await;
    assert_eq!(message(&missing, "Ready"), "secrets \"keys\" not found");

    world.apply(age_secret("age3")).await;
    let text = "Group 0: FAILED";
    let refused = world.until("app", "refused", |app| message(app, "Ready").contains(text)).await;
    assert!(!refused.to_string().contains("AGE-SECRET-KEY"), "{refused}");
    assert!(world.get("v1", "Secret", "s").await.is_none());
}
