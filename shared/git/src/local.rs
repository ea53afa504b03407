//! Repositories on this machine, read where they are.

use std::ffi::OsString;
use std::path::Path;

use gix::hash::ObjectId;
use gix::refs::Target;

use crate::objects::Objects;
use crate::reference::Candidate;
use crate::{GitError, Reference};

/// How many references may lead from one to the next.
const MAX_SYMBOLIC: usize = 5;

/// A repository with its references and objects.
pub(crate) struct LocalRepository {
    repository: gix::Repository,
    objects: Objects,
}

impl LocalRepository {
    /// Opens what Git would find at a path: a work tree, a bare repository, or either with `.git` behind its name. No
    /// configuration but the repository's own is read, and nothing in that is run.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        let mut with_suffix = OsString::from(path);
        with_suffix.push(".git");
        let options = gix::open::Options::isolated();
        let mut found = [path, Path::new(&with_suffix)]
            .into_iter()
            .filter_map(|candidate| gix::open_opts(candidate, options.clone()).ok());
        let Some(repository) = found.next() else {
            let path = path.display();
            return Err(GitError::RepositoryNotFound(format!(
                "'{path}' does not appear to be a git repository"
            )));
        };
        let objects = Objects::open(&repository.common_dir().join("objects"))?;
        Ok(LocalRepository { repository, objects })
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Which commit a reference means.
    pub fn resolve(&self, reference: &Reference) -> Result<Candidate, GitError> {
        let (name, label, tag_name) = match reference {
            Reference::Branch(branch) => (format!("refs/heads/{branch}"), branch, None),
            Reference::Tag(tag) => (format!("refs/tags/{tag}"), tag, Some(tag.clone())),
            Reference::Name(name) => (name.clone(), name, name.strip_prefix("refs/tags/").map(str::to_owned)),
            Reference::Semver(range) => return Err(GitError::NoVersion(range.clone())),
            Reference::Commit { hash, branch } => {
                let missing = |reason: &str| GitError::CommitNotFound {
                    commit: hash.clone(),
                    reason: reason.to_owned(),
                };
                let id = ObjectId::from_hex(hash.as_bytes())
                    .map_err(|_| missing("a commit is named by all 40 hexadecimal digits of its hash"))?;
                if !self.objects.contains(&id) {
                    return Err(missing("object not found"));
                }
                return Ok(Candidate { want: id, commit: id, label: branch.clone(), tag_name: None });
            }
        };
        let id = self.target(&name).ok_or_else(|| GitError::ReferenceNotFound(label.clone()))?;
        Ok(Candidate { want: id, commit: id, label: Some(label.clone()), tag_name })
    }

    /// The object a reference leads to, by way of others if need be.
    fn target(&self, name: &str) -> Option<ObjectId> {
        let mut name = name.to_owned();
        for _ in 0..MAX_SYMBOLIC {
            let full: gix::refs::FullName = name.as_str().try_into().ok()?;
            match self.repository.refs.try_find(full.as_ref()).ok()??.target {
                Target::Object(id) => return Some(id),
                Target::Symbolic(next) => name = next.to_string(),
            }
        }
        None
    }
}
