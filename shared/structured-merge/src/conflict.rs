//! Fields that an apply would take from others, and how Kubernetes words it.

use std::fmt;

use crate::managers::{ManagerId, Operation};
use crate::path::Path;

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner.
    pub manager: ManagerId,
    /// The field.
    pub path: Path,
}

impl Conflict {
    /// The message of the cause in the answer; the field stands beside it.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.manager.describe())
    }
}

/// Every conflict of an apply, ordered by manager. Its text is the message of the 409 answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "Apply failed with 1 conflict: {}: {}", only.message(), only.path);
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut sorted: Vec<&Conflict> = self.0.iter().collect();
        sorted.sort_by_cached_key(|conflict| order(&conflict.manager));
        let mut previous: Option<&ManagerId> = None;
        for conflict in sorted {
            if previous != Some(&conflict.manager) {
                if previous.is_some() {
                    f.write_str("\n")?;
                }
                write!(f, "conflicts with {}:", conflict.manager.describe())?;
                previous = Some(&conflict.manager);
            }
            write!(f, "\n- {}", conflict.path)?;
        }
        Ok(())
    }
}

/// Managers come in the order of their identities as JSON: one with a subresource before one without.
fn order(id: &ManagerId) -> (String, Operation, String, bool, String) {
    let (manager, version) = (fluxide_gotext::quote_str(&id.manager), id.api_version.clone());
    (manager, id.operation, version, id.subresource.is_empty(), id.subresource.clone())
}

impl std::error::Error for Conflicts {}
