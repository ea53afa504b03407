//! Objects that Flux left behind: what needs nothing is not written to, and the rest goes on as after Flux's own restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::recorded::{Play, Servers, comparable, corpus, name_of, untimed};
use crate::world::{DEADLINE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_artifacts_are_taken_over_without_a_write() {
    let servers = Servers::start().await;
    let mut world = World::without_controller("git", &[]).await;
    {
        let play = Play::new(&servers, &world);
        play.secrets().await;
        for object in play.documents("objects/01-ready.yaml") {
            if name_of(&object) != "default-branch" {
                restore(&world, object).await;
            }
        }
        copy_artifacts(&play, &corpus("artifacts/gitrepository"), world.storage.path());
    }
    let before = versions(&world).await;
    assert!(before.len() >= 10, "{before:?}");
    servers.http.requests();
    world.start_controller().await;
    let names: Vec<&String> = before.keys().filter(|name| *name != "suspended").collect();
    until(&world, "looked at", |events| {
        names.iter().all(|name| {
            events
                .iter()
                .any(|e| e["involvedObject"]["name"] == **name && e["reason"] == "GitOperationSucceeded")
        })
    })
    .await;
    assert_eq!(versions(&world).await, before);
    let requests = servers.http.requests();
    assert!(!requests.iter().any(|r| r.contains("command=fetch")), "{requests:?}");
    assert_eq!(*world.posts.lock().unwrap(), Vec::<String>::new());

    // A second pass, asked for, writes that it was done and nothing else.
    let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    world.edit("git", "branch", "flux", patch).await;
    let api = world.repositories("git");
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        let object = serde_json::to_value(api.get("branch").await.unwrap()).unwrap();
        if object["status"]["lastHandledReconcileAt"] == "now" {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{object:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.stop_controller().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_objects_go_on_as_after_a_restart() {
    let servers = Servers::start().await;
    servers.set_main("977631f742abda45cd69acb756be7ccaa7714d8c");
    let mut world = World::without_controller("git", &[]).await;
    let mut recorded: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut initial: BTreeMap<String, Value> = BTreeMap::new();
    {
        let play = Play::new(&servers, &world);
        play.secrets().await;
        for object in play.documents("restart/before.yaml") {
            // What it includes is not here.
            if name_of(&object) != "include" {
                initial.insert(name_of(&object), comparable(&object));
                restore(&world, object).await;
            }
        }
        for line in play.text("restart/api-writes.jsonl").lines() {
            let write: Value = serde_json::from_str(line).unwrap();
            let uri = write["uri"].as_str().unwrap();
            let name = uri.split("/gitrepositories/").nth(1).unwrap().split(['/', '?']).next().unwrap();
            let conditions = &write["body"]["status"]["conditions"];
            if initial.contains_key(name) && write["code"] == 200 && conditions.is_array() {
                recorded.entry(name.to_owned()).or_default().push(untimed(conditions));
            }
        }
    }
    assert!(recorded.len() >= 14, "{:?}", recorded.keys());
    world.start_controller().await;
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        let seen = states(&world, &initial);
        let open: Vec<&String> = recorded
            .iter()
            .filter(|(name, expected)| seen.get(*name).is_none_or(|found| !found.starts_with(expected)))
            .map(|(name, _)| name)
            .collect();
        if open.is_empty() {
            break;
        }
        if tokio::time::Instant::now() > end {
            for name in &open {
                println!("{name}: recorded {:#?}\nhere {:#?}", recorded[*name], seen.get(*name));
            }
            panic!("other writes than Flux makes: {open:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.stop_controller().await;
}

/// Creates an object as Flux left it.
async fn restore(world: &World, object: Value) {
    let mut created = object.clone();
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        created["metadata"].as_object_mut().unwrap().remove(key);
    }
    let status = created.as_object_mut().unwrap().remove("status");
    let api = world.repositories("git");
    let created = serde_json::from_value(created).unwrap();
    api.create(&PostParams::default(), &created).await.unwrap();
    let Some(status) = status else {
        return;
    };
    let params =
        PatchParams { field_manager: Some("source-controller".to_owned()), ..PatchParams::default() };
    let patch = json!({ "status": status });
    api.patch_status(&name_of(&object), &params, &Patch::Merge(&patch)).await.unwrap();
}

/// What was written to each object since the beginning.
fn states(world: &World, initial: &BTreeMap<String, Value>) -> BTreeMap<String, Vec<Value>> {
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for object in world.history.lock().unwrap().iter() {
        let states = seen.entry(name_of(object)).or_default();
        let conditions = untimed(&object["status"]["conditions"]);
        let first = &initial[&name_of(object)]["status"]["conditions"];
        let repeated = states.last().map_or(conditions == *first, |last| *last == conditions);
        if conditions.is_array() && !repeated {
            states.push(conditions);
        }
    }
    seen
}

async fn versions(world: &World) -> BTreeMap<String, String> {
    let list = world.repositories("git").list(&Default::default()).await.unwrap();
    let version = |object: kube::api::DynamicObject| {
        (object.metadata.name.unwrap(), object.metadata.resource_version.unwrap())
    };
    list.items.into_iter().map(version).collect()
}

async fn until(world: &World, what: &str, condition: impl Fn(&[Value]) -> bool) {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        let events = world.events("git").await;
        if condition(&events) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "not {what}: {events:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Copies the recorded files to where the objects of this run say they are.
fn copy_artifacts(play: &Play<'_>, from: &Path, storage: &Path) {
    for namespace in std::fs::read_dir(from).unwrap() {
        for owner in std::fs::read_dir(namespace.unwrap().path()).unwrap() {
            let owner = owner.unwrap();
            let to = storage.join("gitrepository/git").join(owner.file_name());
            std::fs::create_dir_all(&to).unwrap();
            for file in std::fs::read_dir(owner.path()).unwrap() {
                let file = file.unwrap();
                let name = play.replaced(file.file_name().to_str().unwrap());
                std::fs::copy(file.path(), to.join(name)).unwrap();
            }
        }
    }
}
