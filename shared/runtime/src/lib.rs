//! What every controller is made of: options, manager, conditions, events, metrics, probes.
//!
//! A controller's `main.rs` is [`process::main`] with its options and `run`; its `run` builds a
//! [`Manager`], adds a [`Reconciler`] per kind and calls [`Manager::run`]. Nothing here is global but
//! what [`process::main`] installs, so several controllers can run in one process.

mod cached_reads;
mod controller;
mod leader;
mod manager;
mod patch;
mod profile;
mod reconciler;
mod scratch;
pub mod settle;
mod throttle;
mod watch;

pub mod acl;
pub mod client;
pub mod conditions;
pub mod duration;
pub mod events;
pub mod feature_gates;
pub mod jitter;
pub mod key;
pub mod log;
pub mod metrics;
pub mod options;
pub mod pass;
pub mod predicate;
pub mod process;
pub mod queue;
pub mod remote;
pub mod secrets;
pub mod server;
pub mod store;
pub mod tls;
pub mod traces;

pub use controller::{Trigger, Watches};
pub use events::{Recorder, Severity};
pub use feature_gates::FeatureGates;
pub use fluxide_meta::object::Object;
pub use key::{Cause, Key};
pub use leader::{Error as LeaderError, lease_name};
pub use manager::{Error, Listening, Manager};
pub use metrics::Metrics;
pub use options::{CommonOptions, Profile};
pub use pass::Pass;
pub use patch::{Error as PatchError, merge_conditions, merge_diff};
pub use reconciler::{BoxError, FINALIZER, Failure, Kind, Outcome, Reconciler};
pub use settle::settle;
pub use store::{Change, Store};
pub use tokio_util::sync::CancellationToken;
pub use watch::Watched;

use jiff::{Timestamp, tz::TimeZone};

/// A time as Kubernetes writes it: UTC, in whole seconds.
pub fn timestamp(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The name of the host or pod this process runs in.
pub fn hostname() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = from_kernel.unwrap_or_default().trim().to_owned();
    if name.is_empty() { std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned()) } else { name }
}
