//! A storm of events with a provider that is dead, and a storm of webhooks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fluxide_e2e::process::Process;
use fluxide_e2e::{Sink, wait};
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::lab::{Lab, Phase};

const NOTIFICATION: &str = "notification-controller";

/// How many posts are under way at once.
const PARALLEL: usize = 64;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// How many events.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// How many of them per second.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// How many alerts; each selects its share of the events by its message, and one of the providers.
    #[arg(long, default_value_t = 50)]
    alerts: usize,
    /// How many providers; the first never answers.
    #[arg(long, default_value_t = 10)]
    providers: usize,
    /// How many webhooks, after the events.
    #[arg(long, default_value_t = 5000)]
    webhooks: usize,
    /// How many of them per second.
    #[arg(long, default_value_t = 1000)]
    webhook_rate: u32,
    /// Kill the controller in the middle of the events and start it again.
    #[arg(long)]
    kill: bool,
    /// Keep the queue in memory only.
    #[arg(long)]
    no_queue: bool,
    /// The cluster to use instead of the embedded API server.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
}

/// Runs both storms and prints what became of them.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let lab = Lab::start(options.kubeconfig.as_ref()).await?;
    let sink = Sink::start().await?;
    for number in 0..options.providers {
        let path = if number == 0 { "/dead".to_owned() } else { format!("/{number}") };
        let spec = json!({"type": "generic", "address": sink.url(&path)});
        apply(&lab, "v1beta3", "Provider", &format!("provider-{number}"), spec).await?;
    }
    for number in 0..options.alerts {
        let spec = json!({"providerRef": {"name": format!("provider-{}", number % options.providers)},
            "inclusionList": [format!("^share {number}:")], "exclusionList": ["nothing like .* this"],
            "eventSources": [{"kind": "Kustomization", "name": "*"}]});
        apply(&lab, "v1beta3", "Alert", &format!("alert-{number}"), spec).await?;
    }
    let launcher = lab.launcher()?;
    let queue = format!("--delivery-queue-path={}", lab.home().join("queue").display());
    let flags: &[&str] = if options.no_queue { &[] } else { &[&queue] };
    let mut processes = [launcher.start(NOTIFICATION, flags)?];
    let address = format!("http://{}/", launcher.flag(NOTIFICATION, "--events-addr")?);
    let client = reqwest::Client::new();
    ready(&client, &address).await?;
    println!(
        "{} events, {}/s, {} alerts, {} providers of which one is dead, {} webhooks, {}/s",
        options.events,
        options.rate,
        options.alerts,
        options.providers,
        options.webhooks,
        options.webhook_rate
    );

    let namespace = lab.cluster.namespace.clone();
    let post = |number: usize| {
        let event = event(&namespace, number, options.alerts);
        let (client, address) = (client.clone(), address.clone());
        async move { client.post(&address).json(&event).send().await.is_ok_and(|answer| answer.status() == 202) }
    };
    let half = if options.kill { options.events / 2 } else { options.events };
    let phase = Phase::start("events", &processes)?;
    let mut sent = storm(0..half, options.rate, &post).await;
    if options.kill {
        // The end of the first half is still under way.
        let [process] = processes;
        process.kill()?;
        processes = [launcher.start(NOTIFICATION, flags)?];
        ready(&client, &address).await?;
        sent.merge(storm(half..options.events, options.rate, &post).await);
        println!("events, with the controller killed after {half}");
    } else {
        phase.end()?;
    }
    sent.print("events");
    let alive = |number: &usize| !(number % options.alerts).is_multiple_of(options.providers);
    let expected = sent.accepted.iter().filter(|number| alive(number)).count();
    let started = Instant::now();
    // Those of the process that was killed may be told twice.
    let told = || {
        let mut numbers: Vec<u64> =
            sink.received().iter().filter_map(|received| number_of(&received.body)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    };
    while told() < expected && started.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "  {} of {expected} accepted ones for living providers are told {:.1} s after the last event, {} more than once",
        told().min(expected),
        started.elapsed().as_secs_f64(),
        sink.count() - told(),
    );
    print_usage(&processes[0])?;
    anyhow::ensure!(told() >= expected, "{} are lost", expected - told());

    if options.webhooks > 0 {
        webhooks(&lab, &options, &launcher, &client, &processes).await?;
    }
    drop(processes);
    lab.stop().await
}

async fn webhooks(
    lab: &Lab,
    options: &Options,
    launcher: &fluxide_e2e::process::Launcher,
    client: &reqwest::Client,
    processes: &[Process],
) -> anyhow::Result<()> {
    let server = format!("http://{}", launcher.flag(NOTIFICATION, "--receiverAddr")?);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": "t"}});
    let secrets = api(lab, "", "v1", "Secret");
    secrets.patch("token", &PatchParams::apply("bench").force(), &Patch::Apply(&secret)).await?;
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "fleet"},
        "spec": {"interval": "1h", "url": "https://example.test/fleet.git", "suspend": true}});
    let sources = api(lab, "source.toolkit.fluxcd.io", "v1", "GitRepository");
    sources.patch("fleet", &PatchParams::apply("bench").force(), &Patch::Apply(&source)).await?;
    let spec = json!({"type": "generic", "secretRef": {"name": "token"}, "resourceFilter": "req.ref == 'refs/heads/main'",
        "resources": [{"kind": "GitRepository", "name": "fleet"}]});
    apply(lab, "v1", "Receiver", "hook", spec).await?;
    let receivers = api(lab, "notification.toolkit.fluxcd.io", "v1", "Receiver");
    let receiver = wait::until(&receivers, "hook", "ready", wait::is_ready).await?;
    let url = format!("{server}{}", receiver["status"]["webhookPath"].as_str().unwrap_or_default());
    let post = |_: usize| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let body = json!({"ref": "refs/heads/main"});
            client.post(&url).json(&body).send().await.is_ok_and(|answer| answer.status() == 200)
        }
    };
    let phase = Phase::start("webhooks", processes)?;
    let sent = storm(0..options.webhooks, options.webhook_rate, &post).await;
    phase.end()?;
    sent.print("webhooks");
    Ok(())
}

/// What became of posts.
struct Sent {
    accepted: Vec<usize>,
    failed: usize,
    took: Vec<Duration>,
}

impl Sent {
    fn merge(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.failed += other.failed;
        self.took.extend(other.took);
    }

    fn print(&self, what: &str) {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
        println!(
            "  {} {what} accepted, {} not; answered within {:.1} ms (half), {:.1} ms (99 of 100)",
            self.accepted.len(),
            self.failed,
            at(50).as_secs_f64() * 1e3,
            at(99).as_secs_f64() * 1e3,
        );
    }
}

/// Posts at a rate.
async fn storm<F: Future<Output = bool>>(
    numbers: std::ops::Range<usize>,
    rate: u32,
    post: &impl Fn(usize) -> F,
) -> Sent {
    let (start, first) = (tokio::time::Instant::now(), numbers.start);
    let late = Arc::new(AtomicUsize::new(0));
    let each = numbers.map(|number| {
        let due = start + Duration::from_secs_f64((number - first) as f64 / f64::from(rate));
        let late = late.clone();
        async move {
            if tokio::time::Instant::now() > due + Duration::from_secs(1) {
                late.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep_until(due).await;
            let began = Instant::now();
            (number, post(number).await, began.elapsed())
        }
    });
    let mut running = futures::stream::iter(each).buffer_unordered(PARALLEL);
    let mut sent = Sent { accepted: Vec::new(), failed: 0, took: Vec::new() };
    while let Some((number, accepted, took)) = running.next().await {
        sent.took.push(took);
        if accepted {
            sent.accepted.push(number);
        } else {
            sent.failed += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "  {:.0}/s, {} posts more than a second late",
        sent.took.len() as f64 / seconds,
        late.load(Ordering::Relaxed)
    );
    sent
}

async fn ready(client: &reqwest::Client, address: &str) -> anyhow::Result<()> {
    for _ in 0..600 {
        // Not an event; the answer shows that somebody listens.
        if client.post(address).body("x").send().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("notification-controller does not listen")
}

fn event(namespace: &str, number: usize, alerts: usize) -> Value {
    json!({
        "involvedObject": {"kind": "Kustomization", "namespace": namespace, "name": format!("app-{}", number % 997),
            "uid": number.to_string(), "apiVersion": "kustomize.toolkit.fluxcd.io/v1"},
        "severity": "info", "timestamp": "2026-08-01T10:00:00Z", "reason": "ReconciliationSucceeded",
        "message": format!("share {}: event {number}; {}", number % alerts, "Deployment/apps/web configured\n".repeat(10)),
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:0123456789abcdef0123456789abcdef01234567"},
        "reportingController": "kustomize-controller",
    })
}

fn number_of(body: &[u8]) -> Option<u64> {
    let event: Value = serde_json::from_slice(body).ok()?;
    event["involvedObject"]["uid"].as_str()?.parse().ok()
}

fn print_usage(process: &Process) -> anyhow::Result<()> {
    let usage = process.usage()?;
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    println!(
        "  {:.1} MiB resident, {:.1} MiB peak",
        mebibytes(usage.resident_kib),
        mebibytes(usage.peak_kib)
    );
    Ok(())
}

fn api(lab: &Lab, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let plural = if kind == "GitRepository" { "gitrepositories".to_owned() } else { resource.plural.clone() };
    Api::namespaced_with(
        lab.cluster.client.clone(),
        &lab.cluster.namespace,
        &ApiResource { plural, ..resource },
    )
}

async fn apply(lab: &Lab, version: &str, kind: &str, name: &str, spec: Value) -> anyhow::Result<()> {
    let object = json!({"apiVersion": format!("notification.toolkit.fluxcd.io/{version}"), "kind": kind,
        "metadata": {"name": name}, "spec": spec});
    let api = api(lab, "notification.toolkit.fluxcd.io", version, kind);
    api.patch(name, &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}
