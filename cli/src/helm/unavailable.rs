//! Flags of Helm that need a network, a cluster or a plugin: they are known, and refused with what to do instead.

use anyhow::bail;

use super::flags::{Duration, Labels, Wait};
use super::switch::Switch;

/// Flags that say from where and how a chart is fetched: accepted, unless they ask for what only a network can give.
#[derive(Debug, clap::Args)]
pub struct FromElsewhere {
    #[arg(long, hide = true)]
    repo: Option<String>,
    #[arg(long, hide = true)]
    version: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    devel: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    verify: Switch,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(long, hide = true)]
    password: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pass_credentials: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    plain_http: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    insecure_skip_tls_verify: Switch,
    #[arg(long, hide = true)]
    ca_file: Option<String>,
    #[arg(long, hide = true)]
    cert_file: Option<String>,
    #[arg(long, hide = true)]
    key_file: Option<String>,
    #[arg(long, hide = true)]
    keyring: Option<String>,
}

impl FromElsewhere {
    /// An error for the flags that would change the outcome.
    pub fn refuse(&self) -> anyhow::Result<()> {
        if self.repo.as_ref().is_some_and(|repo| !repo.is_empty()) {
            bail!(
                "charts are read from this machine alone: --repo needs a network; fetch the chart with `helm pull` and \
                 give its directory or archive"
            );
        }
        if self.verify.is_on() {
            bail!("--verify is not available here; check the chart with `helm verify` first");
        }
        Ok(())
    }
}

/// Flags that are accepted without effect, as a command line for Helm may have them, and flags that are refused.
#[derive(Debug, clap::Args)]
pub struct Unavailable {
    #[command(flatten)]
    elsewhere: FromElsewhere,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    dependency_update: Switch,
    #[arg(long, hide = true)]
    post_renderer: Option<String>,
    #[arg(long, hide = true)]
    post_renderer_args: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    pub(super) debug: Switch,
    #[arg(long, hide = true)]
    description: Option<String>,
    #[arg(short, long, hide = true)]
    labels: Vec<Labels>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    create_namespace: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    disable_openapi_validation: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    atomic: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    force: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    force_conflicts: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    force_replace: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    replace: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    rollback_on_failure: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    take_ownership: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    render_subchart_notes: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    wait_for_jobs: Switch,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    hide_notes: Switch,
    #[arg(long, hide = true)]
    timeout: Option<Duration>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "watcher")]
    wait: Option<Wait>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<Switch>,
    #[arg(long, hide = true)]
    kubeconfig: Option<String>,
    #[arg(long, hide = true)]
    kube_context: Option<String>,
    #[arg(long, hide = true)]
    kube_apiserver: Option<String>,
    #[arg(long, hide = true)]
    kube_as_group: Vec<String>,
    #[arg(long, hide = true)]
    kube_as_user: Option<String>,
    #[arg(long, hide = true)]
    kube_ca_file: Option<String>,
    #[arg(long, hide = true)]
    kube_tls_server_name: Option<String>,
    #[arg(long, hide = true)]
    kube_token: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    kube_insecure_skip_tls_verify: Switch,
    #[arg(long, hide = true)]
    burst_limit: Option<String>,
    #[arg(long, hide = true)]
    qps: Option<String>,
    #[arg(long, alias = "colour", hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    content_cache: Option<String>,
    #[arg(long, hide = true)]
    registry_config: Option<String>,
    #[arg(long, hide = true)]
    repository_cache: Option<String>,
    #[arg(long, hide = true)]
    repository_config: Option<String>,
}

impl Unavailable {
    /// An error for the flags that would change the outcome.
    pub fn refuse(&self) -> anyhow::Result<()> {
        self.elsewhere.refuse()?;
        if self.dependency_update.is_on() {
            bail!("--dependency-update needs a network; run `helm dependency update` on the chart first");
        }
        if self.post_renderer.as_ref().is_some_and(|plugin| !plugin.is_empty()) {
            bail!("--post-renderer needs Helm's plugins; pipe the output into the program instead");
        }
        Ok(())
    }
}
