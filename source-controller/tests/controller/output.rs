//! What the controller logs and counts while the recorded scenario is played again.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use fluxide_runtime::log::{self, Encoding, LogLayer};
use serde_json::{Map, Value};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use crate::recorded::Play;
use crate::world::World;

static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();

/// Collects the log of this process from now on, as at `--log-level=debug`.
pub fn collect_log() {
    LINES.get_or_init(Mutex::default);
    let write = |line: &str| lines().push(line.to_owned());
    let layer = LogLayer::new(Encoding::Json, write)
        .with_filter(filter_fn(|metadata| log::enabled("debug", metadata)));
    tracing_subscriber::registry().with(layer).init();
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.get().unwrap().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every line that was recorded is logged here too, with the same level, fields and values.
pub fn compare_log(play: &Play<'_>) {
    let found: BTreeSet<String> =
        lines().iter().map(|line| comparable(&serde_json::from_str(line).unwrap())).collect();
    let mut missing = Vec::new();
    let mut compared = 0;
    for line in play.text("logs.jsonl").lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        if needs_more_than_this_run(&recorded) || (!play.has_ssh() && line.contains("ssh")) {
            continue;
        }
        let recorded = comparable(&recorded);
        match found.contains(&recorded) {
            true => compared += 1,
            false => missing.push(recorded),
        }
    }
    let of_this = |line: &&String| line.contains("\"git\"");
    assert!(
        missing.is_empty(),
        "not logged:\n{}\n\nlogged:\n{}",
        missing.join("\n"),
        found.iter().filter(of_this).cloned().collect::<Vec<_>>().join("\n")
    );
    println!("{compared} log lines are as recorded");
    assert!(compared >= 50, "{compared}");
}

/// A run in a test elects no leader, and its ports are others each time.
fn needs_more_than_this_run(line: &Value) -> bool {
    line.get("lock").is_some() || line.get("addr").is_some() || line.get("bindAddress").is_some()
}

/// A line without what is another one each time.
fn comparable(line: &Value) -> String {
    let mut line: Map<String, Value> = line.as_object().unwrap().clone();
    for volatile in ["ts", "reconcileID", "stacktrace"] {
        line.remove(volatile);
    }
    if let Some(object) = line.get_mut("object").and_then(Value::as_object_mut) {
        object.remove("uid");
        object.remove("resourceVersion");
    }
    Value::Object(line).to_string()
}

/// Every series about GitRepositories that was recorded is here too, and none about an object that was not.
pub async fn compare_metrics(play: &Play<'_>, world: &World) {
    let text = world.metrics().await;
    let name = |line: &str| line.rsplit_once(' ').map(|(series, _)| series.to_owned());
    let ours: BTreeSet<String> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect();
    let recorded = play.text("metrics.txt");
    let of_missing_server = |line: &&str| play.has_ssh() || !line.contains("ssh");
    let recorded: BTreeSet<&str> = recorded.lines().filter(of_missing_server).collect();
    let missing: Vec<&&str> = recorded.iter().filter(|series| !ours.contains(**series)).collect();
    assert!(missing.is_empty(), "not counted: {missing:#?}\n{text}");
    let durations = |series: &&String| {
        series.starts_with("gotk_reconcile_duration_seconds_count") && series.contains("namespace=\"git\"")
    };
    let more: Vec<&String> =
        ours.iter().filter(durations).filter(|series| !recorded.contains(series.as_str())).collect();
    assert!(more.is_empty(), "counted though it is gone: {more:#?}");
    println!("{} series are as recorded", recorded.len());
    assert!(recorded.len() >= 400);
}
