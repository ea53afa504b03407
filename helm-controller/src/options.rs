//! The flags of helm-controller.

use clap::{ArgAction, Parser};
use fluxide_runtime::{
    CommonOptions, Error, Profile, duration::GoDuration, options::parse_bool, process::ControllerOptions,
};

/// What helm-controller is before any flag is read.
pub const PROFILE: Profile = Profile {
    feature_gates: &[
        ("AdditiveCELDependencyCheck", false),
        ("AdoptLegacyReleases", false),
        ("AllowDNSLookups", false),
        ("CancelHealthCheckOnNewRevision", false),
        ("CorrectDrift", false),
        ("DefaultToRetryOnFailure", false),
        ("DetectDrift", false),
        ("DirectSourceFetch", false),
        ("DisableChartDigestTracking", false),
        ("DisableConfigWatchers", false),
        ("ExternalArtifact", false),
        ("OOMWatch", false),
        ("UseHelm3Defaults", false),
    ],
    ..Profile::new("helm-controller")
};

/// The flags of helm-controller.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// The flags all controllers share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The maximum number of retries when failing to fetch artifacts over HTTP.
    #[arg(long, default_value = "9")]
    pub http_retry: u32,
    /// The timeout of fetching an artifact over HTTP.
    #[arg(long, default_value = "30s")]
    pub http_timeout: GoDuration,
    /// The duration given to running reconciles to finish before the process ends.
    #[arg(long, default_value = "600s")]
    pub graceful_shutdown_timeout: GoDuration,
    /// Default service account for workload identity in kubeConfig references.
    #[arg(long, default_value = "")]
    pub default_kubeconfig_service_account: String,
    /// The interval at which the OOM watcher checks memory usage.
    #[arg(long, default_value = "500ms")]
    pub oom_watch_interval: GoDuration,
    /// The memory threshold in percentage at which the OOM watcher ends the process gracefully.
    #[arg(long, default_value = "95")]
    pub oom_watch_memory_threshold: u8,
    /// The path of the cgroup file with the memory limit.
    #[arg(long, default_value = "")]
    pub oom_watch_max_memory_path: String,
    /// The path of the cgroup file with the memory usage.
    #[arg(long, default_value = "")]
    pub oom_watch_current_memory_path: String,
    /// The algorithm of the digests of release snapshots.
    #[arg(long, default_value = "sha256", value_parser = ["sha256", "sha384", "sha512", "blake3"])]
    pub snapshot_digest_algo: String,
    /// Field managers to take fields over from; can be repeated.
    #[arg(long, action = ArgAction::Append, value_delimiter = ',')]
    pub override_manager: Vec<String>,
    /// Allow the use of exec plugins in remote kubeconfigs.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub insecure_kubeconfig_exec: bool,
    /// Allow remote kubeconfigs to turn TLS verification off.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub insecure_kubeconfig_tls: bool,
}

impl ControllerOptions for Options {
    fn common(&self) -> &CommonOptions {
        &self.common
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self
            .common
            .check_default_service_accounts(&PROFILE, &[&self.default_kubeconfig_service_account])?)
    }
}

impl Options {
    /// The profile with the shutdown time of the flags.
    pub fn profile(&self) -> Profile {
        Profile { graceful_shutdown: self.graceful_shutdown_timeout.0, ..PROFILE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse(arguments: &[&str]) -> Options {
        let arguments = std::iter::once("helm-controller").chain(arguments.iter().copied());
        fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap()
    }

    #[test]
    fn manifests_and_their_customary_patches_parse() {
        let options = parse(&[
            "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--watch-all-namespaces",
            "--log-level=info",
            "--log-encoding=json",
            "--enable-leader-election",
            "--feature-gates=ExternalArtifact=true",
            "--feature-gates=OOMWatch=true,DetectDrift=true",
            "--no-cross-namespace-refs=true",
            "--default-service-account=default",
            "--concurrent=20",
            "--requeue-dependency=5s",
            "--watch-label-selector=sharding.fluxcd.io/key=shard1",
            "--override-manager=a",
            "--override-manager=b,c",
        ]);
        assert_eq!(options.common.concurrent, 20);
        assert_eq!(options.override_manager, ["a", "b", "c"]);
        let gates = options.common.gates(&PROFILE).unwrap();
        assert!(gates.enabled("OOMWatch") && gates.enabled("ExternalArtifact"));
        assert!(options.check().is_ok());
    }

    #[test]
    fn running_passes_get_ten_minutes_unless_told_otherwise() {
        assert_eq!(parse(&[]).profile().graceful_shutdown, Duration::from_secs(600));
        let options = parse(&["--graceful-shutdown-timeout=5s"]);
        assert_eq!(options.profile().graceful_shutdown, Duration::from_secs(5));
    }
}
