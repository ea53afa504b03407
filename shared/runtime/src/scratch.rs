//! The directory for what a process needs for a moment: what a killed one left there is cleared away by its successor.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of this process alone, which holds all its temporary files and goes away with it.
///
/// Its name is made of the program's name and the process ID. In a container the latter is the same after a restart, so
/// nothing piles up in a volume that outlives the container, however often it is killed.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    /// Makes the directory, below the system's one for temporary files, and lets [`tempfile`] put everything there.
    pub fn install(program: &str) -> io::Result<Self> {
        let name = format!("{program}-{}", std::process::id());
        let scratch = Self::create(tempfile::env::temp_dir().join(name))?;
        tempfile::env::override_temp_dir(&scratch.directory)
            .map_err(|other| io::Error::other(format!("{} is in use already", other.display())))?;
        Ok(scratch)
    }

    fn create(directory: PathBuf) -> io::Result<Self> {
        remove(&directory)?;
        DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process of this name and number.
        let _ = remove(&self.directory);
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_cleared_and_what_is_made_goes_away() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("controller-1");
        fs::create_dir_all(directory.join("checkout")).unwrap();
        fs::write(directory.join("checkout/large"), "x").unwrap();
        let scratch = Scratch::create(directory.clone()).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::write(directory.join("new"), "x").unwrap();
        drop(scratch);
        assert!(!directory.exists());
    }

    #[test]
    fn a_link_of_somebody_else_leads_nowhere() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "x").unwrap();
        let directory = parent.path().join("controller-1");
        std::os::unix::fs::symlink(&victim, &directory).unwrap();
        let scratch = Scratch::create(directory.clone()).unwrap();
        assert!(victim.join("file").exists());
        assert!(!fs::symlink_metadata(&directory).unwrap().is_symlink());
        drop(scratch);
    }
}
