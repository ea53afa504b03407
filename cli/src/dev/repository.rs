//! The local Git repositories behind `fluxide dev`: the example one, and snapshots of a user's directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

/// The branch that the local repositories have.
pub const BRANCH: &str = "main";

/// The example's files, by path.
const EXAMPLE: &[(&str, &str)] = &[
    ("README.md", include_str!("../../example/README.md")),
    ("clusters/dev/infrastructure.yaml", include_str!("../../example/clusters/dev/infrastructure.yaml")),
    ("clusters/dev/apps.yaml", include_str!("../../example/clusters/dev/apps.yaml")),
    ("clusters/dev/notifications.yaml", include_str!("../../example/clusters/dev/notifications.yaml")),
    ("infrastructure/kustomization.yaml", include_str!("../../example/infrastructure/kustomization.yaml")),
    ("infrastructure/namespace.yaml", include_str!("../../example/infrastructure/namespace.yaml")),
    ("infrastructure/quota.yaml", include_str!("../../example/infrastructure/quota.yaml")),
    ("apps/base/kustomization.yaml", include_str!("../../example/apps/base/kustomization.yaml")),
    ("apps/base/serviceaccount.yaml", include_str!("../../example/apps/base/serviceaccount.yaml")),
    ("apps/base/deployment.yaml", include_str!("../../example/apps/base/deployment.yaml")),
    ("apps/base/service.yaml", include_str!("../../example/apps/base/service.yaml")),
    (
        "apps/overlays/dev/kustomization.yaml",
        include_str!("../../example/apps/overlays/dev/kustomization.yaml"),
    ),
];

/// Creates the bare repository `root/NAME.git` that the Git server serves. Pushing to it over HTTP is allowed.
pub async fn create_bare(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let bare = root.join(format!("{name}.git"));
    git(root, &["init", "--quiet", "--bare", &format!("--initial-branch={BRANCH}"), &path(&bare)?]).await?;
    git(&bare, &["config", "http.receivepack", "true"]).await?;
    // A commit can be asked for by its hash, as hosted Git servers allow.
    git(&bare, &["config", "uploadpack.allowAnySHA1InWant", "true"]).await?;
    git(&bare, &["config", "uploadpack.allowFilter", "true"]).await?;
    Ok(bare)
}

/// Writes the example into the new directory `worktree`, commits it and pushes it to `url`, which stays its `origin`.
pub async fn create_example(worktree: &Path, url: &str) -> anyhow::Result<()> {
    for (name, text) in EXAMPLE {
        let file = worktree.join(name);
        if let Some(parent) = file.parent() {
            tokio::fs::create_dir_all(parent).await?;
        }
        tokio::fs::write(&file, text).await.with_context(|| format!("cannot write {}", file.display()))?;
    }
    git(worktree, &["init", "--quiet", &format!("--initial-branch={BRANCH}")]).await?;
    git(worktree, &["remote", "add", "origin", url]).await?;
    git(worktree, &["add", "--all"]).await?;
    git(worktree, &["commit", "--quiet", "--message", "An application on its infrastructure"]).await?;
    git(worktree, &["push", "--quiet", "--set-upstream", "origin", BRANCH]).await?;
    Ok(())
}

/// A user's directory, seen as a branch of a bare repository whose head follows the files on disk.
pub struct Snapshot {
    bare: PathBuf,
    directory: PathBuf,
    tree: String,
}

impl Snapshot {
    /// Prepares snapshots of `directory` in the bare repository `bare`. Nothing in the directory is ever written.
    pub fn new(bare: PathBuf, directory: PathBuf) -> Self {
        Self { bare, directory, tree: String::new() }
    }

    /// Records the directory as it is now, ignored files aside. Returns the new commit, or `None` if nothing changed.
    pub async fn take(&mut self) -> anyhow::Result<Option<String>> {
        let worktree = format!("--work-tree={}", path(&self.directory)?);
        let git_dir = format!("--git-dir={}", path(&self.bare)?);
        git(&self.directory, &[&git_dir, &worktree, "add", "--all", "."]).await?;
        let tree = git(&self.directory, &[&git_dir, "write-tree"]).await?;
        if tree == self.tree {
            return Ok(None);
        }
        let commit =
            git(&self.directory, &[&git_dir, "commit-tree", &tree, "-m", "The directory as it is"]).await?;
        let reference = format!("refs/heads/{BRANCH}");
        git(&self.directory, &[&git_dir, "update-ref", &reference, &commit]).await?;
        self.tree = tree;
        Ok(Some(commit))
    }
}

fn path(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not valid UTF-8", path.display()))
}

/// Runs the machine's Git in `directory` and returns what it printed, without the user's configuration (no hooks, no signing, no other identity).
pub async fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "fluxide dev")
        .env("GIT_AUTHOR_EMAIL", "dev@localhost")
        .env("GIT_COMMITTER_NAME", "fluxide dev")
        .env("GIT_COMMITTER_EMAIL", "dev@localhost")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot start git: is it installed?")?;
    if !output.status.success() {
        let verb = arguments.iter().find(|argument| !argument.starts_with('-')).unwrap_or(&"");
        bail!("git {verb} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_snapshot_follows_the_directory_and_leaves_it_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("user");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(".gitignore"), "ignored\n").unwrap();
        std::fs::write(directory.join("a.yaml"), "a: 1\n").unwrap();
        let bare = create_bare(root.path(), "fleet").await.unwrap();
        let mut snapshot = Snapshot::new(bare, directory.clone());
        let first = snapshot.take().await.unwrap().unwrap();
        assert_eq!(snapshot.take().await.unwrap(), None);
        std::fs::write(directory.join("ignored"), "x").unwrap();
        assert_eq!(snapshot.take().await.unwrap(), None);
        std::fs::write(directory.join("a.yaml"), "a: 2\n").unwrap();
        assert_ne!(snapshot.take().await.unwrap().unwrap(), first);
        assert!(!directory.join(".git").exists());
    }
}
