//! The `fluxide` binary: parses the command line, runs the command, prints its error.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let line = match fluxide::helm::command_line(std::env::args_os().collect()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let arguments = match fluxide::Arguments::try_parse_from(line) {
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
