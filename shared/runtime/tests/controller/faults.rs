//! The manager when things go wrong, or other managers are about.

use crate::support::{Cluster, options, start, until};
use fluxide_auth::{TokenCache, Unobserved};
use fluxide_runtime::{conditions, remote};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Secret, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_object_that_cannot_be_read_does_not_stop_the_others() {
    let cluster = Cluster::new().await;
    let wrong = json!({
        "apiVersion": "test.fluxide.dev/v1", "kind": "Thing",
        "metadata": {"name": "wrong"}, "spec": {"ends": 5},
    });
    let resource = kube::core::ApiResource::erase::<crate::support::Thing>(&());
    let things = Api::<kube::core::DynamicObject>::namespaced_with(
        cluster.client.clone(),
        &cluster.namespace,
        &resource,
    );
    let wrong = serde_json::from_value(wrong).unwrap();
    things.create(&PostParams::default(), &wrong).await.unwrap();
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("right", json!({"ends": "ready"})).await;
    cluster.wait_for("right", "Ready", "True", "Succeeded").await;
    let mend = Patch::Merge(json!({"spec": {"ends": "ready"}}));
    things.patch("wrong", &PatchParams::default(), &mend).await.unwrap();
    cluster.wait_for("wrong", "Ready", "True", "Succeeded").await;
    running.end().await;
}

#[tokio::test]
async fn a_kind_may_be_installed_later() {
    let cluster = Cluster::without_kind().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.install_kind().await;
    cluster.create("a", json!({"ends": "ready"})).await;
    cluster.wait_for("a", "Ready", "True", "Succeeded").await;
    running.end().await;
}

#[tokio::test]
async fn a_shard_sees_only_its_own_objects() {
    let cluster = Cluster::new().await;
    let mut shard = options(&cluster.namespace);
    shard.watch_label_selector = "sharding.fluxcd.io/key=shard1".into();
    let mut rest = options(&cluster.namespace);
    rest.watch_label_selector = "!sharding.fluxcd.io/key".into();
    let shard = start(cluster.client.clone(), shard).await;
    let rest = start(cluster.client.clone(), rest).await;
    cluster.create("mine", json!({"ends": "ready"})).await;
    cluster.wait_for("mine", "Ready", "True", "Succeeded").await;
    assert_eq!((shard.calls.reconciles(), rest.calls.reconciles()), (0, 1));

    let label = json!({"metadata": {"labels": {"sharding.fluxcd.io/key": "shard1"}}});
    cluster.merge("mine", label).await;
    until("the shard takes it over", || async { shard.calls.reconciles() == 1 }).await;
    until("the rest forgets it", || async { !rest.metrics().await.contains("name=\"mine\"") }).await;
    shard.end().await;
    rest.end().await;
}

#[tokio::test]
async fn shutdown_waits_for_running_passes_and_their_status() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("slow", json!({"ends": "slow"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    running.end().await;
    let thing = cluster.get("slow").await;
    assert_eq!(conditions::message(&thing, "Ready"), "slowly");
}

#[tokio::test]
async fn losing_the_lease_ends_the_process() {
    let cluster = Cluster::new().await;
    let mut options = options(&cluster.namespace);
    options.leader_election.enabled = true;
    options.leader_election.retry_period = "200ms".parse().unwrap();
    let running = start(cluster.client.clone(), options).await;
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), &cluster.namespace);
    let name = "thing-controller-leader-election";
    until("the lease is held", || async { leases.get_opt(name).await.unwrap().is_some() }).await;
    let thief = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 60}});
    leases.patch(name, &PatchParams::default(), &Patch::Merge(thief)).await.unwrap();
    let error = running.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "leader election lost");
    let lease = leases.get(name).await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some("thief"));
}

#[tokio::test]
async fn a_released_lease_has_no_holder() {
    let cluster = Cluster::new().await;
    let mut options = options(&cluster.namespace);
    options.leader_election.enabled = true;
    let running = start(cluster.client.clone(), options).await;
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), &cluster.namespace);
    let name = "thing-controller-leader-election";
    until("the lease is held", || async { leases.get_opt(name).await.unwrap().is_some() }).await;
    let held = leases.get(name).await.unwrap().spec.unwrap();
    assert_eq!((held.lease_duration_seconds, held.lease_transitions), (Some(35), Some(0)));
    until("the election is over", || async {
        running
            .metrics()
            .await
            .contains("leader_election_master_status{name=\"thing-controller-leader-election\"} 1")
    })
    .await;
    running.end().await;
    let released = leases.get(name).await.unwrap().spec.unwrap();
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
}

#[tokio::test]
async fn an_object_deleted_and_made_again_during_a_pass_is_a_new_object() {
    let cluster = Cluster::new().await;
    let running = start(cluster.client.clone(), options(&cluster.namespace)).await;
    cluster.create("x", json!({"ends": "slow"})).await;
    until("the pass runs", || async { running.calls.reconciles() == 1 }).await;
    cluster.merge("x", json!({"metadata": {"finalizers": null}})).await;
    let first = cluster.get("x").await.uid();
    cluster.delete("x").await;
    until("it is gone", || async { cluster.things().get_opt("x").await.unwrap().is_none() }).await;
    cluster.create("x", json!({"ends": "stall"})).await;
    let second = cluster.wait_for("x", "Stalled", "True", "InvalidSpec").await;
    assert_ne!(second.uid(), first);
    running.end().await;
}

#[tokio::test]
async fn work_goes_to_the_cluster_and_identity_an_object_asks_for() {
    let here = Cluster::new().await;
    let there = Cluster::new().await;
    let tokens = TokenCache::new(0, Duration::ZERO);
    let remotes = remote::Remotes::new("test", remote::RemotePolicy::default(), tokens);
    let client_for = |kube_config: Option<serde_json::Value>, account: Option<&'static str>| {
        let kube_config = kube_config.map(|value| serde_json::from_value(value).unwrap());
        let (client, namespace, remotes) = (here.client.clone(), here.namespace.clone(), remotes.clone());
        async move {
            let made =
                remotes.client_for(&client, &namespace, kube_config.as_ref(), account, &Unobserved).await;
            made.map(|remote| remote.client)
        }
    };

    let secret_ref = || Some(json!({"secretRef": {"name": "remote"}}));
    let missing = client_for(secret_ref(), None).await.err().unwrap().to_string();
    let ns = &here.namespace;
    assert_eq!(
        missing,
        format!("unable to read KubeConfig secret '{ns}/remote' error: secrets \"remote\" not found")
    );
    let secret = json!({"metadata": {"name": "remote"}, "stringData": {"value": there.kubeconfig()}});
    let secrets = Api::<Secret>::namespaced(here.client.clone(), ns);
    let secret = serde_json::from_value(secret).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let client = client_for(secret_ref(), None).await.unwrap();
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(client);
    assert!(namespaces.get_opt(&there.namespace).await.unwrap().is_some());

    let missing = client_for(None, Some("absent")).await.err().unwrap().to_string();
    assert_eq!(missing, format!("serviceaccount '{ns}/absent' not found"));
    let accounts = Api::<ServiceAccount>::namespaced(here.client.clone(), ns);
    let account = serde_json::from_value(json!({"metadata": {"name": "deployer"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let client = client_for(None, Some("deployer")).await.unwrap();
    assert!(client.apiserver_version().await.is_ok());
}
