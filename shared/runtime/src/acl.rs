//! Who may refer to what across namespaces.

use crate::{client, key::Key};
use fluxide_meta::AccessFrom;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

/// The reason and condition type of a refusal.
pub const ACCESS_DENIED: &str = "AccessDenied";

/// A reference that is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The referenced object grants nobody access.
    #[error("'{0}' can't be accessed due to missing ACL labels on 'accessFrom'")]
    Missing(Key),
    /// The referenced object grants others access.
    #[error("'{reference}' can't be accessed due to ACL labels mismatch on namespace '{namespace}'")]
    Mismatch {
        /// What was referred to.
        reference: Key,
        /// From where.
        namespace: String,
    },
    /// The labels of the namespace cannot be read.
    #[error("unable to read namespace '{namespace}': {reason}")]
    Namespace {
        /// Which.
        namespace: String,
        /// The API server's words.
        reason: String,
    },
    /// No reference may leave its namespace.
    #[error("can't access '{kind}/{reference}', cross-namespace references have been blocked")]
    Blocked {
        /// Kind of what was referred to.
        kind: String,
        /// What was referred to.
        reference: Key,
    },
}

impl Error {
    /// Whether trying again is of no use until something changes.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Namespace { .. })
    }
}

/// Refuses a reference to another namespace when `--no-cross-namespace-refs` is set.
pub fn check_same_namespace(
    no_cross_namespace_refs: bool,
    from_namespace: &str,
    kind: &str,
    reference: &Key,
) -> Result<(), Error> {
    let crosses = !reference.namespace.is_empty() && reference.namespace != from_namespace;
    if no_cross_namespace_refs && crosses {
        return Err(Error::Blocked { kind: kind.to_owned(), reference: reference.clone() });
    }
    Ok(())
}

/// Refuses a reference unless it stays in its namespace or the referenced object grants access to
/// namespaces with labels like those of this one.
pub async fn check_access_from(
    client: &Client,
    from_namespace: &str,
    reference: &Key,
    access_from: Option<&AccessFrom>,
) -> Result<(), Error> {
    if reference.namespace.is_empty() || reference.namespace == from_namespace {
        return Ok(());
    }
    let access_from = access_from.ok_or_else(|| Error::Missing(reference.clone()))?;
    let api = Api::<Namespace>::all(client.clone());
    let namespace = api.get(from_namespace).await.map_err(|error| Error::Namespace {
        namespace: from_namespace.to_owned(),
        reason: client::message(&error),
    })?;
    if access_from.grants(&namespace.metadata.labels.unwrap_or_default()) {
        return Ok(());
    }
    Err(Error::Mismatch { reference: reference.clone(), namespace: from_namespace.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_may_leave_their_namespace_unless_blocked() {
        let reference = Key::new("b", "n");
        assert!(check_same_namespace(false, "a", "GitRepository", &reference).is_ok());
        assert!(check_same_namespace(true, "b", "GitRepository", &reference).is_ok());
        assert!(check_same_namespace(true, "a", "GitRepository", &Key::new("", "n")).is_ok());
        let error = check_same_namespace(true, "a", "GitRepository", &reference).unwrap_err();
        assert_eq!(
            error.to_string(),
            "can't access 'GitRepository/b/n', cross-namespace references have been blocked"
        );
    }
}
