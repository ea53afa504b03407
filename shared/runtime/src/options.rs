//! The flags all controllers share, read as Flux's controllers read theirs.
//!
//! `--flag=value` and `--flag value` are the same; booleans are `--flag` or `--flag=false`; a
//! repeated scalar takes the last value, a repeated list grows; an unknown flag ends with usage
//! and exit code 2.

use crate::{
    duration::GoDuration,
    feature_gates::{self, FeatureGates},
    jitter::{InvalidPercentage, Jitter},
    queue::Backoff,
};
use clap::{ArgAction, Args, Parser};
use std::{ffi::OsString, time::Duration};

/// What differs between controllers before any flag is read.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The controller's name, `source-controller` and so on.
    pub name: &'static str,
    /// Default of `--concurrent`.
    pub concurrent: usize,
    /// Default of `--events-addr`.
    pub events_addr: &'static str,
    /// Default of `--requeue-dependency`.
    pub requeue_dependency: &'static str,
    /// How long running passes may take to end at shutdown.
    pub graceful_shutdown: Duration,
    /// The feature gates and their defaults, besides those every controller has.
    pub feature_gates: &'static [(&'static str, bool)],
    /// Feature gates of earlier versions that people still set: accepted, without any effect.
    pub retired_feature_gates: &'static [&'static str],
}

impl Profile {
    /// A profile with the defaults most controllers have.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            concurrent: 4,
            events_addr: "",
            requeue_dependency: "30s",
            graceful_shutdown: Duration::from_secs(30),
            feature_gates: &[],
            retired_feature_gates: &[],
        }
    }
}

/// The flags all controllers share.
#[derive(Args, Clone, Debug)]
pub struct CommonOptions {
    /// The address the metrics endpoint binds to.
    #[arg(long, env = "METRICS_ADDR", default_value = ":8080")]
    pub metrics_addr: String,
    /// The address the health endpoint binds to.
    #[arg(long, default_value = ":9440")]
    pub health_addr: String,
    /// The address of the events receiver; empty turns sending events off.
    #[arg(long, default_value = "")]
    pub events_addr: String,
    /// The number of concurrent reconciles per controller.
    #[arg(long, default_value = "4")]
    pub concurrent: usize,
    /// The maximum queries-per-second of requests sent to the Kubernetes API; not enforced where
    /// the API server has priority and fairness.
    #[arg(long, default_value = "50")]
    pub kube_api_qps: f64,
    /// The maximum burst queries-per-second of requests sent to the Kubernetes API.
    #[arg(long, default_value = "300")]
    pub kube_api_burst: u32,
    /// Log encoding format: 'json' or 'console'.
    #[arg(long, default_value = "json")]
    pub log_encoding: String,
    /// Log verbosity level: 'trace', 'debug', 'info' or 'error'.
    #[arg(long, default_value = "info")]
    pub log_level: String,
    /// Enable leader election for controller manager.
    #[command(flatten)]
    pub leader_election: LeaderElectionOptions,
    /// The minimum amount of time for which an object being reconciled will have to wait before a retry.
    #[arg(long, default_value = "750ms")]
    pub min_retry_delay: GoDuration,
    /// The maximum amount of time for which an object being reconciled will have to wait before a retry.
    #[arg(long, default_value = "15m")]
    pub max_retry_delay: GoDuration,
    /// A comma separated list of key=value pairs defining the state of experimental features.
    #[arg(long, action = ArgAction::Append, default_value = "")]
    pub feature_gates: Vec<String>,
    /// Watch for custom resources in all namespaces, if set to false it will only watch the runtime namespace.
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub watch_all_namespaces: bool,
    /// Watch for resources with matching labels e.g. 'sharding.fluxcd.io/key=shard1'.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub watch_label_selector: String,
    /// Watch for ConfigMaps and Secrets with matching labels.
    #[arg(long, default_value = "reconcile.fluxcd.io/watch=Enabled", allow_hyphen_values = true)]
    pub watch_configs_label_selector: String,
    /// Percentage of jitter to apply to interval durations. A value of 10 will apply a jitter of +/-10% to the interval duration. It cannot be negative, and must be less than 100.
    #[arg(long, default_value = "5", allow_negative_numbers = true)]
    pub interval_jitter_percentage: i64,
    /// When set to true, references between custom resources are allowed only if the reference and the referee are in the same namespace.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub no_cross_namespace_refs: bool,
    /// Default service account, impersonated or used for workload identity.
    #[arg(long, default_value = "")]
    pub default_service_account: String,
    /// The maximum size of the cache in number of tokens.
    #[arg(long, default_value = "100")]
    pub token_cache_max_size: usize,
    /// The maximum duration for which a token is cached.
    #[arg(long, default_value = "1h")]
    pub token_cache_max_duration: GoDuration,
    /// The interval at which failing dependencies are reevaluated.
    #[arg(long, default_value = "30s")]
    pub requeue_dependency: GoDuration,
    /// Export metrics with one series per object.
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub object_metrics: bool,
    /// The OpenTelemetry collector to send traces to by OTLP over HTTP; empty turns tracing off.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "")]
    pub otlp_endpoint: String,
    /// The namespace the controller runs in.
    #[arg(skip = std::env::var("RUNTIME_NAMESPACE").unwrap_or_default())]
    pub runtime_namespace: String,
}

/// The values `--log-encoding` knows; the first stands for all others.
pub(crate) const LOG_ENCODINGS: [&str; 2] = ["json", "console"];

/// The values `--log-level` knows; the first stands for all others.
pub(crate) const LOG_LEVELS: [&str; 4] = ["info", "trace", "debug", "error"];

/// The flags of leader election.
#[derive(Args, Clone, Debug)]
pub struct LeaderElectionOptions {
    /// Enable leader election for controller manager. Enabling this will ensure there is only one active controller manager.
    #[arg(id = "enable-leader-election", long = "enable-leader-election", default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub enabled: bool,
    /// Defines if the leader should step down voluntarily when the manager ends.
    #[arg(id = "leader-election-release-on-cancel", long = "leader-election-release-on-cancel", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub release_on_cancel: bool,
    /// Interval at which non-leader candidates will wait to force acquire leadership (duration string).
    #[arg(
        id = "leader-election-lease-duration",
        long = "leader-election-lease-duration",
        default_value = "35s"
    )]
    pub lease_duration: GoDuration,
    /// Duration that the leading controller manager will retry refreshing leadership before giving up (duration string).
    #[arg(
        id = "leader-election-renew-deadline",
        long = "leader-election-renew-deadline",
        default_value = "30s"
    )]
    pub renew_deadline: GoDuration,
    /// Duration the LeaderElector clients should wait between tries of actions (duration string).
    #[arg(id = "leader-election-retry-period", long = "leader-election-retry-period", default_value = "5s")]
    pub retry_period: GoDuration,
}

/// Options that cannot be honoured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The jitter is out of range.
    #[error(transparent)]
    Jitter(#[from] InvalidPercentage),
    /// A feature gate is unknown or malformed.
    #[error(transparent)]
    FeatureGate(#[from] feature_gates::Error),
    /// A default service account needs a feature gate.
    #[error(
        "cannot set default service accounts when the feature gate ObjectLevelWorkloadIdentity is not enabled"
    )]
    DefaultServiceAccount,
    /// Watching one namespace needs to know which.
    #[error("RUNTIME_NAMESPACE must be set when --watch-all-namespaces=false")]
    RuntimeNamespace,
}

impl CommonOptions {
    /// The options of a controller started without any flags.
    pub fn defaults(profile: &Profile) -> Self {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            common: CommonOptions,
        }
        let mut options = match parse_from::<Only>(profile, [profile.name]) {
            Ok(only) => only.common,
            Err(error) => unreachable!("the defaults are valid flags: {error}"),
        };
        options.runtime_namespace = String::new();
        options
    }

    /// Whether the flags can be honoured.
    pub fn check(&self, profile: &Profile) -> Result<(), Error> {
        self.gates(profile)?;
        self.jitter()?;
        self.watched_namespace()?;
        Ok(())
    }

    /// The backoff of failing objects.
    pub fn backoff(&self) -> Backoff {
        Backoff { min: self.min_retry_delay.0, max: self.max_retry_delay.0 }
    }

    /// The jitter of intervals.
    pub fn jitter(&self) -> Result<Jitter, Error> {
        Ok(Jitter::from_percentage(self.interval_jitter_percentage)?)
    }

    /// The state of the feature gates.
    pub fn gates(&self, profile: &Profile) -> Result<FeatureGates, Error> {
        let values = self.feature_gates.iter().map(String::as_str);
        Ok(FeatureGates::parse(profile.feature_gates, profile.retired_feature_gates, values)?)
    }

    /// Whether default service accounts for workload identity may be set: only with the gate that
    /// lets objects have identities of their own.
    pub fn check_default_service_accounts(&self, profile: &Profile, accounts: &[&str]) -> Result<(), Error> {
        let gates = self.gates(profile)?;
        let set = accounts.iter().any(|account| !account.is_empty());
        if set && !gates.enabled(feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY) {
            return Err(Error::DefaultServiceAccount);
        }
        Ok(())
    }

    /// The namespace to watch, or `None` for all.
    pub fn watched_namespace(&self) -> Result<Option<&str>, Error> {
        match (self.watch_all_namespaces, self.runtime_namespace.as_str()) {
            (true, _) => Ok(None),
            (false, "") => Err(Error::RuntimeNamespace),
            (false, namespace) => Ok(Some(namespace)),
        }
    }
}

/// Reads a controller's command line; the error says what clap would print and exit with.
pub fn parse_from<T: Parser>(
    profile: &Profile,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<T, clap::Error> {
    let mut command =
        T::command().name(profile.name).version(env!("CARGO_PKG_VERSION")).args_override_self(true);
    for (argument, default) in [
        ("concurrent", profile.concurrent.to_string()),
        ("events_addr", profile.events_addr.to_owned()),
        ("requeue_dependency", profile.requeue_dependency.to_owned()),
    ] {
        command = command.mut_arg(argument, |argument| argument.default_value(default));
    }
    // Where events go may come from the environment; where they are listened for may not.
    if profile.events_addr.is_empty() {
        command = command.mut_arg("events_addr", |argument| argument.env("EVENTS_ADDR"));
    }
    let matches = command.try_get_matches_from_mut(arguments)?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Reads a boolean as Go's flags do.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests;
