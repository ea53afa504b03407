//! The flags of notification-controller.

use clap::{ArgAction, Parser};
use fluxide_runtime::{
    CommonOptions, Error, Profile, duration::GoDuration, options::parse_bool, process::ControllerOptions,
};

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
    /// Export the request path as a label of the HTTP metrics.
    #[arg(long, default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    pub export_http_path_metrics: bool,
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
