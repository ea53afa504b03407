//! The `notification-controller` binary.

use fluxide_notification_controller::{PROFILE, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    fluxide_runtime::process::main(&PROFILE, run)
}
