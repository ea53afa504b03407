//! `spec.verify`: the signatures of what was checked out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fluxide_artifact::digest::{Algorithm, Digest};
use fluxide_git::verify::{self, PublicKeys};
use fluxide_git::{Commit, Reference};
use fluxide_runtime::conditions::{self, Status};
use fluxide_runtime::secrets::{self, Secret};
use fluxide_runtime::{Key, Pass};
use fluxide_source_api::GitRepository;
use fluxide_source_api::git_repository::GitVerificationMode;

use crate::source::condition::SOURCE_VERIFIED;
use crate::source::{self, Problem, reason};

/// Which keys each repository was verified with, as far as this process knows.
#[derive(Default)]
pub struct KeyMemory(Mutex<HashMap<Key, Digest>>);

impl KeyMemory {
    /// Whether the keys of a repository are others than before. Those that are seen first are no others.
    pub fn changed(&self, object: &Key, keys: &Secret) -> bool {
        let digest = digest(keys);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(object.clone()).or_insert_with(|| digest.clone()) != digest
    }

    /// Forgets a repository.
    pub fn forget(&self, object: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    fn remember(&self, object: &Key, keys: &Secret) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(object.clone(), digest(keys));
    }
}

fn digest(keys: &Secret) -> Digest {
    let mut bytes = Vec::new();
    for (name, value) in keys.data() {
        for part in [name.as_bytes(), value] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    Algorithm::Sha256.digest(&bytes)
}

/// The keys a spec names, if it wants anything verified.
pub async fn keys(object: &GitRepository, pass: &Pass) -> Option<Result<Secret, secrets::Error>> {
    let verification = object.spec.verification.as_ref()?;
    Some(Secret::get(pass.client(), &pass.key().namespace, &verification.secret_ref.name).await)
}

/// Whether a commit that was verified before has to be looked at again: more is asked for now than was checked then.
pub fn is_due(object: &GitRepository) -> bool {
    let Some(verification) = &object.spec.verification else {
        return false;
    };
    let observed = object.status.as_ref().and_then(|s| s.source_verification_mode.as_deref());
    let (head, tag) = match observed {
        None | Some("") => (false, false),
        Some("Tag") => (false, true),
        Some("TagAndHEAD") => (true, true),
        Some(_) => (true, false),
    };
    (verification.mode.verifies_head() && !head) || (verification.mode.verifies_tag() && !tag)
}

/// Forgets a verification that is not asked for any more.
pub fn forget(object: &mut GitRepository) {
    conditions::delete(object, SOURCE_VERIFIED);
    if let Some(status) = &mut object.status {
        status.source_verification_mode = None;
    }
}

/// Checks the signatures the spec asks for and says so in `SourceVerified`.
pub async fn check(
    object: &mut GitRepository,
    pass: &Pass,
    commit: &Commit,
    reference: &Reference,
    (memory, keys): (&KeyMemory, Option<Result<Secret, secrets::Error>>),
) -> Result<(), Problem> {
    let (Some(verification), Some(keys)) = (object.spec.verification.clone(), keys) else {
        return Ok(());
    };
    let checked = match &keys {
        Ok(secret) => {
            let entries = secret.data().iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            signatures(commit, reference, &verification.mode, &PublicKeys::from_entries(entries))
        }
        Err(error) => {
            let message = format!("public keys secret error: {error}");
            Err(Problem::retry(reason::VERIFICATION_ERROR, message))
        }
    };
    let message = checked.map_err(|problem| problem.mark(object, SOURCE_VERIFIED, Status::False))?;
    if let Ok(secret) = &keys {
        memory.remember(pass.key(), secret);
    }
    let mode = match verification.mode {
        GitVerificationMode::Tag => "Tag",
        GitVerificationMode::TagAndHead => "TagAndHEAD",
        _ => "HEAD",
    };
    object.status.get_or_insert_default().source_verification_mode = Some(mode.to_owned());
    conditions::mark_true(object, SOURCE_VERIFIED, reason::SUCCEEDED, &message);
    source::trace(object, pass, reason::SUCCEEDED, message);
    Ok(())
}

/// Checks tag and commit, and tells whose signatures they have.
fn signatures(
    commit: &Commit,
    reference: &Reference,
    mode: &GitVerificationMode,
    keys: &PublicKeys,
) -> Result<String, Problem> {
    let now = SystemTime::now();
    let mut message = "verified signature of".to_owned();
    if mode.verifies_tag() {
        let by_tag = match reference {
            Reference::Tag(_) | Reference::Semver(_) => true,
            Reference::Name(name) => name.starts_with("refs/tags/"),
            Reference::Branch(_) | Reference::Commit { .. } => false,
        };
        let (true, Some(name)) = (by_tag, &commit.tag_name) else {
            return Err(Problem::stall(
                reason::INVALID_VERIFICATION_MODE,
                "cannot verify tag object's signature if a tag reference is not specified",
            ));
        };
        let tag = commit.tag.as_ref().filter(|tag| !tag.signature.armor.is_empty()).ok_or_else(|| {
            let message = format!("cannot verify signature of tag '{name}' since it is not signed");
            Problem::retry(reason::INVALID_GIT_OBJECT, message)
        })?;
        let identity = format!("{name}@{}", tag.hash);
        let failed = |why: String| {
            let message = format!("signature verification of tag '{identity}' failed: {why}");
            Problem::retry(reason::INVALID_TAG_SIGNATURE, message)
        };
        // The signature is over the name inside the tag, not over that of the reference.
        if tag.name != *name {
            return Err(failed(format!("it was made for a tag named '{}'", tag.name)));
        }
        let key = verify::verify(&tag.signature, keys, now).map_err(|error| failed(error.to_string()))?;
        message.push_str(&format!("\n\t- tag '{identity}' with key '{key}'"));
    }
    if mode.verifies_head() {
        let hash = &commit.hash;
        let key = verify::verify(&commit.signature, keys, now).map_err(|error| {
            let message = format!("signature verification of commit '{hash}' failed: {error}");
            Problem::retry(reason::INVALID_COMMIT_SIGNATURE, message)
        })?;
        message.push_str(&format!("\n\t- commit '{hash}' with key '{key}'"));
    }
    Ok(message)
}
