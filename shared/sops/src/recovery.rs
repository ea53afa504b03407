//! The data key of a file, recovered through one of its master keys, or through shares from several groups.

use std::fmt;

use zeroize::Zeroizing;

use crate::keys::KeyService;
use crate::metadata::Metadata;
use crate::shamir;

/// The key that values are encrypted with. It is wiped from memory when it is dropped, and never printed.
#[derive(Clone)]
pub struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// The 32 bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Why the data key cannot be had: what became of each master key.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Too few groups gave their part.
    #[error(
        "Failed to get the data key required to decrypt the SOPS file.\n{0}\nRecovery failed because no master key was able to decrypt the file. In\norder for SOPS to recover the file, at least one key has to be successful,\nbut none were."
    )]
    NoKey(String),
    /// The shares do not fit together.
    #[error("Error getting data key from shares: {0}")]
    Shares(#[from] shamir::ShamirError),
    /// It is no AES-256 key.
    #[error("the data key has {0} bytes instead of 32")]
    Length(usize),
}

/// Recovers the data key.
pub(crate) fn data_key(metadata: &Metadata, keys: &mut dyn KeyService) -> Result<DataKey, RecoveryError> {
    let mut report = String::new();
    let mut parts = Vec::new();
    for (number, group) in metadata.groups.iter().enumerate() {
        let mut order: Vec<_> = group.iter().collect();
        order.sort_by_key(|key| key.preference());
        let mut failures = String::new();
        let mut part = None;
        for key in order {
            match keys.decrypt(key) {
                Ok(found) => {
                    part = Some(found);
                    break;
                }
                Err(reason) => {
                    let reason = reason.replace('\n', "\n      | ");
                    failures.push_str(&format!("  {}: FAILED\n    - | {reason}\n\n", key.name()));
                }
            }
        }
        let outcome = if part.is_some() { "SUCCESS" } else { "FAILED" };
        report.push_str(&format!("\nGroup {number}: {outcome}\n{failures}"));
        parts.extend(part);
    }
    let wanted = match (metadata.groups.len(), metadata.shamir_threshold) {
        (1, _) => 1,
        (groups, 0) => groups,
        (_, threshold) => threshold,
    };
    if parts.len() < wanted {
        return Err(RecoveryError::NoKey(report.trim_end().to_owned() + "\n"));
    }
    let key = match metadata.groups.len() {
        1 => parts.swap_remove(0),
        _ => shamir::combine(&parts)?,
    };
    if key.len() != 32 {
        return Err(RecoveryError::Length(key.len()));
    }
    Ok(DataKey(Zeroizing::new(key)))
}
