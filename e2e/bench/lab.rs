//! Where benchmarks happen: a cluster, a Git server, and controllers as processes that are measured.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fluxide::dev::git_server::GitServer;
use fluxide_e2e::process::{Launcher, Process};
use fluxide_e2e::{Cluster, Repository};

/// The cluster and the Git server; both end with it.
pub struct Lab {
    /// The cluster, and the namespace everything is in.
    pub cluster: Cluster,
    git: GitServer,
    home: tempfile::TempDir,
}

impl Lab {
    /// Starts the embedded API server, or uses the cluster of a kubeconfig.
    pub async fn start(kubeconfig: Option<&PathBuf>) -> anyhow::Result<Self> {
        let cluster = Cluster::start(kubeconfig.map(PathBuf::as_path), "bench-").await?;
        let home = tempfile::Builder::new().prefix("fluxide-bench-").tempdir()?;
        std::fs::write(home.path().join("kubeconfig"), &cluster.kubeconfig)?;
        std::fs::create_dir(home.path().join("git"))?;
        let git = GitServer::start(&home.path().join("git"), None).await?;
        Ok(Self { cluster, git, home })
    }

    /// A directory that goes away with the benchmark.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// A new repository on the Git server.
    pub async fn repository(&self, name: &str) -> anyhow::Result<Repository> {
        let home = self.home.path();
        Repository::create(&home.join("git"), home.join("worktrees").join(name), name, self.git.url(name))
            .await
    }

    /// Starts the controllers next to this program.
    pub fn launcher(&self) -> anyhow::Result<Launcher> {
        let directory = std::env::current_exe()?.with_file_name("");
        let home = self.home.path();
        Launcher::shipped(
            &directory,
            &home.join("processes"),
            &home.join("kubeconfig"),
            Some(&self.cluster.namespace),
        )
    }

    /// Requests of a client so far, when the embedded server counts them.
    pub fn requests(&self, user_agent: &str) -> Option<u64> {
        let log = self.cluster.server.as_ref()?.request_log();
        Some(log.total(|key| key.user_agent.starts_with(user_agent)))
    }

    /// Those requests by verb and resource, most first.
    pub fn requests_by_kind(&self, user_agent: &str) -> Vec<(String, u64)> {
        let Some(server) = &self.cluster.server else { return Vec::new() };
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
        if let Some(server) = &self.cluster.server {
            server.request_log().reset();
        }
    }

    /// Deletes what was made on a cluster that outlives the benchmark.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.cluster.stop().await
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
