//! The cluster of `fluxide dev`: embedded API server, Flux's CRDs, and the controllers, all in this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::controllers::{self, Controllers};

/// The namespace of the controllers, and the name of the objects that start everything.
pub(super) const FLUX_SYSTEM: &str = "flux-system";

/// Who applies what `fluxide dev` applies itself.
const FIELD_MANAGER: &str = "fluxide";

/// How long a definition may take to be served.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// How long the controllers get to end.
const GRACE: Duration = Duration::from_secs(10);

/// The repository that the cluster follows.
pub struct Sync {
    /// Clone URL.
    pub url: String,
    /// Branch.
    pub branch: String,
    /// Directory inside it.
    pub path: String,
}

/// A running cluster.
pub struct Cluster {
    server: fluxide_apiserver::RunningServer,
    kubeconfig: PathBuf,
    client: Client,
    controllers: Controllers,
    webhooks: String,
}

impl Cluster {
    /// Starts everything below the directory `home`; the controllers end when `shutdown` is cancelled.
    pub async fn start(home: &Path, port: u16, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let server = fluxide_apiserver::Server::builder()
            .port(port)
            .start()
            .await
            .context("cannot start the API server")?;
        let kubeconfig = home.join("kubeconfig");
        server.write_kubeconfig(&kubeconfig)?;
        let client = client_from_kubeconfig(&server.kubeconfig()).await?;
        install_definitions(&client).await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FLUX_SYSTEM}});
        apply(&client, "", "v1", "Namespace", &namespace).await?;
        let mut controllers = Controllers::new();
        let webhooks = controllers::start(&mut controllers, home, None, &client, &shutdown)?;
        Ok(Self { server, kubeconfig, client, controllers, webhooks })
    }

    /// Where the kubeconfig of the administrator is.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The address that webhooks call.
    pub fn webhooks(&self) -> &str {
        &self.webhooks
    }

    /// Points the cluster at a repository: the GitRepository and the Kustomization that bootstrapping creates.
    pub async fn sync(&self, sync: &Sync) -> anyhow::Result<()> {
        let repository = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": FLUX_SYSTEM, "namespace": FLUX_SYSTEM},
            "spec": {"interval": "1m0s", "url": sync.url, "ref": {"branch": sync.branch}},
        });
        let kustomization = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": FLUX_SYSTEM, "namespace": FLUX_SYSTEM},
            "spec": {
                "interval": "10m0s", "path": sync.path, "prune": true,
                "sourceRef": {"kind": "GitRepository", "name": FLUX_SYSTEM},
                "patches": [left_out("GitRepository"), left_out("Kustomization")],
            },
        });
        apply(&self.client, "source.toolkit.fluxcd.io", "v1", "GitRepository", &repository).await?;
        apply(&self.client, "kustomize.toolkit.fluxcd.io", "v1", "Kustomization", &kustomization).await
    }

    /// Ends when a controller ends before it was asked to, with what it said.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.controllers.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("{name} ended"),
            Some(Ok((name, Err(error)))) => error.context(format!("{name} failed")),
            Some(Err(error)) => anyhow::anyhow!("a controller crashed: {error}"),
            None => std::future::pending().await,
        }
    }

    /// Waits for the controllers to end, then stops the API server.
    pub async fn stop(mut self) {
        let ended = async { while self.controllers.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("a controller did not end in time");
        }
        self.server.shutdown().await;
    }
}

/// A repository that was bootstrapped brings its own sync objects, which point to where it really lives: they would
/// replace the ones made here.
fn left_out(kind: &str) -> Value {
    json!({
        "target": {"kind": kind, "name": FLUX_SYSTEM, "namespace": FLUX_SYSTEM},
        "patch": format!("$patch: delete\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {FLUX_SYSTEM}\n  namespace: {FLUX_SYSTEM}\n"),
    })
}

/// A client from the text of a kubeconfig.
pub async fn client_from_kubeconfig(kubeconfig: &str) -> anyhow::Result<Client> {
    let parsed = kube::config::Kubeconfig::from_yaml(kubeconfig).context("the kubeconfig cannot be read")?;
    let config = kube::Config::from_custom_kubeconfig(parsed, &Default::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Applies all CRDs and waits until they are served.
pub async fn install_definitions(client: &Client) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for definition in fluxide_crdgen::crds()? {
        let name = definition["metadata"]["name"].as_str().context("a CRD without a name")?.to_owned();
        api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&definition))
            .await
            .with_context(|| format!("cannot install the CRD {name}"))?;
        names.push(name);
    }
    for name in names {
        let established = kube::runtime::wait::conditions::is_crd_established();
        let wait = kube::runtime::wait::await_condition(api.clone(), &name, established);
        tokio::time::timeout(ESTABLISHED, wait)
            .await
            .with_context(|| format!("the CRD {name} is not served"))??;
    }
    Ok(())
}

/// Server-side applies one object.
pub(super) async fn apply(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    object: &Value,
) -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let resource = ApiResource { plural: super::progress::plural(kind), ..resource };
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.name_any();
    match api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object)).await {
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot apply {kind} {name}: {error}"),
    }
}

/// Asks source-controller to look at the repository now.
pub async fn request_reconcile(client: &Client) -> anyhow::Result<()> {
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("source.toolkit.fluxcd.io", "v1", "GitRepository"));
    let resource = ApiResource { plural: super::progress::plural("GitRepository"), ..resource };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), FLUX_SYSTEM, &resource);
    let now = jiff::Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
    api.patch(
        FLUX_SYSTEM,
        &PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() },
        &Patch::Merge(&patch),
    )
    .await?;
    Ok(())
}
