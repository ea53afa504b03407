//! The `image-automation-controller` binary.

use fluxide_image_automation_controller::{PROFILE, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    fluxide_runtime::process::main(&PROFILE, run)
}
