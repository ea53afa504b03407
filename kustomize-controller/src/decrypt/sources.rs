//! Files that a build reads: sources of generated Secrets and patches, decrypted on top of the artifact.

use std::collections::HashSet;

use fluxide_goyaml::{Node, parse};
use fluxide_kustomize::{FileSystem, FsError};
use fluxide_sops::Format;

use super::{Decryptor, Error};
use crate::artifact_fs::{ArtifactFs, clean};

/// Larger files are refused.
const MOST_BYTES: u64 = 5 << 20;

const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Why the files of a build cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] FsError),
    /// A directory has no kustomization file, or more than one.
    #[error(
        "{directory} must have one of kustomization.yaml, kustomization.yml and Kustomization, but has {found}"
    )]
    Kustomization {
        /// Which directory.
        directory: String,
        /// How many it has.
        found: usize,
    },
    /// A kustomization file is not YAML.
    #[error("{path}: {source}")]
    Yaml {
        /// Which file.
        path: String,
        /// What is wrong.
        source: fluxide_goyaml::Error,
    },
    /// A file is larger than secrets are.
    #[error("{path}: cannot decrypt file with size ({size} bytes) exceeding limit ({MOST_BYTES})")]
    TooLarge {
        /// Which file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A file cannot be decrypted.
    #[error("{path}: {source}")]
    Decrypt {
        /// Which file.
        path: String,
        /// Why.
        source: Error,
    },
}

impl Decryptor {
    /// Decrypts the files that the kustomization in `directory` and those it builds on read, and checks the seal of encrypted
    /// manifests while they are still as their author left them.
    pub fn decrypt_sources(&mut self, files: &mut ArtifactFs, directory: &str) -> Result<(), SourceError> {
        let mut walk = Walk { decryptor: self, files, directories: HashSet::new(), done: HashSet::new() };
        walk.directory(directory)
    }
}

struct Walk<'a> {
    decryptor: &'a mut Decryptor,
    files: &'a mut ArtifactFs,
    directories: HashSet<String>,
    done: HashSet<String>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &str) -> Result<(), SourceError> {
        if !self.directories.insert(directory.to_owned()) {
            return Ok(());
        }
        let present: Vec<String> = FILE_NAMES
            .iter()
            .map(|name| clean(&format!("{directory}/{name}")))
            .filter(|path| self.files.resolve(path).is_ok_and(|found| !found.is_dir))
            .collect();
        let [path] = present.as_slice() else {
            return Err(SourceError::Kustomization { directory: directory.to_owned(), found: present.len() });
        };
        let content = self.files.read(path, MOST_BYTES)?;
        let documents = parse(&content).map_err(|source| SourceError::Yaml { path: path.clone(), source })?;
        let Some(kustomization) = documents.first().map(Node::root) else { return Ok(()) };

        for generator in items(kustomization, "secretGenerator") {
            for source in texts(generator, "files") {
                let (key, path) = match source.split_once('=') {
                    Some((key, path)) => (key, path),
                    None => (source.rsplit('/').next().unwrap_or(source), source),
                };
                self.file(directory, path, Format::of_name(key))?;
            }
            for path in texts(generator, "envs").chain(generator.get_text("env")) {
                let format = match Format::of_name(path) {
                    Format::Binary => Format::Dotenv,
                    other => other,
                };
                self.file(directory, path, format)?;
            }
        }
        for patch in items(kustomization, "patches") {
            if let Some(path) = patch.get_text("path") {
                self.file(directory, path, Format::of_name(path))?;
            }
        }
        for field in ["resources", "components"] {
            for entry in texts(kustomization, field) {
                let path = clean(&format!("{directory}/{entry}"));
                match self.files.resolve(&path) {
                    Ok(found) if found.is_dir => self.directory(&found.path)?,
                    Ok(_) if !entry.contains("://") => self.check_seal(&path)?,
                    // What is missing or remote is the build's to judge.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Puts the plain file on top of an encrypted one.
    fn file(&mut self, directory: &str, entry: &str, format: Format) -> Result<(), SourceError> {
        let path = clean(&format!("{directory}/{entry}"));
        if entry.is_empty() || entry.contains("://") || !self.done.insert(path.clone()) {
            return Ok(());
        }
        let found = match self.files.resolve(&path) {
            Ok(found) if !found.is_dir => found.path,
            Ok(_) | Err(FsError::Resolve { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some(bytes) = self.encrypted(&path, format)? else { return Ok(()) };
        let plain = self
            .decryptor
            .decrypt(&bytes, format, format, true)
            .map_err(|source| SourceError::Decrypt { path: path.clone(), source })?;
        if found != path {
            self.files.overlay(found, plain.clone());
        }
        self.files.overlay(path, plain);
        Ok(())
    }

    /// Refuses an encrypted manifest that was changed. One that no key opens is left to the object's own decryption.
    fn check_seal(&mut self, path: &str) -> Result<(), SourceError> {
        let format = match Format::of_name(path) {
            Format::Json => Format::Json,
            _ => Format::Yaml,
        };
        let Ok(Some(bytes)) = self.encrypted(path, format) else { return Ok(()) };
        let Ok(decrypted) = self.decryptor.open(&bytes, format) else { return Ok(()) };
        decrypted
            .verify_mac()
            .map_err(|error| SourceError::Decrypt { path: path.to_owned(), source: error.into() })
    }

    /// The file when it is encrypted.
    fn encrypted(&self, path: &str, format: Format) -> Result<Option<Vec<u8>>, SourceError> {
        match self.files.read(path, MOST_BYTES) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| format.marks(bytes))),
            Err(FsError::TooLarge { .. }) => {
                let size = std::fs::metadata(self.files.on_disk(path)).map_or(0, |metadata| metadata.len());
                Err(SourceError::TooLarge { path: path.to_owned(), size })
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn items<'a>(node: &'a Node, field: &str) -> impl Iterator<Item = &'a Node> {
    node.get(field).map(Node::items).unwrap_or_default().iter()
}

fn texts<'a>(node: &'a Node, field: &str) -> impl Iterator<Item = &'a str> {
    items(node, field).filter_map(Node::as_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxide_sops::Keyring;
    use std::path::Path;

    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/sops/tests/corpus");

    fn decryptor() -> Decryptor {
        let mut keys = Keyring::default();
        keys.add_age(&std::fs::read_to_string(format!("{CORPUS}/keys/age1.agekey")).unwrap()).unwrap();
        Decryptor::new(Box::new(keys))
    }

    fn copy(from: &str, to: &Path) {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(format!("{CORPUS}/files/{from}"), to).unwrap();
    }

    #[test]
    fn sources_of_generators_and_patches_become_plain() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        std::fs::create_dir_all(at("base")).unwrap();
        std::fs::write(at("kustomization.yaml"), "resources: [base, https://example.com/remote]\n").unwrap();
        std::fs::write(
            at("base/kustomization.yaml"),
            "secretGenerator:\n- name: s\n  files: [config.json=sub/a.json, plain.txt]\n  envs: [settings]\n",
        )
        .unwrap();
        std::fs::write(at("base/plain.txt"), "nothing to see").unwrap();
        copy("json-order.enc.json", &at("base/sub/a.json"));
        copy("dotenv-age.enc.env", &at("base/settings"));
        let mut files = ArtifactFs::new(directory.path()).unwrap();
        decryptor().decrypt_sources(&mut files, "/").unwrap();
        let read = |path: &str| String::from_utf8(files.read(path, MOST_BYTES).unwrap()).unwrap();
        let expected = |file: &str| std::fs::read_to_string(format!("{CORPUS}/files/{file}")).unwrap();
        assert_eq!(read("/base/sub/a.json"), expected("json-order.dec.json"));
        assert_eq!(read("/base/settings"), expected("dotenv-age.dec.env"));
        assert_eq!(read("/base/plain.txt"), "nothing to see");
        assert!(
            std::fs::read_to_string(at("base/sub/a.json")).unwrap().contains("ENC["),
            "the artifact was changed"
        );
    }

    #[test]
    fn a_changed_manifest_is_refused_before_it_is_built() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("kustomization.yaml"), "resources: [secret.yaml]\n").unwrap();
        copy("bad-reordered.enc.yaml", &directory.path().join("secret.yaml"));
        let mut files = ArtifactFs::new(directory.path()).unwrap();
        let error = decryptor().decrypt_sources(&mut files, "/").unwrap_err().to_string();
        assert!(error.contains("/secret.yaml") && error.contains("MAC mismatch"), "{error}");
    }

    #[test]
    fn files_out_of_the_artifact_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("link")).unwrap();
        std::fs::write(
            directory.path().join("kustomization.yaml"),
            "secretGenerator: [{name: s, files: [link]}]\n",
        )
        .unwrap();
        let mut files = ArtifactFs::new(directory.path()).unwrap();
        let error = decryptor().decrypt_sources(&mut files, "/").unwrap_err();
        assert!(matches!(error, SourceError::File(FsError::Outside { .. })), "{error}");
    }
}
