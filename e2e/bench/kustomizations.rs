//! Many Kustomizations of one GitRepository, each with a Deployment (no replicas), a Service, a ConfigMap and a ServiceAccount.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use fluxide_e2e::{Repository, wait};
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::lab::{Lab, Phase};

/// How long a phase may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(600);

/// How many requests of the benchmark itself are under way at once.
const PARALLEL: usize = 20;

/// How to measure.
#[derive(clap::Args)]
pub struct Options {
    /// How many Kustomizations.
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// How many more ConfigMaps each of them has.
    #[arg(long, default_value_t = 0)]
    more: usize,
    /// How many of them the controller works on at once.
    #[arg(long, default_value_t = 20)]
    concurrent: usize,
    /// The cluster to use instead of the embedded API server.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The interval of the Kustomizations.
    #[arg(long, default_value = "1h")]
    interval: String,
    /// Turn live drift correction on.
    #[arg(long)]
    live: bool,
    /// Leave out the phase in which everything changes.
    #[arg(long)]
    unchanged: bool,
    /// Afterwards look on for so many seconds: what do passes at their interval cost?
    #[arg(long)]
    idle: Option<u64>,
    /// Print the requests of kustomize-controller by verb and resource (embedded API server only).
    #[arg(long)]
    requests: bool,
}

/// Runs the three phases and prints what each took.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let lab = Lab::start(options.kubeconfig.as_ref()).await?;
    let repository = lab.repository("fleet").await?;
    write(&repository, &options, "first")?;
    let first = repository.push("First").await?;
    let sources = api(&lab, "source.toolkit.fluxcd.io", "GitRepository");
    let kustomizations = api(&lab, "kustomize.toolkit.fluxcd.io", "Kustomization");
    let launcher = lab.launcher()?;
    let concurrent = format!("--concurrent={}", options.concurrent);
    let live = format!("--feature-gates=LiveDriftDetection={}", options.live);
    let processes = [
        launcher.start("source-controller", &[])?,
        launcher.start("kustomize-controller", &[&concurrent, &live])?,
    ];
    tokio::time::sleep(Duration::from_secs(2)).await;
    let objects = 4 + options.more;
    println!("{} Kustomizations, {objects} objects each, --concurrent={}", options.count, options.concurrent);

    lab.reset_requests();
    let phase = Phase::start("first pass", &processes)?;
    apply(
        &sources,
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "fleet"},
        "spec": {"interval": "1h", "url": repository.url(), "ref": {"branch": "main"}}}),
    )
    .await?;
    let each = |number: usize| {
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": format!("app-{number}")},
            "spec": {"interval": options.interval, "timeout": "5m", "prune": true, "wait": true, "path": format!("./apps/app-{number}"),
                "targetNamespace": lab.cluster.namespace, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}})
    };
    parallel((0..options.count).map(|number| apply(&kustomizations, each(number)))).await?;
    until_all(&kustomizations, options.count, |object| {
        wait::is_ready(object) && object["status"]["lastAppliedRevision"] == first.as_str()
    })
    .await?;
    phase.end()?;
    report(&lab, &options);

    let phase = Phase::start("nothing changed", &processes)?;
    let now = jiff::Timestamp::now().to_string();
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
    let asked = (0..options.count).map(|number| {
        let (api, patch) = (kustomizations.clone(), Patch::Merge(request.clone()));
        async move {
            api.patch_metadata(&format!("app-{number}"), &PatchParams::default(), &patch).await?;
            Ok(())
        }
    });
    parallel(asked).await?;
    until_all(&kustomizations, options.count, |object| {
        wait::is_ready(object) && object["status"]["lastHandledReconcileAt"] == now.as_str()
    })
    .await?;
    phase.end()?;
    report(&lab, &options);

    if !options.unchanged {
        write(&repository, &options, "second")?;
        let second = repository.push("Second").await?;
        let phase = Phase::start("everything changed", &processes)?;
        sources.patch_metadata("fleet", &PatchParams::default(), &Patch::Merge(request)).await?;
        until_all(&kustomizations, options.count, |object| {
            wait::is_ready(object) && object["status"]["lastAppliedRevision"] == second.as_str()
        })
        .await?;
        phase.end()?;
        report(&lab, &options);
    }

    if let Some(seconds) = options.idle {
        let name = format!("{seconds} s at an interval of {}, live: {}", options.interval, options.live);
        let phase = Phase::start(&name, &processes)?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        phase.end()?;
        report(&lab, &options);
    }
    drop(processes);
    lab.stop().await
}

fn report(lab: &Lab, options: &Options) {
    if let Some(requests) = lab.requests("kustomize-controller") {
        println!(
            "  {requests} requests of kustomize-controller, {:.1} each",
            requests as f64 / options.count as f64
        );
    }
    if options.requests {
        for (kind, count) in lab.requests_by_kind("kustomize-controller") {
            println!("    {count:>6} {kind}");
        }
    }
    lab.reset_requests();
}

fn write(repository: &Repository, options: &Options, label: &str) -> anyhow::Result<()> {
    for number in 0..options.count {
        let directory = format!("apps/app-{number}");
        let name = format!("app-{number}");
        let meta = format!("metadata:\n  name: {name}\n  labels:\n    app: {name}\n    edition: {label}\n");
        repository.write(
            &format!("{directory}/deployment.yaml"),
            &format!(
                "apiVersion: apps/v1\nkind: Deployment\n{meta}spec:\n  replicas: 0\n  selector:\n    matchLabels:\n      app: {name}\n  \
                 template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      \
                 - name: app\n        image: ghcr.io/example/app:1.0.0\n        ports:\n        - containerPort: 8080\n        resources:\n          \
                 limits:\n            memory: 64Mi\n"
            ),
        )?;
        repository.write(
            &format!("{directory}/service.yaml"),
            &format!(
                "apiVersion: v1\nkind: Service\n{meta}spec:\n  selector:\n    app: {name}\n  ports:\n  - port: 80\n    targetPort: 8080\n"
            ),
        )?;
        repository.write(
            &format!("{directory}/configmap.yaml"),
            &format!("apiVersion: v1\nkind: ConfigMap\n{meta}data:\n  number: \"{number}\"\n"),
        )?;
        repository.write(
            &format!("{directory}/serviceaccount.yaml"),
            &format!("apiVersion: v1\nkind: ServiceAccount\n{meta}"),
        )?;
        let mut kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- deployment.yaml\n- service.yaml\n- configmap.yaml\n- serviceaccount.yaml\n".to_owned();
        if options.more > 0 {
            kustomization.push_str("- more.yaml\n");
            let more = (0..options.more).map(|more| {
                format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-{more}\ndata:\n  edition: {label}\n")
            });
            repository.write(&format!("{directory}/more.yaml"), &more.collect::<String>())?;
        }
        repository.write(&format!("{directory}/kustomization.yaml"), &kustomization)?;
    }
    Ok(())
}

fn api(lab: &Lab, group: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(lab.cluster.client.clone(), &lab.cluster.namespace, &resource)
}

async fn apply(api: &Api<DynamicObject>, object: Value) -> anyhow::Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}

async fn parallel(
    work: impl Iterator<Item = impl Future<Output = anyhow::Result<()>>>,
) -> anyhow::Result<()> {
    let mut running = futures::stream::iter(work).buffer_unordered(PARALLEL);
    while let Some(result) = running.next().await {
        result?;
    }
    Ok(())
}

/// Watches until `count` objects meet `condition`.
async fn until_all(
    api: &Api<DynamicObject>,
    count: usize,
    condition: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let mut met: HashMap<String, bool> = HashMap::new();
    let mut last = Value::Null;
    let mut events = std::pin::pin!(watcher(api.clone(), watcher::Config::default()));
    let end = tokio::time::Instant::now() + STUCK;
    while let Ok(event) = tokio::time::timeout_at(end, events.next()).await {
        let Some(event) = event else { break };
        let (watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event? else { continue };
        let name = object.metadata.name.clone().unwrap_or_default();
        let value = serde_json::to_value(&object)?;
        let holds = condition(&value);
        if !holds {
            last = value;
        }
        met.insert(name, holds);
        if met.values().filter(|met| **met).count() >= count {
            return Ok(());
        }
    }
    let reached = met.values().filter(|met| **met).count();
    bail!("{reached} of {count} after {STUCK:?}; one that is not there: {}", last["status"])
}
