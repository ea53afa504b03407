//! Any one of the controllers, or the API server, as a process of its own, for tests that kill it: `controller NAME [FLAG]...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match fluxide_e2e::process::named(std::env::args_os().nth(1).unwrap_or_default().to_str()) {
        Some(main) => main(),
        None => {
            eprintln!("the first argument must name a controller");
            ExitCode::from(2)
        }
    }
}
