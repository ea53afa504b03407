//! The documents of the server itself: its version, its groups, and the issuer of its tokens.

use sha2::{Digest, Sha256};

use super::operations::{Document, Operation, Path, group};
use crate::registry::Catalog;

const API_VERSIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions";
const GROUP_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList";

/// A document of version 3 that is about no resources.
pub(super) struct Around {
    /// Where it is, below `/openapi/v3/`.
    pub place: String,
    /// The one path that it describes.
    pub path: Path,
    pub hash: String,
}

impl Around {
    fn new(place: &str, path: Path) -> Self {
        let hash = hex::encode_upper(Sha256::digest(place));
        Around { place: place.to_owned(), path, hash }
    }
}

/// The documents around the resources of `catalog`.
pub(super) fn documents(catalog: &Catalog) -> Vec<Around> {
    let mut out = vec![
        Around::new("api", versions("getCoreAPIVersions", "core", API_VERSIONS).at("/api/".to_owned())),
        Around::new("apis", versions("getAPIVersions", "apis", GROUP_LIST).at("/apis/".to_owned())),
        Around::new("version", version()),
        Around::new("openid/v1/jwks", keys()),
        Around::new(".well-known/openid-configuration", issuer()),
    ];
    let groups = catalog.groups.iter().filter(|(name, facts)| facts.builtin && !name.is_empty());
    out.extend(groups.map(|(name, _)| Around::new(&format!("apis/{name}"), group(name))));
    out
}

fn versions(id: &str, tag: &str, schema: &'static str) -> Document {
    Document { id: id.to_owned(), description: "get available API versions", tag: tag.to_owned(), schema }
}

fn version() -> Path {
    let document = Document {
        id: "getCodeVersion".to_owned(),
        description: "get the version information for this server",
        tag: "version".to_owned(),
        schema: "io.k8s.apimachinery.pkg.version.Info",
    };
    with(document.at("/version/".to_owned()), |operation| {
        operation.consumes = &["application/json"];
        operation.produces = &["application/json"];
    })
}

fn keys() -> Path {
    let document = Document {
        id: "getServiceAccountIssuerOpenIDKeyset".to_owned(),
        description: "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        tag: "openid".to_owned(),
        schema: "",
    };
    with(document.at("/openid/v1/jwks/".to_owned()), |operation| {
        operation.consumes = &[];
        operation.produces = &["application/jwk-set+json"];
        operation.response = None;
    })
}

fn issuer() -> Path {
    let document = Document {
        id: "getServiceAccountIssuerOpenIDConfiguration".to_owned(),
        description: "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        tag: "WellKnown".to_owned(),
        schema: "",
    };
    with(document.at("/.well-known/openid-configuration/".to_owned()), |operation| {
        operation.consumes = &[];
        operation.produces = &["application/json"];
        operation.response = None;
    })
}

fn with(mut path: Path, change: impl Fn(&mut Operation)) -> Path {
    path.operations.iter_mut().for_each(change);
    path
}
