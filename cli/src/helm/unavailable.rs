//! Flags of Helm that need a network, a cluster or a plugin: they are known, and refused with what to do instead.

use anyhow::bail;

/// Flags that are accepted without effect, as a command line for Helm may have them, and flags that are refused.
#[derive(Debug, clap::Args)]
pub struct Unavailable {
    #[arg(long, hide = true)]
    repo: Option<String>,
    #[arg(long, hide = true)]
    version: Option<String>,
    #[arg(long, hide = true)]
    devel: bool,
    #[arg(long, hide = true)]
    verify: bool,
    #[arg(long, hide = true)]
    dependency_update: bool,
    #[arg(long, hide = true)]
    post_renderer: Option<String>,
    #[arg(long, hide = true)]
    post_renderer_args: Vec<String>,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(long, hide = true)]
    password: Option<String>,
    #[arg(long, hide = true)]
    pass_credentials: bool,
    #[arg(long, hide = true)]
    plain_http: bool,
    #[arg(long, hide = true)]
    insecure_skip_tls_verify: bool,
    #[arg(long, hide = true)]
    ca_file: Option<String>,
    #[arg(long, hide = true)]
    cert_file: Option<String>,
    #[arg(long, hide = true)]
    key_file: Option<String>,
    #[arg(long, hide = true)]
    keyring: Option<String>,
    #[arg(long, hide = true)]
    debug: bool,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(short, long, hide = true)]
    labels: Vec<String>,
    #[arg(long, hide = true)]
    create_namespace: bool,
    #[arg(long, hide = true)]
    disable_openapi_validation: bool,
    #[arg(long, hide = true)]
    force_conflicts: bool,
    #[arg(long, hide = true)]
    force_replace: bool,
    #[arg(long, hide = true)]
    replace: bool,
    #[arg(long, hide = true)]
    rollback_on_failure: bool,
    #[arg(long, hide = true)]
    take_ownership: bool,
    #[arg(long, hide = true)]
    render_subchart_notes: bool,
    #[arg(long, hide = true)]
    wait_for_jobs: bool,
    #[arg(long, hide = true)]
    timeout: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "watcher")]
    wait: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<String>,
    #[arg(long, hide = true)]
    kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    kube_context: Option<String>,
}

impl Unavailable {
    /// An error for the flags that would change the outcome.
    pub fn refuse(&self) -> anyhow::Result<()> {
        if self.repo.is_some() || self.version.is_some() || self.devel {
            bail!(
                "charts are read from this machine alone: --repo, --version and --devel need a network; fetch the chart \
                 with `helm pull` and give its directory or archive"
            );
        }
        if self.verify {
            bail!("--verify is not available here; check the chart with `helm verify` first");
        }
        if self.dependency_update {
            bail!("--dependency-update needs a network; run `helm dependency update` on the chart first");
        }
        if self.post_renderer.is_some() || !self.post_renderer_args.is_empty() {
            bail!("--post-renderer needs Helm's plugins; pipe the output into the program instead");
        }
        Ok(())
    }
}
