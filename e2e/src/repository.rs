//! A Git repository of a test: a working copy that is committed and pushed to the test's Git server.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fluxide::dev::repository::{BRANCH, create_bare, git};

/// A working copy and the bare repository it is pushed to.
pub struct Repository {
    worktree: PathBuf,
    url: String,
}

impl Repository {
    /// Creates the repository `name` below `bare_root`, which is served at `url`. It has no commit yet.
    pub async fn create(
        bare_root: &Path,
        worktree: PathBuf,
        name: &str,
        url: String,
    ) -> anyhow::Result<Self> {
        let bare = create_bare(bare_root, name).await?;
        std::fs::create_dir_all(&worktree)?;
        git(&worktree, &["init", "--quiet", &format!("--initial-branch={BRANCH}")]).await?;
        git(&worktree, &["remote", "add", "origin", bare.to_str().context("a path that is not UTF-8")?])
            .await?;
        Ok(Self { worktree, url })
    }

    /// Where the Git server has it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Writes a file, directories included.
    pub fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let file = self.worktree.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {path}"))
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> anyhow::Result<()> {
        std::fs::remove_file(self.worktree.join(path)).with_context(|| format!("cannot remove {path}"))
    }

    /// Commits everything and pushes. Returns the revision as a GitRepository shows it: `main@sha1:...`.
    pub async fn push(&self, message: &str) -> anyhow::Result<String> {
        git(&self.worktree, &["add", "--all"]).await?;
        git(&self.worktree, &["commit", "--quiet", "--allow-empty", "--message", message]).await?;
        git(&self.worktree, &["push", "--quiet", "--force", "origin", BRANCH]).await?;
        let commit = git(&self.worktree, &["rev-parse", "HEAD"]).await?;
        Ok(format!("{BRANCH}@sha1:{commit}"))
    }

    /// Runs Git in the working copy.
    pub async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        git(&self.worktree, arguments).await
    }
}
