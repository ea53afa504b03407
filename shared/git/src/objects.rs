//! The objects of one fetch: a pack in a temporary directory, and commits and tags read from it.

use std::path::Path;

use gix::hash::ObjectId;
use gix::objs::{Find, Kind};

use crate::GitError;

/// A commit that was checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its hash in hexadecimal.
    pub hash: String,
    /// The revision as artifacts name it: `main@sha1:...`, `sha1:...`.
    pub revision: String,
    /// Its message.
    pub message: String,
    /// Its signature and what was signed.
    pub signature: Signature,
    /// The tag it was found by, if it is an annotated one.
    pub tag: Option<Tag>,
    /// The name of the tag it was found by, lightweight ones too.
    pub tag_name: Option<String>,
}

impl Commit {
    /// The first line of the message, cut after 50 characters.
    pub fn subject(&self) -> String {
        let line = self.message.trim_start().lines().next().unwrap_or_default().trim_end();
        let mut subject: String = line.chars().take(50).collect();
        if line.chars().count() > 50 {
            subject.push_str("...");
        }
        subject
    }
}

/// An annotated tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The hash of the tag object.
    pub hash: String,
    /// The name inside the tag object, which is what was signed.
    pub name: String,
    /// Its signature and what was signed.
    pub signature: Signature,
}

/// A detached signature; empty if the object is not signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The armored signature.
    pub armor: String,
    /// The exact bytes it is over.
    pub payload: Vec<u8>,
}

/// Objects that were fetched.
pub(crate) struct Objects {
    odb: gix::odb::Handle,
}

impl Objects {
    /// The objects in a directory a session fetched to.
    pub fn open(directory: &Path) -> Result<Self, GitError> {
        let odb = gix::odb::at(directory, gix::hash::Kind::Sha1).map_err(GitError::io(directory))?;
        Ok(Objects { odb })
    }

    /// The bytes of an object of a kind.
    pub fn read(&self, id: &ObjectId, kind: Kind) -> Result<Vec<u8>, GitError> {
        let mut buffer = Vec::new();
        let found = self.odb.try_find(id, &mut buffer).map_err(GitError::protocol)?;
        let Some(data) = found else {
            return Err(GitError::Protocol(format!("object {id} is missing from the server's answer")));
        };
        if data.kind != kind {
            let actual = data.kind;
            return Err(GitError::Protocol(format!("object {id} is a {actual}, not a {kind}")));
        }
        Ok(buffer)
    }

    /// The content of a regular file in the root directory of a tree.
    pub fn file(&self, tree: &ObjectId, name: &str) -> Result<Option<Vec<u8>>, GitError> {
        let bytes = self.read(tree, Kind::Tree)?;
        for entry in gix::objs::TreeRefIter::from_bytes(&bytes, gix::hash::Kind::Sha1) {
            let entry = entry.map_err(|_| GitError::Protocol(format!("tree {tree} is damaged")))?;
            if entry.filename == name && entry.mode.is_blob() {
                return self.read(&entry.oid.into(), Kind::Blob).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether an object is there.
    pub fn contains(&self, id: &ObjectId) -> bool {
        gix::objs::Exists::exists(&self.odb, id)
    }

    /// The commit an object leads to through any number of tags, with the outermost tag.
    pub fn peel(&self, id: &ObjectId) -> Result<(ObjectId, Option<Tag>), GitError> {
        /// Tags of tags are rare, and legal.
        const MAX_TAGS: usize = 10;
        let mut id = *id;
        let mut outermost = None;
        for _ in 0..=MAX_TAGS {
            let mut buffer = Vec::new();
            let kind = self.odb.try_find(&id, &mut buffer).map_err(GitError::protocol)?.map(|d| d.kind);
            match kind {
                Some(Kind::Tag) => {
                    let (target, tag) = parse_tag(&id, &buffer)?;
                    outermost.get_or_insert(tag);
                    id = target;
                }
                Some(Kind::Commit) => return Ok((id, outermost)),
                Some(kind) => {
                    return Err(GitError::Protocol(format!("object {id} is a {kind}, not a commit")));
                }
                None => {
                    return Err(GitError::Protocol(format!(
                        "object {id} is missing from the server's answer"
                    )));
                }
            }
        }
        Err(GitError::Protocol(format!("more than {MAX_TAGS} tags of tags lead to {id}")))
    }

    /// A commit and its tree.
    pub fn commit(&self, id: &ObjectId) -> Result<ParsedCommit, GitError> {
        parse_commit(id, self.read(id, Kind::Commit)?)
    }
}

/// A commit as it is stored.
pub(crate) struct ParsedCommit {
    pub tree: ObjectId,
    pub committed: i64,
    pub message: String,
    pub signature: Signature,
}

fn parse_commit(id: &ObjectId, raw: Vec<u8>) -> Result<ParsedCommit, GitError> {
    let damaged = || GitError::Protocol(format!("commit {id} is damaged"));
    let commit = gix::objs::CommitRef::from_bytes(&raw, gix::hash::Kind::Sha1).map_err(|_| damaged())?;
    let committed = commit.committer().map_err(|_| damaged())?.seconds();
    let tree = commit.tree();
    let message = commit.message.to_string();
    let signature = commit_signature(&raw);
    Ok(ParsedCommit { tree, committed, message, signature })
}

/// Takes the `gpgsig` header out of a commit. The rest is what was signed, byte for byte.
fn commit_signature(raw: &[u8]) -> Signature {
    let mut payload = Vec::with_capacity(raw.len());
    let mut armor = Vec::new();
    let mut in_header = true;
    let mut in_signature = false;
    for line in raw.split_inclusive(|b| *b == b'\n') {
        if in_header {
            if line == b"\n" {
                in_header = false;
            } else if let Some(first) = line.strip_prefix(b"gpgsig ") {
                in_signature = true;
                armor.extend_from_slice(first);
                continue;
            } else if in_signature && line.starts_with(b" ") {
                armor.extend_from_slice(&line[1..]);
                continue;
            }
            in_signature = false;
        }
        payload.extend_from_slice(line);
    }
    Signature { armor: String::from_utf8_lossy(&armor).into_owned(), payload }
}

fn parse_tag(id: &ObjectId, raw: &[u8]) -> Result<(ObjectId, Tag), GitError> {
    let damaged = || GitError::Protocol(format!("tag {id} is damaged"));
    let parsed = gix::objs::TagRef::from_bytes(raw, gix::hash::Kind::Sha1).map_err(|_| damaged())?;
    let tag = Tag { hash: id.to_string(), name: parsed.name.to_string(), signature: tag_signature(raw) };
    Ok((parsed.target(), tag))
}

/// Splits a tag where its last signature begins.
fn tag_signature(raw: &[u8]) -> Signature {
    let mut at = 0;
    let mut begin = raw.len();
    for line in raw.split_inclusive(|b| *b == b'\n') {
        let is_begin = [
            b"-----BEGIN PGP SIGNATURE-----".as_slice(),
            b"-----BEGIN PGP MESSAGE-----",
            b"-----BEGIN SSH SIGNATURE-----",
            b"-----BEGIN SIGNED MESSAGE-----",
        ]
        .iter()
        .any(|marker| line.starts_with(marker));
        if is_begin {
            begin = at;
        }
        at += line.len();
    }
    Signature { armor: String::from_utf8_lossy(&raw[begin..]).into_owned(), payload: raw[..begin].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_cut_out_exactly() {
        let raw = b"tree 1\nauthor a\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\nencoding x\n\ngpgsig in the message\n";
        let signature = commit_signature(raw);
        assert_eq!(signature.armor, "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n");
        assert_eq!(signature.payload, b"tree 1\nauthor a\nencoding x\n\ngpgsig in the message\n");

        let unsigned = commit_signature(b"tree 1\n\nmessage");
        assert_eq!(
            (unsigned.armor.as_str(), unsigned.payload.as_slice()),
            ("", b"tree 1\n\nmessage".as_slice())
        );

        let tag = tag_signature(b"object 1\n\nm\n-----BEGIN SSH SIGNATURE-----\nx\n");
        assert_eq!(tag.armor, "-----BEGIN SSH SIGNATURE-----\nx\n");
        assert_eq!(tag.payload, b"object 1\n\nm\n");
    }

    #[test]
    fn subjects_are_short() {
        let commit = |message: &str| Commit {
            hash: String::new(),
            revision: String::new(),
            message: message.to_owned(),
            signature: Signature::default(),
            tag: None,
            tag_name: None,
        };
        assert_eq!(commit("first\n\nbody").subject(), "first");
        assert_eq!(commit(&"é".repeat(51)).subject(), format!("{}...", "é".repeat(50)));
        assert_eq!(commit(&"x".repeat(50)).subject(), "x".repeat(50));
    }
}
