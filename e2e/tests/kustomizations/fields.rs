//! What the specification makes of manifests before they are applied.

use fluxide_e2e::wait;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{config, failed, get, inventory, push, put, world, world_with_flags};

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_the_cluster_and_are_followed() -> anyhow::Result<()> {
    let optional = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: literal\n  annotations:\n    \
                    kustomize.toolkit.fluxcd.io/substitute: disabled\ndata:\n  value: ${city}\n";
    let text = "${city:=nowhere}-${street:0:4}-${quote}${number}${quote}-${unset:-default}";
    let (world, repository, first) =
        world(&[("a.yaml", &config("a", text)), ("literal.yaml", optional)]).await?;
    put(&world, "ConfigMap", "vars", json!({"city": "Berlin", "street": "one"})).await?;
    put(&world, "Secret", "secret-vars", json!({"street": "Secretstreet", "quote": "'"})).await?;
    let post_build = json!({"postBuild": {"substitute": {"number": "7"}, "substituteFrom": [
        {"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "secret-vars"},
        {"kind": "ConfigMap", "name": "absent", "optional": true}]}});
    world.kustomization("apps", "fleet", post_build.clone()).await?;
    world.applied("apps", &first).await?;
    let maps = world.api("v1", "ConfigMap");
    assert_eq!(get(&maps, "a").await?["data"]["value"], "Berlin-Secr-'7'-default");
    assert_eq!(get(&maps, "literal").await?["data"]["value"], "${city}");
    // It is labelled to be watched.
    put(&world, "ConfigMap", "vars", json!({"city": "Paris", "street": "one"})).await?;
    wait::until(&maps, "a", "in Paris", |a| a["data"]["value"] == "Paris-Secr-'7'-default").await?;

    repository.write("b.yaml", &config("b", "${nobody}"))?;
    let second = push(&world, &repository, "Unknown variable").await?;
    let message = failed(&world, "apps", "BuildFailed", &second).await?;
    assert!(
        message.starts_with(
            "post build failed for 'ConfigMap.v1.[noGrp]/b': envsubst error: variable substitution failed: "
        ) && message.contains("variable not set (strict mode): \"nobody\""),
        "{message}"
    );
    let missing = json!({"postBuild": {"substituteFrom": [{"kind": "Secret", "name": "absent"}]}});
    world.kustomization("apps", "fleet", missing).await?;
    let what = "without its Secret";
    wait::until(&world.kustomizations(), "apps", what, |object| {
        wait::condition(object, "Ready")["message"].as_str().is_some_and(|text| {
            text.contains("substitute from 'Secret/absent' error: secrets \"absent\" not found")
        })
    })
    .await?;
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_specification_changes_what_is_built() -> anyhow::Result<()> {
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n  selector:\n    \
               matchLabels: {app: web}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n      \
               - name: web\n        image: registry.test/web:1\n      - name: side\n        image: registry.test/side:1\n";
    let component =
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n";
    let (world, repository, first) = world(&[
        ("apps/kustomization.yaml", "resources: [web.yaml]\n"),
        ("apps/web.yaml", web),
        ("component/kustomization.yaml", component),
        ("component/extra.yaml", &config("extra", "1")),
    ])
    .await?;
    let namespace = world.cluster.namespace.clone();
    let spec = json!({
        "path": "./apps", "namePrefix": "a-", "nameSuffix": "-z",
        "commonMetadata": {"labels": {"team": "blue"}, "annotations": {"contact": "blue@example.test"}},
        "components": ["../component", "../absent"], "ignoreMissingComponents": true,
        "images": [{"name": "registry.test/web", "newName": "mirror.test/web", "newTag": "2"}],
        "patches": [
            {"patch": "- op: replace\n  path: /spec/replicas\n  value: 0\n", "target": {"kind": "Deployment", "name": "w.*"}},
            {"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  more: patched\n"}],
    });
    world.kustomization("apps", "fleet", spec.clone()).await?;
    let apps = world.applied("apps", &first).await?;
    assert_eq!(
        inventory(&apps),
        [format!("{namespace}_a-extra-z__ConfigMap"), format!("{namespace}_a-web-z_apps_Deployment")]
    );
    let web = get(&world.api("apps/v1", "Deployment"), "a-web-z").await?;
    assert_eq!(web["spec"]["replicas"], 0);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "mirror.test/web:2");
    assert_eq!(web["spec"]["template"]["spec"]["containers"][1]["image"], "registry.test/side:1");
    assert_eq!(web["metadata"]["labels"]["team"], "blue");
    assert_eq!(web["metadata"]["annotations"]["contact"], "blue@example.test");
    let extra = get(&world.api("v1", "ConfigMap"), "a-extra-z").await?;
    assert_eq!(extra["data"], json!({"value": "1", "more": "patched"}));

    // A missing component is an error unless it is said not to be.
    let mut strict = spec;
    strict["ignoreMissingComponents"] = false.into();
    world.kustomization("apps", "fleet", strict).await?;
    let second = push(&world, &repository, "The same again").await?;
    let message = failed(&world, "apps", "BuildFailed", &second).await?;
    assert!(message.contains("absent"), "{message}");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_files_arrive_plain_and_tampered_ones_never() -> anyhow::Result<()> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/sops/tests/corpus");
    let read = |path: &str| std::fs::read_to_string(format!("{corpus}/{path}"));
    let (secret, settings) = (read("files/res-pgp.enc.yaml")?, read("files/dotenv-age.enc.env")?);
    let kustomization = "resources: [secret.yaml]\nsecretGenerator:\n- name: generated\n  envs: [settings.env]\n  \
                         options: {disableNameSuffixHash: true}\n";
    let (world, repository, first) = world(&[
        ("kustomization.yaml", kustomization),
        ("secret.yaml", &secret),
        ("settings.env", &settings),
    ])
    .await?;
    let decryption = json!({"decryption": {"provider": "sops", "secretRef": {"name": "keys"}}});
    world.kustomization("sealed", "fleet", decryption).await?;
    let message = failed(&world, "sealed", "BuildFailed", &first).await?;
    assert!(message.contains("secrets \"keys\" not found"), "{message}");
    let keys = json!({"one.agekey": read("keys/age1.agekey")?, "two.asc": read("keys/pgp-a.asc")?});
    put(&world, "Secret", "keys", keys).await?;
    world.applied("sealed", &first).await?;
    let secrets = world.api("v1", "Secret");
    let applied = get(&secrets, "s").await?;
    assert_eq!(applied["data"]["password"], "aHVudGVyMg==");
    assert!(applied["sops"].is_null());
    assert_eq!(get(&secrets, "generated").await?["data"]["B"], "dHdvIHdvcmRz");

    // A label that was added after the file was sealed.
    repository.write("secret.yaml", &read("files/res-extra-label.enc.yaml")?)?;
    let second = push(&world, &repository, "Tampered").await?;
    let message = failed(&world, "sealed", "BuildFailed", &second).await?;
    assert!(message.contains("/secret.yaml: MAC mismatch"), "{message}");
    assert_eq!(get(&secrets, "s").await?, applied);
    // Without decryption, ciphertext is no Secret.
    world.kustomization("sealed", "fleet", json!({"prune": false})).await?;
    repository.write("secret.yaml", &secret)?;
    let third = push(&world, &repository, "As it was").await?;
    let message = failed(&world, "sealed", "ReconciliationFailed", &third).await?;
    assert!(message.contains("is SOPS encrypted, configuring decryption is required"), "{message}");
    world.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_others_are_sources_with_their_gate() -> anyhow::Result<()> {
    let gate = "--feature-gates=ExternalArtifact=true";
    let (world, _repository, first, processes) =
        world_with_flags(&[gate], &[("a.yaml", &config("a", "1"))]).await?;
    world.kustomization("plain", "fleet", json!({})).await?;
    world.applied("plain", &first).await?;
    let artifact = get(&world.git_repositories(), "fleet").await?["status"]["artifact"].clone();
    world
        .apply(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
            "metadata": {"name": "bundle"}, "spec": {}}))
        .await?;
    let external = world.api("source.toolkit.fluxcd.io/v1", "ExternalArtifact");
    let source = json!({"sourceRef": {"kind": "ExternalArtifact", "name": "bundle"}, "namePrefix": "from-"});
    world.kustomization("apps", "bundle", source).await?;
    wait::until(&world.kustomizations(), "apps", "waiting for the artifact", |object| {
        wait::condition(object, "Ready")["message"] == "Source artifact not found, retrying in 30s"
    })
    .await?;
    // The artifact is followed: no wait for the next look.
    let status = json!({"status": {"artifact": artifact}});
    external.patch_status("bundle", &PatchParams::default(), &Patch::Merge(&status)).await?;
    world.applied("apps", &first).await?;
    assert_eq!(get(&world.api("v1", "ConfigMap"), "from-a").await?["data"]["value"], "1");
    drop(processes);
    world.stop().await
}
