//! Everything a test needs, started for it and stopped after it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use fluxide::dev::controllers::{self, Controllers};
use fluxide::dev::git_server::{BasicAuth, GitServer};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::process::Launcher;
use crate::repository::Repository;

/// Names the kubeconfig of a cluster to use instead of the embedded API server.
const KUBECONFIG: &str = "FLUXIDE_E2E_KUBECONFIG";

/// A cluster with a namespace, a Git server and running controllers.
pub struct World {
    /// The cluster, and the namespace of the test in it.
    pub cluster: Cluster,
    git: Option<GitServer>,
    auth: Option<BasicAuth>,
    home: tempfile::TempDir,
    controllers: Controllers,
    webhooks: String,
    shutdown: CancellationToken,
}

/// What a world is made with beyond the usual.
#[derive(Default)]
pub struct Setup {
    /// The user the Git server insists on.
    pub auth: Option<BasicAuth>,
    /// Leave it to the test to start controllers.
    pub no_controllers: bool,
    /// The kubeconfig of a cluster of the test's own.
    pub kubeconfig: Option<PathBuf>,
}

impl World {
    /// Starts everything; anybody may read the Git server.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Setup::default()).await
    }

    /// Starts what `setup` says.
    pub async fn start_with(setup: Setup) -> anyhow::Result<Self> {
        let kubeconfig = setup.kubeconfig.or_else(|| std::env::var_os(KUBECONFIG).map(PathBuf::from));
        let cluster = Cluster::start(kubeconfig.as_deref(), "e2e-").await?;
        let home = tempfile::Builder::new().prefix("fluxide-e2e-").tempdir()?;
        std::fs::create_dir(home.path().join("git"))?;
        let git = GitServer::start(&home.path().join("git"), setup.auth.clone()).await?;
        std::fs::write(home.path().join("kubeconfig"), &cluster.kubeconfig)?;
        let mut world = Self {
            cluster,
            git: Some(git),
            auth: setup.auth,
            home,
            controllers: Controllers::new(),
            webhooks: String::new(),
            shutdown: CancellationToken::new(),
        };
        if !setup.no_controllers {
            world.start_controllers()?;
        }
        Ok(world)
    }

    fn start_controllers(&mut self) -> anyhow::Result<()> {
        self.shutdown = CancellationToken::new();
        let home = self.home.path().join("controllers");
        let namespace = Some(self.cluster.namespace.as_str());
        self.webhooks = controllers::start(
            &mut self.controllers,
            &home,
            namespace,
            &self.cluster.client,
            &self.shutdown,
        )?;
        Ok(())
    }

    /// The address that webhooks call.
    pub fn webhooks(&self) -> &str {
        &self.webhooks
    }

    /// Ends the controllers as SIGTERM does, and waits for them.
    pub async fn stop_controllers(&mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        while let Some(ended) = self.controllers.join_next().await {
            let (name, result) = ended?;
            result.with_context(|| format!("{name} did not end well"))?;
        }
        Ok(())
    }

    /// A launcher of controllers as processes. `program` is `env!("CARGO_BIN_EXE_controller")`.
    pub fn launcher(&self, program: &str) -> anyhow::Result<Launcher> {
        let home = self.home.path();
        Launcher::new(
            program.as_ref(),
            &home.join("processes"),
            &home.join("kubeconfig"),
            Some(&self.cluster.namespace),
        )
    }

    /// The directory in which processes keep their files: `artifacts`, and a log for each controller.
    pub fn process_home(&self) -> PathBuf {
        self.home.path().join("processes")
    }

    /// Takes the Git server away.
    pub fn stop_git(&mut self) -> anyhow::Result<SocketAddr> {
        let server = self.git.take().context("the Git server is stopped already")?;
        Ok(server.address())
    }

    /// Brings the Git server back where it was.
    pub async fn restart_git(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let root = self.home.path().join("git");
        self.git = Some(GitServer::start_at(address, &root, self.auth.clone()).await?);
        Ok(())
    }

    /// The embedded API server, when that is the cluster.
    pub fn server(&self) -> Option<&fluxide_apiserver::RunningServer> {
        self.cluster.server.as_ref()
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.cluster.client.clone()
    }

    /// A new repository, served by the Git server.
    pub async fn repository(&self, name: &str) -> anyhow::Result<Repository> {
        let worktree: PathBuf = self.home.path().join("worktrees").join(name);
        let git = self.git.as_ref().context("the Git server is stopped")?;
        Repository::create(&self.home.path().join("git"), worktree, name, git.url(name)).await
    }

    /// Where the bare repository of this name lies on disk.
    pub fn bare_repository(&self, name: &str) -> PathBuf {
        self.home.path().join("git").join(format!("{name}.git"))
    }

    /// Objects of a kind in the test's namespace. `api_version` is `v1` or `group/v1`.
    pub fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.cluster.client.clone(), &self.cluster.namespace, &resource)
    }

    /// The GitRepositories of the test.
    pub fn git_repositories(&self) -> Api<DynamicObject> {
        self.api("source.toolkit.fluxcd.io/v1", "GitRepository")
    }

    /// The Kustomizations of the test.
    pub fn kustomizations(&self) -> Api<DynamicObject> {
        self.api("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
    }

    /// Applies an object as a user with kubectl does.
    pub async fn apply(&self, object: Value) -> anyhow::Result<()> {
        let api_version = object["apiVersion"].as_str().context("apiVersion")?;
        let kind = object["kind"].as_str().context("kind")?;
        let name = object["metadata"]["name"].as_str().context("name")?.to_owned();
        let params = PatchParams::apply("kubectl").force();
        self.api(api_version, kind).patch(&name, &params, &Patch::Apply(&object)).await?;
        Ok(())
    }

    /// Applies a GitRepository named `name` of `url` with more members of `spec`.
    pub async fn git_repository(&self, name: &str, url: &str, more: Value) -> anyhow::Result<()> {
        let spec = merged(json!({"interval": "10m", "url": url, "ref": {"branch": "main"}}), more);
        self.apply(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name}, "spec": spec}))
            .await
    }

    /// Applies a Kustomization named `name` of the GitRepository `source`, into the test's namespace, with more members of `spec`.
    pub async fn kustomization(&self, name: &str, source: &str, more: Value) -> anyhow::Result<()> {
        let spec = json!({"interval": "10m", "retryInterval": "2s", "timeout": "20s", "prune": true, "path": "./",
            "targetNamespace": self.cluster.namespace, "sourceRef": {"kind": "GitRepository", "name": source}});
        self.apply(json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name}, "spec": merged(spec, more)}))
            .await
    }

    /// Waits until a Kustomization is Ready at a revision.
    pub async fn applied(&self, name: &str, revision: &str) -> anyhow::Result<Value> {
        let kustomizations = self.kustomizations();
        crate::wait::until(&kustomizations, name, &format!("ready at {revision}"), |object| {
            crate::wait::is_ready(object) && object["status"]["lastAppliedRevision"] == revision
        })
        .await
    }

    /// Annotates an object as `flux reconcile` does. Returns the value that its status will repeat.
    pub async fn request_reconcile(&self, api: &Api<DynamicObject>, name: &str) -> anyhow::Result<String> {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(now)
    }

    /// Annotates an object as `flux reconcile` does, and waits until it was handled.
    pub async fn reconcile(&self, api: &Api<DynamicObject>, name: &str) -> anyhow::Result<Value> {
        let requested = self.request_reconcile(api, name).await?;
        crate::wait::until(api, name, "reconciled as asked", |object| {
            object["status"]["lastHandledReconcileAt"] == requested.as_str()
        })
        .await
    }

    /// Ends everything. A test that fails skips this: the process takes it down.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_controllers().await?;
        self.cluster.stop().await
    }
}

/// `base` with the members of `more`; those that are null there are left out.
fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
        base.retain(|_, value| !value.is_null());
    }
    base
}
