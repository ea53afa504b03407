//! The command line of kustomize-controller.

use clap::Parser;
use fluxide_runtime::process::ControllerOptions;
use fluxide_runtime::{CommonOptions, Error, Profile};

/// The feature gates and their defaults.
pub const FEATURE_GATES: &[(&str, bool)] = &[
    ("DisableStatusPollerCache", true),
    (DISABLE_FAIL_FAST, false),
    (STRICT_SUBSTITUTIONS, true),
    (GROUP_CHANGE_LOG, false),
    (ADDITIVE_CEL_DEPENDENCY_CHECK, false),
    (EXTERNAL_ARTIFACT, false),
    (CANCEL_HEALTH_CHECK, true),
    (DISABLE_CONFIG_WATCHERS, false),
    (DIRECT_SOURCE_FETCH, false),
    (MIGRATE_API_VERSION, false),
    (LIVE_DRIFT_DETECTION, false),
    (BUILT_IN_HEALTH_CHECKS, true),
];

/// Wait for the rest when an object has failed its health check.
pub const DISABLE_FAIL_FAST: &str = "DisableFailFastBehavior";
/// Unknown variables are errors.
pub const STRICT_SUBSTITUTIONS: &str = "StrictPostBuildSubstitutions";
/// Log changes by what happened instead of by object.
pub const GROUP_CHANGE_LOG: &str = "GroupChangeLog";
/// `readyExpr` adds to the built-in check of a dependency instead of replacing it.
pub const ADDITIVE_CEL_DEPENDENCY_CHECK: &str = "AdditiveCELDependencyCheck";
/// Allow sources of kind ExternalArtifact.
pub const EXTERNAL_ARTIFACT: &str = "ExternalArtifact";
/// A new revision ends the wait for health.
pub const CANCEL_HEALTH_CHECK: &str = "CancelHealthCheckOnNewRevision";
/// Do not watch Secrets and ConfigMaps.
pub const DISABLE_CONFIG_WATCHERS: &str = fluxide_runtime::feature_gates::DISABLE_CONFIG_WATCHERS;
/// Read sources from the API server instead of from the live copies.
pub const DIRECT_SOURCE_FETCH: &str = "DirectSourceFetch";
/// Move field ownership of other managers to the applied API version.
pub const MIGRATE_API_VERSION: &str = "MigrateAPIVersion";

/// Watch applied objects and correct them as soon as they change.
pub const LIVE_DRIFT_DETECTION: &str = "LiveDriftDetection";
/// Judge well-known custom resources by rules that come with the controller.
pub const BUILT_IN_HEALTH_CHECKS: &str = "BuiltInHealthChecks";

/// What is special about this controller.
pub const PROFILE: Profile = Profile { feature_gates: FEATURE_GATES, ..Profile::new("kustomize-controller") };

/// All flags of kustomize-controller.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// Flags that every controller has.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The number of concurrent server-side apply operations per reconcile.
    #[arg(long, default_value = "4")]
    pub concurrent_ssa: usize,
    /// Disallow remote bases in kustomizations.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true", require_equals = true, value_parser = fluxide_runtime::options::parse_bool, action = clap::ArgAction::Set)]
    pub no_remote_bases: bool,
    /// How often to try again when an artifact cannot be downloaded.
    #[arg(long, default_value = "9")]
    pub http_retry: u32,
    /// The service account to use for decryption when a Kustomization names none.
    #[arg(long, default_value = "")]
    pub default_decryption_service_account: String,
    /// The service account to use for remote clusters when a Kustomization names none.
    #[arg(long, default_value = "")]
    pub default_kubeconfig_service_account: String,
    /// The Secret with age keys for all Kustomizations, in the controller's namespace.
    #[arg(long, default_value = "")]
    pub sops_age_secret: String,
    /// The ConfigMap with Vault addresses and login paths, in the controller's namespace.
    #[arg(long, default_value = "")]
    pub sops_vault_configmap: String,
    /// Field managers whose fields are taken over on apply.
    #[arg(long, value_delimiter = ',')]
    pub override_manager: Vec<String>,
    /// Kinds to apply in a stage before the others, as group/Kind separated by commas.
    #[arg(long, default_value = "")]
    pub custom_apply_stage_kinds: String,
    /// Allow exec plugins in kubeconfigs.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true", require_equals = true, value_parser = fluxide_runtime::options::parse_bool, action = clap::ArgAction::Set)]
    pub insecure_kubeconfig_exec: bool,
    /// Allow kubeconfigs that skip the verification of certificates.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true", require_equals = true, value_parser = fluxide_runtime::options::parse_bool, action = clap::ArgAction::Set)]
    pub insecure_kubeconfig_tls: bool,
}

impl ControllerOptions for Options {
    fn common(&self) -> &CommonOptions {
        &self.common
    }

    fn check(&self) -> Result<(), Error> {
        let accounts = [&*self.default_decryption_service_account, &*self.default_kubeconfig_service_account];
        Ok(self.common.check_default_service_accounts(&PROFILE, &accounts)?)
    }
}
