//! Writes `config/crd` from the API types.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

fn main() -> ExitCode {
    match write_all(&crd_directory()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `config/crd` of this checkout, or the directory given on the command line.
fn crd_directory() -> PathBuf {
    match std::env::args_os().nth(1) {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../crd"),
    }
}

/// Writes the files and deletes those of definitions that are no more.
fn write_all(directory: &Path) -> io::Result<()> {
    let files = fluxide_crdgen::files().map_err(io::Error::other)?;
    for component in fluxide_crdgen::COMPONENTS {
        let directory = directory.join(component);
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let known = files.iter().any(|(name, _)| path.ends_with(name));
            if path.extension().is_some_and(|extension| extension == "yaml") && !known {
                fs::remove_file(path)?;
            }
        }
    }
    for (name, content) in &files {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}
