//! Live drift correction, and what it saves.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::requests::{OBJECTS, requests};
use crate::world::{World, config_map};

const LIVE: &str = "--feature-gates=LiveDriftDetection=true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_hand_is_corrected_at_once() {
    let world = World::start_with(&[LIVE]).await;
    world
        .publish("main@sha1:1", &[("a.yaml", &config_map("a", "1")), ("b.yaml", &config_map("b", "1"))])
        .await;
    world.kustomization("app", json!({})).await;
    world.until_applied("app", "main@sha1:1").await;
    // The watches begin with the first pass that wants to know.
    world.reconcile("app").await;
    let config_maps = world.here("v1", "ConfigMap");
    for round in 0..3 {
        let started = Instant::now();
        world.edit(&config_maps, "a", json!({"data": {"key": format!("edited {round}")}})).await;
        world.until_in(&config_maps, "a", "corrected", |a| a["data"]["key"] == "1").await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    let started = Instant::now();
    world.delete(&config_maps, "b").await;
    world.until_in(&config_maps, "b", "created again", |b| b["data"]["key"] == "1").await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    world.until_event("app", "Progressing", "ConfigMap/apps/b created").await;

    // Suspended, it is left alone; other fields than ours are always left alone.
    world.kustomization("app", json!({"suspend": true})).await;
    world.edit(&config_maps, "a", json!({"data": {"key": "kept"}})).await;
    world.publish_as("other", "main@sha1:1", &[("c.yaml", &config_map("c", "1"))]).await;
    world.kustomization("other", json!({"sourceRef": {"kind": "GitRepository", "name": "other"}})).await;
    world.until_applied("other", "main@sha1:1").await;
    assert_eq!(world.get("v1", "ConfigMap", "a").await.unwrap()["data"]["key"], "kept");
    world.kustomization("app", json!({})).await;
    world.until_in(&config_maps, "a", "corrected", |a| a["data"]["key"] == "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_change_costs_no_request() {
    let world = World::start_with(&[LIVE, "--interval-jitter-percentage=0"]).await;
    world.publish("main@sha1:1", &[("a.yaml", OBJECTS)]).await;
    world.kustomization("app", json!({"wait": true, "interval": "1s", "timeout": "30s"})).await;
    let app = world.until_applied("app", "main@sha1:1").await;
    // Some passes may still find what the cluster made of the objects.
    let settled = world.until_quiet(Duration::from_secs(3)).await;
    let status = world.get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "app").await.unwrap();
    assert_eq!(settled, [] as [(String, u64); 0]);
    assert_eq!(status["status"]["lastAppliedRevision"], app["status"]["lastAppliedRevision"]);
    // And still a change is seen.
    let config_maps = world.here("v1", "ConfigMap");
    world
        .edit(&config_maps, "web", json!({"data": {"key": "edited"}, "metadata": {"labels": {"x": "y"}}}))
        .await;
    world.edit(&world.here("apps/v1", "Deployment"), "web", json!({"spec": {"replicas": 1}})).await;
    world
        .until_in(&world.here("apps/v1", "Deployment"), "web", "corrected", |web| {
            web["spec"]["replicas"] == 0
        })
        .await;
    assert!(!requests(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_kustomization_can_ask_for_it() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    world.kustomization("app", json!({})).await;
    let live =
        json!({"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/live-drift-detection": "enabled"}}});
    world.edit(&world.kustomizations(), "app", live).await;
    world.until_applied("app", "main@sha1:1").await;
    world.reconcile("app").await;
    let config_maps = world.here("v1", "ConfigMap");
    world.edit(&config_maps, "a", json!({"data": {"key": "edited"}})).await;
    world.until_in(&config_maps, "a", "corrected", |a| a["data"]["key"] == "1").await;
}
