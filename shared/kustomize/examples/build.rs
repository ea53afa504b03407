//! Builds directories and prints the result, as `kustomize build` does: `cargo run --example build -- DIR...`.

use fluxide_kustomize::{DiskFs, LoadRestrictor, Options, build};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut options = Options::kustomize();
    let mut failed = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--flux" => options = Options::flux(),
            "--load-restrictor=LoadRestrictionsNone" => {
                options = options.with_load_restrictor(LoadRestrictor::None);
            }
            directory => {
                let result = DiskFs::new("/").map_err(fluxide_kustomize::Error::from).and_then(|fs| {
                    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
                    build(&fs, &directory.to_string_lossy(), &options)?.into_documents()
                });
                match result {
                    Ok(documents) => {
                        for (at, document) in documents.iter().enumerate() {
                            print!("{}{document}", if at > 0 { "---\n" } else { "" });
                        }
                    }
                    Err(err) => {
                        eprintln!("Error: {err}");
                        failed = true;
                    }
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
