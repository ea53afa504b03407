//! What a tenant may send to keep the controller busy, full or down. It says what is wrong and works on for the others.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{World, condition, config_map, inventory, message};

/// How long any of it may hold the controller up.
const SOON: Duration = Duration::from_secs(20);

async fn refused(world: &World, name: &str, spec: Value, reason: &str, wanted: &str) {
    let started = Instant::now();
    world.kustomization(name, spec).await;
    let object = world.until_failed(name, reason).await;
    let text = message(&object, "Ready");
    assert!(text.contains(wanted), "{name}: {text:.2000}");
    assert!(text.len() <= 32_768, "{name}: {}", text.len());
    assert!(started.elapsed() < SOON, "{name}: {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused() {
    let world = World::start().await;
    let nested = format!("{}x{}", "${a:=".repeat(5000), "}".repeat(5000));
    let mut laughs = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n",
    );
    for level in 1..12 {
        let previous = level - 1;
        let _ = writeln!(laughs, "x{level}: &x{level} [{}]", vec![format!("*x{previous}"); 9].join(","));
    }
    let deep = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {}{}\n",
        "{a: ".repeat(20_000),
        "}".repeat(20_000)
    );
    let itself = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: &a {b: *a}\n";
    let wide = config_map("wide", &"${big}".repeat(200));
    world
        .publish(
            "main@sha1:1",
            &[
                ("nested/a.yaml", &config_map("a", &nested)),
                ("wide/a.yaml", &wide),
                ("laughs/a.yaml", &laughs),
                ("deep/a.yaml", &deep),
                ("itself/a.yaml", itself),
                ("bases/kustomization.yaml", "resources: [../bases]\n"),
                ("good/a.yaml", &config_map("good", "1")),
            ],
        )
        .await;
    let at = |path: &str| json!({"path": format!("./{path}")});
    let mut nested = at("nested");
    nested["postBuild"] = json!({"substitute": {"b": "1"}});
    refused(&world, "nested", nested, "BuildFailed", "post build failed for 'ConfigMap.v1.[noGrp]/a'").await;
    // Five references to 900 kB each, two hundred times.
    for part in 0..5 {
        world
            .apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("big-{part}"), "namespace": "apps"},
                "data": {"big": "x".repeat(900_000)}}))
            .await;
    }
    let from: Vec<Value> =
        (0..5).map(|part| json!({"kind": "ConfigMap", "name": format!("big-{part}")})).collect();
    let mut wide = at("wide");
    wide["postBuild"] = json!({"substituteFrom": from});
    refused(&world, "wide", wide, "BuildFailed", "post build failed for 'ConfigMap.v1.[noGrp]/wide'").await;
    refused(&world, "laughs", at("laughs"), "BuildFailed", "/laughs/a.yaml").await;
    refused(&world, "deep", at("deep"), "BuildFailed", "/deep/a.yaml").await;
    refused(&world, "itself", at("itself"), "BuildFailed", "/itself/a.yaml").await;
    refused(&world, "bases", at("bases"), "BuildFailed", "cycle").await;
    world.kustomization("good", at("good")).await;
    world.until_applied("good", "main@sha1:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_that_never_end_are_refused() {
    let world = World::start().await;
    world.publish("main@sha1:1", &[("a.yaml", &config_map("a", "1"))]).await;
    let list = format!("[{}]", vec!["1"; 200].join(","));
    let squared = format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > 0)))");
    let long = format!("{}true", "true && ".repeat(100_000));
    let started = Instant::now();
    let checks = |current: &str| json!({"wait": true, "timeout": "30s", "healthCheckExprs": [{"apiVersion": "v1", "kind": "ConfigMap", "current": current}]});
    world.kustomization("long", checks(&long)).await;
    world.until_failed("long", "InvalidCELExpression").await;
    world.kustomization("squared", checks(&squared)).await;
    let squared_app = world
        .until("squared", "refused", |app| {
            condition(app, "Ready").is_some_and(|ready| ready["status"] == "False")
        })
        .await;
    let text = message(&squared_app, "Ready");
    assert!(text.len() < 33_000, "{}", text.len());
    let dependency = json!({"dependsOn": [{"name": "squared", "readyExpr": squared}]});
    world.kustomization("dependent", dependency).await;
    world
        .until("dependent", "refused", |app| {
            condition(app, "Ready").is_some_and(|ready| ready["status"] == "False")
        })
        .await;
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_files_have_a_limit() {
    let world = World::start().await;
    let huge = format!("data: {}\nsops:\n  mac: ENC[x]\n", "x".repeat(5_300_000));
    let kustomization = "secretGenerator:\n- name: s\n  files: [huge.yaml]\n";
    world.publish("main@sha1:1", &[("kustomization.yaml", kustomization), ("huge.yaml", &huge)]).await;
    let size = huge.len();
    let wanted = format!("cannot decrypt file with size ({size} bytes) exceeding limit (5242880)");
    refused(&world, "huge", json!({"decryption": {"provider": "sops"}}), "BuildFailed", &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_may_be_as_long_as_they_can() {
    let world = World::start().await;
    let longest = format!("{}z", "a.".repeat(126));
    assert_eq!(longest.len(), 253);
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: \"system:{}\"\nrules: []\n",
        "r_".repeat(100)
    );
    world.publish("main@sha1:1", &[("a.yaml", &config_map(&longest, "1")), ("role.yaml", &role)]).await;
    let name = "k".repeat(63);
    world.kustomization(&name, json!({})).await;
    let app = world.until_applied(&name, "main@sha1:1").await;
    assert_eq!(
        inventory(&app),
        [
            format!("apps_system__{}_rbac.authorization.k8s.io_Role", "r_".repeat(100)),
            format!("apps_{longest}__ConfigMap")
        ]
    );
    // Removed again by these ids.
    world.publish("main@sha1:2", &[("b.yaml", &config_map("b", "1"))]).await;
    world.until_applied(&name, "main@sha1:2").await;
    world.until_gone(&world.here("v1", "ConfigMap"), &longest).await;
    let role = format!("system:{}", "r_".repeat(100));
    world.until_gone(&world.here("rbac.authorization.k8s.io/v1", "Role"), &role).await;
    // The name of a Kustomization is the value of a label on its objects, which is shorter than a name may be.
    let too_long = "k".repeat(64);
    world.kustomization(&too_long, json!({})).await;
    let app = world.until_failed(&too_long, "ReconciliationFailed").await;
    assert!(message(&app, "Ready").contains("must be no more than 63"), "{}", message(&app, "Ready"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_objects_of_one_kustomization() {
    const COUNT: usize = 2000;
    let world = World::start().await;
    let all = |value: &str| {
        (0..COUNT).map(|n| config_map(&format!("c-{n:05}"), value)).collect::<Vec<_>>().join("---\n")
    };
    world.publish("main@sha1:1", &[("all.yaml", &all("1"))]).await;
    world.kustomization("many", json!({"wait": true, "timeout": "5m"})).await;
    let app = world.until_applied("many", "main@sha1:1").await;
    assert_eq!(inventory(&app).len(), COUNT);
    assert!(world.events("many").await.iter().all(|(_, message)| message.len() < 100_000));
    // What is removed is pruned, all of it.
    world.publish("main@sha1:2", &[("one.yaml", &config_map("c-00000", "1"))]).await;
    let app = world.until_applied("many", "main@sha1:2").await;
    assert_eq!(inventory(&app), ["apps_c-00000__ConfigMap"]);
    let left = world.here("v1", "ConfigMap").list(&Default::default()).await.unwrap();
    assert_eq!(
        left.items.iter().filter(|map| map.metadata.name.as_ref().unwrap().starts_with("c-")).count(),
        1
    );
}
