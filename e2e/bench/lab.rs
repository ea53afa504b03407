//! Where benchmarks happen: a cluster, a Git server, and controllers as processes that are measured.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use fluxide::dev::cluster::{client_from_kubeconfig, install_definitions};
use fluxide::dev::git_server::GitServer;
use fluxide_apiserver::{RunningServer, Server};
use fluxide_e2e::Repository;
use fluxide_e2e::process::{Launcher, Process};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

/// The cluster and the Git server; both end with it.
pub struct Lab {
    /// A client with the administrator's rights.
    pub client: Client,
    /// The namespace everything is in.
    pub namespace: String,
    server: Option<RunningServer>,
    git: GitServer,
    home: tempfile::TempDir,
}

impl Lab {
    /// Starts the embedded API server, or uses the cluster of a kubeconfig.
    pub async fn start(kubeconfig: Option<&PathBuf>) -> anyhow::Result<Self> {
        fluxide_runtime::tls::install_provider();
        let home = tempfile::Builder::new().prefix("fluxide-bench-").tempdir()?;
        let (text, server) = match kubeconfig {
            Some(path) => (std::fs::read_to_string(path).context("cannot read the kubeconfig")?, None),
            None => {
                let server = Server::builder().start().await?;
                (server.kubeconfig(), Some(server))
            }
        };
        std::fs::write(home.path().join("kubeconfig"), &text)?;
        let client = client_from_kubeconfig(&text).await?;
        install_definitions(&client).await?;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let wanted = serde_json::from_value(json!({"metadata": {"generateName": "bench-"}}))?;
        let created = namespaces.create(&PostParams::default(), &wanted).await?;
        let namespace = created.metadata.name.context("a namespace without a name")?;
        std::fs::create_dir(home.path().join("git"))?;
        let git = GitServer::start(&home.path().join("git"), None).await?;
        Ok(Self { client, namespace, server, git, home })
    }

    /// A new repository on the Git server.
    pub async fn repository(&self, name: &str) -> anyhow::Result<Repository> {
        let home = self.home.path();
        Repository::create(&home.join("git"), home.join("worktrees").join(name), name, self.git.url(name))
            .await
    }

    /// Starts processes of the program next to this one.
    pub fn launcher(&self) -> anyhow::Result<Launcher> {
        let program = std::env::current_exe()?.with_file_name("controller");
        anyhow::ensure!(program.exists(), "build it first: cargo build --release -p fluxide-e2e --bins");
        let home = self.home.path();
        Launcher::new(&program, &home.join("processes"), &home.join("kubeconfig"), Some(&self.namespace))
    }

    /// Requests of a client so far, when the embedded server counts them.
    pub fn requests(&self, user_agent: &str) -> Option<u64> {
        let log = self.server.as_ref()?.request_log();
        Some(log.total(|key| key.user_agent.starts_with(user_agent)))
    }

    /// Those requests by verb and resource, most first.
    pub fn requests_by_kind(&self, user_agent: &str) -> Vec<(String, u64)> {
        let Some(server) = &self.server else { return Vec::new() };
        let mut counts: Vec<_> = server
            .request_log()
            .counts()
            .into_iter()
            .filter(|(key, _)| key.user_agent.starts_with(user_agent))
            .map(|(key, count)| (format!("{} {}", key.verb, key.resource), count))
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// Forgets the requests so far.
    pub fn reset_requests(&self) {
        if let Some(server) = &self.server {
            server.request_log().reset();
        }
    }

    /// Deletes what was made on a cluster that outlives the benchmark.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self.server {
            Some(server) => server.shutdown().await,
            None => {
                let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
                namespaces.delete(&self.namespace, &Default::default()).await?;
            }
        }
        Ok(())
    }
}

/// A phase that is being measured: wall time, and processor time of the processes.
pub struct Phase<'a> {
    name: String,
    processes: &'a [Process],
    started: Instant,
    cpu: Vec<f64>,
}

impl<'a> Phase<'a> {
    /// Starts the clock.
    pub fn start(name: &str, processes: &'a [Process]) -> anyhow::Result<Self> {
        let cpu = processes
            .iter()
            .map(|process| Ok(process.usage()?.cpu_seconds))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { name: name.to_owned(), processes, started: Instant::now(), cpu })
    }

    /// Stops the clock and prints a line for each process. Returns the wall time.
    pub fn end(self) -> anyhow::Result<Duration> {
        let wall = self.started.elapsed();
        println!("{}: {:.2} s", self.name, wall.as_secs_f64());
        for (process, before) in self.processes.iter().zip(self.cpu) {
            let usage = process.usage()?;
            println!(
                "  {:<22} {:>7.2} s CPU  {:>6.1} MiB resident  {:>6.1} MiB peak",
                process.name(),
                usage.cpu_seconds - before,
                usage.resident_kib as f64 / 1024.0,
                usage.peak_kib as f64 / 1024.0,
            );
        }
        Ok(wall)
    }
}
