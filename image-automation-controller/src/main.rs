//! The `image-automation-controller` binary.

use fluxide_image_automation_controller::{Options, PROFILE, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    fluxide_runtime::process::main(&PROFILE, |options: &Options| &options.common, run)
}
