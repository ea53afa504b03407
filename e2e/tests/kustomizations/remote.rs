//! Kustomizations whose objects go to a cluster that is described elsewhere.

use fluxide_e2e::{Setup, wait};
use serde_json::{Value, json};

use crate::{CONTROLLER, config, failed, push, put, world, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_trusts_tokens_of_a_service_account() -> anyhow::Result<()> {
    let setup = Setup { no_controllers: true, ..Setup::default() };
    let (world, _repository, first) = world_with(setup, &[("a.yaml", &config("a", "1"))]).await?;
    let launcher = world.launcher(CONTROLLER)?;
    let flags = ["--feature-gates=ObjectLevelWorkloadIdentity=true"];
    let source = launcher.start("source-controller", &[])?;
    let kustomize = launcher.start("kustomize-controller", &flags)?;
    let namespace = world.cluster.namespace.clone();
    world
        .apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "remote"}}))
        .await?;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&world.cluster.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    let address = config.cluster_url.to_string();
    let authority = config.root_cert.unwrap_or_default().iter().map(|der| pem(der)).collect::<String>();
    let data = |more: Value| {
        let mut data = json!({"provider": "generic", "address": address, "ca.crt": authority,
            "serviceAccountName": "remote", "audiences": "https://kubernetes.default.svc"});
        data.as_object_mut()
            .into_iter()
            .for_each(|data| data.extend(more.as_object().cloned().unwrap_or_default()));
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster"}, "data": data})
    };
    world.apply(data(json!({"provider": "nonsense"}))).await?;
    world
        .kustomization("apps", "fleet", json!({"kubeConfig": {"configMapRef": {"name": "cluster"}}}))
        .await?;
    let failing = |text: String| {
        let api = world.kustomizations();
        async move {
            let what = format!("failing with {text}");
            wait::until(&api, "apps", &what, |object| {
                wait::condition(object, "Ready")["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(&text))
            })
            .await
        }
    };
    failing("provider 'nonsense' not implemented".to_owned()).await?;
    world.apply(data(json!({"address": "http://remote.test"}))).await?;
    failing("must use https scheme".to_owned()).await?;
    // The token is good, but its account may do nothing there yet.
    world.apply(data(json!({}))).await?;
    failing(format!("User \"system:serviceaccount:{namespace}:remote\" cannot")).await?;
    world
        .apply(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "remote"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "remote", "namespace": namespace}]}))
        .await?;
    world.applied("apps", &first).await?;
    drop((source, kustomize));
    world.stop().await
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_a_kubeconfig() -> anyhow::Result<()> {
    let (world, repository, first) = world(&[("a.yaml", &config("a", "1"))]).await?;
    let namespace = world.cluster.namespace.clone();
    let reference = |more: Value| json!({"kubeConfig": {"secretRef": more}});
    world.kustomization("apps", "fleet", reference(json!({"name": "cluster"}))).await?;
    let message = failed(&world, "apps", "ReconciliationFailed", &first).await?;
    let expected = format!(
        "unable to read KubeConfig secret '{namespace}/cluster' error: secrets \"cluster\" not found"
    );
    assert_eq!(message, expected);
    put(&world, "Secret", "cluster", json!({"other": world.cluster.kubeconfig})).await?;
    let message = wait::until(&world.kustomizations(), "apps", "without a key", |object| {
        wait::condition(object, "Ready")["message"]
            .as_str()
            .is_some_and(|text| text.contains("does not contain"))
    })
    .await?;
    assert_eq!(
        wait::condition(&message, "Ready")["message"],
        format!("KubeConfig secret '{namespace}/cluster' does not contain a 'value' key with a kubeconfig")
    );
    // The Secret is watched: once it has the default key, nobody need wait.
    put(&world, "Secret", "cluster", json!({"value.yaml": world.cluster.kubeconfig})).await?;
    world.applied("apps", &first).await?;
    world.kustomization("apps", "fleet", reference(json!({"name": "cluster", "key": "other"}))).await?;
    put(&world, "Secret", "cluster", json!({"other": world.cluster.kubeconfig})).await?;
    repository.write("a.yaml", &config("a", "2"))?;
    let second = push(&world, &repository, "Second").await?;
    world.applied("apps", &second).await?;

    // Programs are not started for anybody.
    let marker = world.process_home().join("started");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": "touch", "args": [marker], "interactiveMode": "Never"}}}]});
    put(&world, "Secret", "cluster", json!({"other": kubeconfig.to_string()})).await?;
    repository.write("a.yaml", &config("a", "3"))?;
    let third = push(&world, &repository, "Third").await?;
    failed(&world, "apps", "ReconciliationFailed", &third).await?;
    assert!(!marker.exists());
    world.kustomization("apps", "fleet", json!({"deletionPolicy": "Orphan"})).await?;
    world.stop().await
}
