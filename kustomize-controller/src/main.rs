//! The kustomize-controller binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    fluxide_runtime::process::main(&fluxide_kustomize_controller::PROFILE, fluxide_kustomize_controller::run)
}
