//! The flags of notification-controller.

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use fluxide_runtime::{
    CommonOptions, Error, Profile, duration::GoDuration, options::parse_bool, process::ControllerOptions,
};

use crate::delivery;
use crate::notifier::policy::{Exception, Policy};

/// What notification-controller is before any flag is read. Its `--events-addr` is the address it
/// listens on for events, not one to send events to.
pub const PROFILE: Profile = Profile {
    events_addr: ":9090",
    feature_gates: &[("DisableConfigWatchers", false)],
    ..Profile::new("notification-controller")
};

/// The flags of notification-controller.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// The flags all controllers share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The address the webhook receiver endpoint binds to.
    #[arg(long = "receiver-addr", alias = "receiverAddr", default_value = ":9292")]
    pub receiver_addr: String,
    /// The interval in which an event of the same content is sent once.
    #[arg(long, default_value = "5m")]
    pub rate_limit_interval: GoDuration,
    /// Whether times, durations, ids of requests and addresses in messages make no difference between events: the same
    /// failure is told once per interval.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub rate_limit_ignore_volatile: bool,
    /// Export the request path as a label of the HTTP metrics.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub export_http_path_metrics: bool,
    /// The directory in which notifications are kept until they are delivered; empty keeps them in memory only.
    #[arg(long, env = "DELIVERY_QUEUE_PATH", default_value = "")]
    pub delivery_queue_path: String,
    /// The maximum size of all notifications that wait, in bytes.
    #[arg(long, default_value = "67108864")]
    pub delivery_queue_max_size: usize,
    /// The maximum number of notifications that wait for one provider; the oldest are dropped.
    #[arg(long, default_value = "10000")]
    pub delivery_queue_max_length: usize,
    /// How long the delivery of a notification is tried again.
    #[arg(long, default_value = "6h")]
    pub delivery_max_age: GoDuration,
    /// Which addresses providers, and the issuers of receivers, may have: 'any', or 'external' to refuse those inside of the
    /// cluster and its network.
    #[arg(long, value_enum, default_value_t)]
    pub provider_address_policy: Policy,
    /// Networks, addresses and host names (with a dot in front, all below it) that providers may have in spite of the policy.
    #[arg(long, value_delimiter = ',')]
    pub provider_address_exceptions: Vec<Exception>,
    /// How many calls per second are accepted by one Receiver; 0 is any number.
    #[arg(long, default_value = "0")]
    pub receiver_rate_limit: u32,
}

impl ControllerOptions for Options {
    fn common(&self) -> &CommonOptions {
        &self.common
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self.common.check_default_service_accounts(&PROFILE, &[&self.common.default_service_account])?)
    }
}

impl Options {
    /// How notifications are kept until they are delivered.
    pub fn delivery(&self) -> delivery::Options {
        let path = &self.delivery_queue_path;
        delivery::Options {
            directory: (!path.is_empty()).then(|| PathBuf::from(path)),
            limits: delivery::Limits {
                per_provider: self.delivery_queue_max_length,
                bytes: self.delivery_queue_max_size,
            },
            max_age: self.delivery_max_age.0,
        }
    }

    /// The options of the manager: this controller sends its own events to Kubernetes only.
    pub fn manager_options(&self) -> CommonOptions {
        CommonOptions { events_addr: String::new(), ..self.common.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        let arguments = std::iter::once("notification-controller").chain(arguments.iter().copied());
        fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap()
    }

    #[test]
    fn the_receiver_address_has_two_spellings() {
        assert_eq!(parse(&[]).receiver_addr, ":9292");
        assert_eq!(parse(&["--receiverAddr=:1"]).receiver_addr, ":1");
        assert_eq!(parse(&["--receiver-addr", ":2"]).receiver_addr, ":2");
    }

    #[test]
    fn the_events_address_is_one_to_listen_on() {
        let options = parse(&["--watch-all-namespaces", "--enable-leader-election"]);
        assert_eq!(options.common.events_addr, ":9090");
        assert_eq!(options.manager_options().events_addr, "");
        assert!(options.check().is_ok());
    }
}
