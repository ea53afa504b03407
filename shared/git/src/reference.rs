//! Which commit of a repository is meant, and how to find it among the server's references.

use std::cmp::Ordering;

use fluxide_semver_range::{Constraint, Version};
use gix::hash::ObjectId;

use crate::GitError;
use crate::session::{RemoteRef, Session};

/// The commit that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The head of a branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// The tag with the highest version in a range.
    Semver(String),
    /// Any reference by its full name, such as `refs/pull/7/head`.
    Name(String),
    /// A commit by its hash.
    Commit {
        /// The hash, 40 hexadecimal digits.
        hash: String,
        /// A branch it is on.
        branch: Option<String>,
    },
}

/// What has to be fetched for a reference. More than one only if tags name equal versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The object to ask for: the tag, if it is an annotated one.
    pub want: ObjectId,
    /// The commit it means; not known to be one before it is fetched.
    pub commit: ObjectId,
    /// The part of the revision before `@`.
    pub label: Option<String>,
    pub tag_name: Option<String>,
}

impl Candidate {
    pub fn revision(&self) -> String {
        match &self.label {
            Some(label) => format!("{label}@sha1:{}", self.commit),
            None => format!("sha1:{}", self.commit),
        }
    }
}

impl Reference {
    /// Asks the server which commit the reference means.
    pub(crate) fn resolve(&self, session: &mut Session) -> Result<Vec<Candidate>, GitError> {
        match self {
            Reference::Branch(branch) => {
                let name = format!("refs/heads/{branch}");
                let found = find(session, &name)?;
                Ok(vec![Candidate::labelled(found, branch)])
            }
            Reference::Tag(tag) => {
                let name = format!("refs/tags/{tag}");
                let found = find(session, &name)?;
                let mut candidate = Candidate::labelled(found, tag);
                candidate.tag_name = Some(tag.clone());
                Ok(vec![candidate])
            }
            Reference::Semver(range) => {
                let constraint = Constraint::parse(range).map_err(GitError::InvalidRange)?;
                let refs = session.list(&["refs/tags/".to_owned()])?;
                let newest = newest_tags(refs, &constraint);
                if newest.is_empty() {
                    return Err(GitError::NoVersion(range.clone()));
                }
                Ok(newest)
            }
            Reference::Name(name) => {
                if name.starts_with('/') || name.ends_with('/') {
                    return Err(GitError::InvalidReference(name.clone()));
                }
                let plain = name.strip_suffix("^{}").unwrap_or(name);
                let refs = session.list(&[plain.to_owned()])?;
                let found = refs
                    .into_iter()
                    .find(|r| r.name == plain)
                    .ok_or_else(|| GitError::Unresolved(name.clone()))?;
                let tag_name = plain.strip_prefix("refs/tags/").map(str::to_owned);
                let mut candidate = Candidate::labelled(found, name);
                candidate.tag_name = tag_name;
                Ok(vec![candidate])
            }
            Reference::Commit { hash, branch } => {
                let id = ObjectId::from_hex(hash.as_bytes()).map_err(|_| GitError::CommitNotFound {
                    commit: hash.clone(),
                    reason: "a commit is named by all 40 hexadecimal digits of its hash".to_owned(),
                })?;
                Ok(vec![Candidate { want: id, commit: id, label: branch.clone(), tag_name: None }])
            }
        }
    }
}

impl Candidate {
    fn labelled(found: RemoteRef, label: &str) -> Self {
        Candidate { want: found.id, commit: found.commit, label: Some(label.to_owned()), tag_name: None }
    }
}

fn find(session: &mut Session, name: &str) -> Result<RemoteRef, GitError> {
    let refs = session.list(&[name.to_owned()])?;
    if let Some(found) = refs.into_iter().find(|r| r.name == name) {
        return Ok(found);
    }
    if name.starts_with("refs/heads/") && session.list(&["refs/".to_owned()])?.is_empty() {
        return Err(GitError::EmptyRepository);
    }
    Err(GitError::ReferenceNotFound(name.to_owned()))
}

/// The tags with the highest version in the range.
fn newest_tags(refs: Vec<RemoteRef>, constraint: &Constraint) -> Vec<Candidate> {
    let mut newest: Vec<(Version, Candidate)> = Vec::new();
    for reference in refs {
        let Some(tag) = reference.name.strip_prefix("refs/tags/").map(str::to_owned) else {
            continue;
        };
        let Ok(version) = Version::parse_tag(&tag) else {
            continue;
        };
        if !constraint.matches(&version) {
            continue;
        }
        let order = newest.first().map(|(v, _)| version.cmp(v));
        if order == Some(Ordering::Less) {
            continue;
        }
        if order == Some(Ordering::Greater) {
            newest.clear();
        }
        let mut candidate = Candidate::labelled(reference, &tag);
        candidate.tag_name = Some(tag);
        newest.push((version, candidate));
    }
    newest.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_wins_and_equals_stay_together() {
        let refs = ["v1.0.0", "1.2.0", "v1.2.0", "1.3.0-rc.1", "1.9", "2.0.0", "x"]
            .iter()
            .map(|tag| RemoteRef {
                name: format!("refs/tags/{tag}"),
                id: ObjectId::null(gix::hash::Kind::Sha1),
                commit: ObjectId::null(gix::hash::Kind::Sha1),
            })
            .collect();
        let constraint = Constraint::parse("<2").unwrap();
        let tags: Vec<_> = newest_tags(refs, &constraint).into_iter().map(|c| c.tag_name.unwrap()).collect();
        assert_eq!(tags, ["1.2.0", "v1.2.0"]);
    }
}
