//! The `helm-controller` binary.

use fluxide_helm_controller::{PROFILE, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    fluxide_runtime::process::main(&PROFILE, run)
}
