//! `fluxide dev`: a GitOps repository running on this machine, with nothing installed.
//!
//! One process holds the embedded API server, a local Git repository served over HTTP, and the controllers. Everything
//! they write lies in one temporary directory that goes away with the process.

pub mod cluster;
pub mod controllers;
pub mod git_server;
pub mod notifications;
mod progress;
pub mod repository;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use cluster::{Cluster, Sync};
use git_server::GitServer;
use notifications::{Messages, Webhook};
use progress::Progress;
use repository::Snapshot;
use view::View;

/// How often a user's directory is looked at for changes.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(500);

/// How long everything must have been Ready before `--once` believes it: objects just applied need a moment to show.
const QUIET: Duration = Duration::from_millis(1200);

/// What to run and how to end.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// End when everything is Ready (exit code 0) or cannot become so (non-zero, with the reasons).
    #[arg(long)]
    once: bool,
    /// Run this repository instead of the example: a URL (http, https, ssh), or a directory, whose files take effect as
    /// they are on disk.
    #[arg(long, value_name = "URL|DIR")]
    repo: Option<String>,
    /// The directory of the repository to reconcile.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The branch of a repository given by URL.
    #[arg(long, default_value = repository::BRANCH)]
    branch: String,
    /// How long `--once` waits for everything to become Ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Port of the API server; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Where the repository comes from.
enum Source {
    /// The example, in a working copy the user can push from.
    Example { worktree: PathBuf },
    /// A directory of the user's.
    Directory(PathBuf),
    /// Somewhere else.
    Remote(String),
}

/// Runs until Ctrl-C, or until the verdict with `--once`.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let home =
        tempfile::Builder::new().prefix("fluxide-dev-").tempdir().context("cannot create a directory")?;
    // What the controllers need for a moment goes away with the rest.
    if tempfile::env::override_temp_dir(home.path()).is_err() {
        bail!("temporary files have a directory of their own already");
    }
    let view = Arc::new(View::new(std::io::stdout().is_terminal() && !options.once));
    let shutdown = CancellationToken::new();
    let interrupted = tokio::spawn(interruption());

    let source = source(&options, home.path())?;
    let bare_root = home.path().join("git");
    tokio::fs::create_dir(&bare_root).await?;
    let server = GitServer::start(&bare_root, None).await?;
    let mut snapshot = None;
    let url = match &source {
        Source::Example { worktree } => {
            repository::create_bare(&bare_root, "fleet").await?;
            repository::create_example(worktree, &server.url("fleet")).await?;
            server.url("fleet")
        }
        Source::Directory(directory) => {
            let bare = repository::create_bare(&bare_root, "fleet").await?;
            let mut taken = Snapshot::new(bare, directory.clone());
            taken.take().await.with_context(|| format!("cannot read {}", directory.display()))?;
            snapshot = Some(taken);
            server.url("fleet")
        }
        Source::Remote(url) => url.clone(),
    };

    let mut cluster = Cluster::start(home.path(), options.port, shutdown.clone()).await?;
    view.line(&format!("► kubeconfig   {}", cluster.kubeconfig().display()));
    match &source {
        Source::Example { worktree } => view.line(&format!("► repository   {}", worktree.display())),
        Source::Directory(directory) => {
            view.line(&format!("► repository   {} (as it is on disk)", directory.display()))
        }
        Source::Remote(url) => view.line(&format!("► repository   {url}")),
    }
    let default_path = if matches!(source, Source::Example { .. }) { "./clusters/dev" } else { "./" };
    let sync = Sync {
        url,
        branch: if matches!(source, Source::Remote(_)) {
            options.branch.clone()
        } else {
            repository::BRANCH.into()
        },
        path: options.path.clone().unwrap_or_else(|| default_path.into()),
    };
    let mut messages = Messages::start().await?;
    let webhook = match &source {
        Source::Example { .. } => {
            let webhook = Webhook::new(cluster.webhooks())?;
            notifications::create_secrets(&cluster.client(), &messages, &webhook).await?;
            Some(webhook)
        }
        Source::Directory(_) | Source::Remote(_) => None,
    };
    cluster.sync(&sync).await?;

    let client = cluster.client();
    let pushes = server.pushes();
    // The example was pushed before there was anybody to tell.
    let _ = pushes.notified().now_or_never();
    let followed = tokio::spawn(follow(client, snapshot, webhook, pushes, view.clone()));
    let deadline = options.once.then(|| Duration::from_secs(options.timeout));
    let verdict = tokio::select! {
        verdict = observe(&mut cluster, &mut messages, &view, deadline) => verdict,
        _ = interrupted => Ok(ExitCode::SUCCESS),
    };
    followed.abort();
    shutdown.cancel();
    cluster.stop().await;
    drop(server);
    home.close().context("cannot remove the temporary directory")?;
    verdict
}

fn source(options: &Options, home: &std::path::Path) -> anyhow::Result<Source> {
    let Some(repo) = &options.repo else { return Ok(Source::Example { worktree: home.join("fleet") }) };
    if repo.contains("://") {
        return Ok(Source::Remote(repo.clone()));
    }
    let directory = std::fs::canonicalize(repo)
        .with_context(|| format!("--repo {repo} is neither a URL nor a directory of this machine"))?;
    if !directory.is_dir() {
        bail!("--repo {repo} is not a directory");
    }
    Ok(Source::Directory(directory))
}

/// Ctrl-C, SIGTERM, or the end of the terminal.
async fn interruption() {
    use tokio::signal::unix::{SignalKind, signal};
    let received = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = received(SignalKind::interrupt()) => {}
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::hangup()) => {}
    }
}

/// Asks for a reconcile when something was pushed, or when the user's directory has changed. A push is told to the
/// Receiver if there is one.
async fn follow(
    client: kube::Client,
    snapshot: Option<Snapshot>,
    webhook: Option<Webhook>,
    pushes: Arc<tokio::sync::Notify>,
    view: Arc<View>,
) {
    let request = async || {
        if let Err(error) = cluster::request_reconcile(&client).await {
            tracing::warn!(%error, "cannot ask for a reconcile");
        }
    };
    let Some(mut snapshot) = snapshot else {
        loop {
            pushes.notified().await;
            match &webhook {
                Some(webhook) => match webhook.call(repository::BRANCH).await {
                    Ok(elapsed) => {
                        view.line(&format!("► push, told to the Receiver in {} ms", elapsed.as_millis()))
                    }
                    Err(error) => {
                        view.line(&format!("► push, without webhook: {error}"));
                        request().await;
                    }
                },
                None => request().await,
            }
        }
    };
    loop {
        tokio::time::sleep(SNAPSHOT_INTERVAL).await;
        match snapshot.take().await {
            Ok(Some(_)) => request().await,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read the directory"),
        }
    }
}

/// Prints what happens. With a deadline, returns the verdict; otherwise never returns.
async fn observe(
    cluster: &mut Cluster,
    messages: &mut Messages,
    view: &View,
    deadline: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::default();
    let mut changes = progress::watch(&cluster.client());
    let until = deadline.map(|after| tokio::time::Instant::now() + after);
    let mut ready_since = None;
    loop {
        let tick = tokio::time::sleep(Duration::from_millis(200));
        tokio::select! {
            Some((kind, event)) = changes.next() => {
                if let Some(change) = progress.record(kind, &event) {
                    view.change(&change, &progress);
                    ready_since = None;
                }
            }
            message = messages.next() => view.message(&message),
            () = tick => {}
            failed = cluster.failed() => return Err(failed),
        }
        let Some(until) = until else { continue };
        let now = tokio::time::Instant::now();
        if progress.all_ready() {
            let since = *ready_since.get_or_insert(now);
            if now - since >= QUIET {
                view.line(&format!("✔ all {} objects are Ready", progress.len()));
                return Ok(ExitCode::SUCCESS);
            }
        } else {
            ready_since = None;
        }
        if now >= until || progress.settled_in_failure() {
            for reason in progress.unready() {
                eprintln!("✗ {reason}");
            }
            if progress.len() == 0 {
                eprintln!("✗ nothing was reconciled in time");
            }
            return Ok(ExitCode::FAILURE);
        }
    }
}
