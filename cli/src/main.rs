//! The `fluxide` binary: parses the command line, runs the command, prints its error.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use fluxide::Arguments;

fn main() -> ExitCode {
    let mut program = Arguments::command();
    let line = match fluxide::helm::command_line(&program, std::env::args_os().collect()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let parsed = program.try_get_matches_from_mut(line);
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => match std::env::args().nth(1).as_deref() {
            Some("kustomize") => {
                let last = std::env::args().next_back().unwrap_or_default();
                eprintln!("{}", fluxide::kustomize::usage_error(&error, &last));
                return ExitCode::FAILURE;
            }
            Some("helm") => {
                eprintln!("{}", fluxide::helm::usage_error(&error));
                return ExitCode::FAILURE;
            }
            _ => error.exit(),
        },
        Err(error) => error.exit(),
    };
    match fluxide::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("✗ {}", fluxide::message(&error));
            ExitCode::FAILURE
        }
    }
}
