//! GKE: clusters that take access tokens of Google Cloud.

use serde::Deserialize;
use url::Url;

use super::{Access, ClusterError, Location};
use crate::gcp::Gcp;
use crate::{AuthError, CacheEvents, Token, http};

const SERVICE: &str = "GKE";
const FORM: &str = "^projects/[^/]{1,200}/locations/[^/]{1,200}/clusters/[^/]{1,200}$";
const CONTAINER: &str = "https://container.googleapis.com";

/// With the second one, a cluster knows its visitor by e-mail address, which is what roles are bound to.
const SCOPES: &str =
    "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email";

/// Asks GKE for what the settings do not say.
pub(super) async fn locate(access: &Access, events: &dyn CacheEvents) -> Result<Location, ClusterError> {
    let settings = &access.settings;
    if let Some(location) = settings.location() {
        return Ok(location);
    }
    let name = settings.cluster();
    let base = access.clusters.endpoints.google.as_deref().unwrap_or(CONTAINER);
    let url = url(base, name)?;
    let token = token(access, events).await?;
    let request = access.http.get(url).bearer_auth(&token.secret);
    let failed = |source| ClusterError::Describe { service: SERVICE, name: name.to_owned(), source };
    let cluster: Cluster = http::json(SERVICE, request).await.map_err(failed)?;
    settings.complete(SERVICE, &cluster.endpoint, &cluster.master_auth.cluster_ca_certificate)
}

/// An access token.
pub(super) async fn token(access: &Access, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
    let account = access.account();
    let made = access.tokens().get(access.key(&[SCOPES], account.as_ref()), events, || async {
        let gcp = Gcp::new(access.clusters.environment.clone());
        let gcp = match &access.clusters.endpoints.google {
            Some(address) => gcp.with_endpoint(address),
            None => gcp,
        };
        gcp.token(&access.http, &access.http, account.as_ref(), SCOPES).await
    });
    made.await.map_err(ClusterError::Token)
}

/// The address at which a cluster is described.
fn url(base: &str, name: &str) -> Result<Url, ClusterError> {
    let parts: Vec<&str> = name.split('/').collect();
    let is_id = |id: &str| (1..=200).contains(&id.len()) && id != "." && id != "..";
    let invalid = || ClusterError::Name { what: "GKE cluster ID", name: name.to_owned(), form: FORM };
    match parts.as_slice() {
        ["projects", project, "locations", location, "clusters", cluster]
            if is_id(project) && is_id(location) && is_id(cluster) => {}
        _ => return Err(invalid()),
    }
    let wrong = |error| ClusterError::Http(AuthError::Settings(format!("{base}: {error}")));
    let mut url = Url::parse(base).map_err(wrong)?;
    url.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().push("v1").extend(parts);
    Ok(url)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    endpoint: String,
    master_auth: MasterAuth,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MasterAuth {
    cluster_ca_certificate: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_one_cluster() {
        let of = |name: &str| url(CONTAINER, name).map(String::from).map_err(|error| error.to_string());
        assert_eq!(
            of("projects/acme:p/locations/europe-west1/clusters/prod").unwrap(),
            "https://container.googleapis.com/v1/projects/acme:p/locations/europe-west1/clusters/prod"
        );
        assert_eq!(
            of("projects/a?b#c/locations/l/clusters/%2e").unwrap(),
            "https://container.googleapis.com/v1/projects/a%3Fb%23c/locations/l/clusters/%252e"
        );
        assert_eq!(of("x").unwrap_err(), format!("invalid GKE cluster ID: 'x'. must match {FORM}"));
        for name in [
            "",
            "projects//locations/l/clusters/c",
            "projects/../locations/l/clusters/c",
            "projects/p/locations/l/clusters/c/d",
        ] {
            assert!(of(name).is_err(), "{name}");
        }
    }
}
