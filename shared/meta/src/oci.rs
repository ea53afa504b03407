//! What the kinds that talk to OCI registries share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::string_enum;

string_enum! {
    /// Who authenticates to a registry.
    pub enum RegistryProvider {
        /// The credentials of `secretRef`, or nobody.
        Generic(default) = "generic",
        /// The identity of the workload at AWS.
        Aws = "aws",
        /// The identity of the workload at Azure.
        Azure = "azure",
        /// The identity of the workload at Google Cloud.
        Gcp = "gcp",
    }
}

string_enum! {
    /// Formats of signatures.
    pub enum SignatureProvider {
        /// Sigstore's cosign.
        Cosign(default) = "cosign",
        /// Notary Project's notation.
        Notation = "notation",
    }
}

/// An identity accepted in keyless signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcIdentityMatch {
    /// Regular expression for the issuer.
    pub issuer: String,
    /// Regular expression for the subject.
    pub subject: String,
}
