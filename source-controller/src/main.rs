//! The `source-controller` binary.

use std::process::ExitCode;

use fluxide_source_controller::{PROFILE, run};

fn main() -> ExitCode {
    fluxide_runtime::process::main(&PROFILE, run)
}
