//! The `fluxide` binary: parses the command line, runs the command, prints its error.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = fluxide::Arguments::parse();
    match fluxide::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}
