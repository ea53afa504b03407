//! AKS: clusters that take tokens of Entra ID.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::config::Kubeconfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{Access, ClusterError, Location, address, authorities};
use crate::azure::Azure;
use crate::{AuthError, CacheEvents, Token, http};

const SERVICE: &str = "AKS";
const FORM: &str = "(?i)^/subscriptions/([^/]{36})/resourceGroups/([^/]{1,200})/providers/Microsoft\\.ContainerService/managedClusters/([^/]{1,200})$";

/// What every AKS cluster is to Entra ID.
const SCOPE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";

const API_VERSION: &str = "2022-04-01";

/// Asks Azure's resource manager for what the settings do not say.
pub(super) async fn locate(access: &Access, events: &dyn CacheEvents) -> Result<Location, ClusterError> {
    let settings = &access.settings;
    if let Some(location) = settings.location() {
        return Ok(location);
    }
    let name = settings.cluster();
    let failed = |source| ClusterError::Describe { service: SERVICE, name: name.to_owned(), source };
    let unusable =
        |reason: String| ClusterError::Unusable { service: SERVICE, name: name.to_owned(), reason };
    let manager = ResourceManager::of(access).map_err(failed)?;
    let url = url(&manager.endpoint, name)?;
    let token = token_for(access, &manager.scope, events).await?;

    let request = access.http.get(url.clone()).bearer_auth(&token.secret);
    let cluster: Described = json(request).await.map_err(failed)?;
    if cluster.properties.aad_profile.is_none_or(|profile| profile.is_null()) {
        return Err(unusable(
            "does not have Microsoft Entra ID integration enabled. See docs for enabling: \
             https://learn.microsoft.com/en-us/azure/aks/enable-authentication-microsoft-entra-id"
                .to_owned(),
        ));
    }
    let mut list = url;
    if let Ok(mut segments) = list.path_segments_mut() {
        segments.push("listClusterUserCredential");
    }
    let request = access.http.post(list).header("content-length", 0).bearer_auth(&token.secret);
    let listed: Listed = json(request).await.map_err(failed)?;
    let mut others = Vec::new();
    for (index, kubeconfig) in listed.kubeconfigs.iter().enumerate() {
        let cluster = KubeconfigCluster::parse(&kubeconfig.value).ok_or_else(|| {
            unusable(format!("has a kubeconfig that cannot be parsed: kubeconfig[{index}]"))
        })?;
        let found = address(&cluster.server)?;
        if settings.address.as_ref().is_some_and(|wanted| *wanted != found) {
            others.push(format!("'{}'", cluster.server));
            continue;
        }
        let ca = match (&settings.ca, cluster.authorities) {
            (Some(ca), _) => Some(ca.clone()),
            (None, Some(encoded)) => Some(authorities(SERVICE, name, &encoded)?),
            (None, None) => None,
        };
        return Ok(Location { address: settings.address.clone().unwrap_or(found), ca });
    }
    Err(unusable(match &settings.address {
        Some(wanted) => format!(
            "has no kubeconfig matching the specified address '{wanted}'. cluster addresses: [{}]",
            others.join(", ")
        ),
        None => "has no kubeconfig".to_owned(),
    }))
}

/// A token of Entra ID.
pub(super) async fn token(access: &Access, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
    token_for(access, SCOPE, events).await
}

async fn token_for(access: &Access, scope: &str, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
    let account = access.account();
    let made = access.tokens().get(access.key(&[scope], account.as_ref()), events, || async {
        let azure = Azure::new(access.clusters.environment.clone());
        azure.token(&access.http, account.as_ref(), scope).await
    });
    made.await.map_err(ClusterError::Token)
}

/// The service that knows Azure's clusters, and what tokens for it are for.
#[derive(Debug, PartialEq, Eq)]
struct ResourceManager {
    endpoint: String,
    scope: String,
}

impl ResourceManager {
    fn of(access: &Access) -> Result<Self, AuthError> {
        let clusters = &access.clusters;
        let authority = clusters.environment.get("AZURE_AUTHORITY_HOST").unwrap_or_default();
        let mut manager = match clusters.environment.file("AZURE_ENVIRONMENT_FILEPATH")? {
            Some(json) => Self::of_file(&json)?,
            None => Self::of_authority(&authority),
        };
        if let Some(endpoint) = &clusters.endpoints.azure_resource_manager {
            manager.endpoint = endpoint.clone();
        }
        Ok(manager)
    }

    fn of_authority(authority: &str) -> Self {
        let (endpoint, audience) = if authority.contains("chinacloudapi.cn") {
            ("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn/")
        } else if authority.contains("microsoftonline.us") {
            ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net/")
        } else {
            ("https://management.azure.com", "https://management.core.windows.net/")
        };
        ResourceManager { endpoint: endpoint.to_owned(), scope: format!("{audience}/.default") }
    }

    /// A cloud of somebody's own.
    fn of_file(json: &str) -> Result<Self, AuthError> {
        let file: Value = serde_json::from_str(json).map_err(|error| {
            AuthError::Settings(format!(
                "cannot read the file that AZURE_ENVIRONMENT_FILEPATH names: {error}"
            ))
        })?;
        let get = |key: &str| file[key].as_str().filter(|text| !text.is_empty());
        match (get("resourceManagerEndpoint"), get("tokenAudience")) {
            (Some(endpoint), Some(audience)) => {
                Ok(ResourceManager { endpoint: endpoint.to_owned(), scope: format!("{audience}/.default") })
            }
            _ => Err(AuthError::Settings(
                "resourceManagerEndpoint and tokenAudience must be set in the environment file".to_owned(),
            )),
        }
    }
}

/// The address at which a cluster is described.
fn url(base: &str, name: &str) -> Result<Url, ClusterError> {
    let parts: Vec<&str> = name.split('/').collect();
    let invalid = || ClusterError::Name { what: "AKS cluster ID", name: name.to_owned(), form: FORM };
    let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
    let is_id =
        |id: &str, longest: usize| (1..=longest).contains(&id.chars().count()) && id != "." && id != "..";
    let ["", subscriptions, subscription, groups, group, providers, provider, clusters, cluster] =
        parts.as_slice()
    else {
        return Err(invalid());
    };
    if !(is(subscriptions, "subscriptions")
        && is(groups, "resourceGroups")
        && is(providers, "providers")
        && is(provider, "Microsoft.ContainerService")
        && is(clusters, "managedClusters")
        && subscription.chars().count() == 36
        && is_id(group, 200)
        && is_id(cluster, 200))
    {
        return Err(invalid());
    }
    let wrong = |error| ClusterError::Http(AuthError::Settings(format!("{base}: {error}")));
    let mut url = Url::parse(base).map_err(wrong)?;
    url.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().extend([
        "subscriptions",
        subscription,
        "resourceGroups",
        group,
        "providers",
        "Microsoft.ContainerService",
        "managedClusters",
        cluster,
    ]);
    url.set_query(Some(&format!("api-version={API_VERSION}")));
    Ok(url)
}

async fn json<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, AuthError> {
    http::json("Azure's resource manager", request).await
}

#[derive(Deserialize)]
struct Described {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    aad_profile: Option<Value>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    kubeconfigs: Vec<ListedKubeconfig>,
}

#[derive(Deserialize)]
struct ListedKubeconfig {
    value: String,
}

/// The cluster of a kubeconfig's current context; its user is of no interest.
struct KubeconfigCluster {
    server: String,
    authorities: Option<String>,
}

impl KubeconfigCluster {
    fn parse(encoded: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let kubeconfig = Kubeconfig::from_yaml(&text).ok()?;
        let current = kubeconfig.current_context?;
        let context = kubeconfig.contexts.into_iter().find(|named| named.name == current)?.context?;
        let named = kubeconfig.clusters.into_iter().find(|named| named.name == context.cluster)?;
        let cluster = named.cluster?;
        Some(Self { server: cluster.server?, authorities: cluster.certificate_authority_data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_one_cluster() {
        let of = |name: &str| {
            url("https://management.azure.com", name).map(String::from).map_err(|error| error.to_string())
        };
        let subscription = "00000000-0000-0000-0000-000000000001";
        assert_eq!(
            of(&format!("/Subscriptions/{subscription}/resourcegroups/a (b)/providers/microsoft.containerservice/managedClusters/c")).unwrap(),
            format!("https://management.azure.com/subscriptions/{subscription}/resourceGroups/a%20(b)/providers/Microsoft.ContainerService/managedClusters/c?api-version={API_VERSION}")
        );
        assert_eq!(of("x").unwrap_err(), format!("invalid AKS cluster ID: 'x'. must match {FORM}"));
        for name in [
            "".to_owned(),
            "/subscriptions/short/resourceGroups/a/providers/Microsoft.ContainerService/managedClusters/c"
                .to_owned(),
            format!(
                "/subscriptions/{subscription}/resourceGroups/../providers/Microsoft.ContainerService/managedClusters/c"
            ),
            format!(
                "/subscriptions/{subscription}/resourceGroups/a/providers/Microsoft.ContainerService/managedClusters/c/d"
            ),
        ] {
            assert!(of(&name).is_err(), "{name}");
        }
    }

    #[test]
    fn each_cloud_of_azure_has_its_resource_manager() {
        let of = |authority: &str| ResourceManager::of_authority(authority);
        assert_eq!(of("").scope, "https://management.core.windows.net//.default");
        assert_eq!(of("https://login.chinacloudapi.cn/").endpoint, "https://management.chinacloudapi.cn");
        assert_eq!(of("https://login.microsoftonline.us/").endpoint, "https://management.usgovcloudapi.net");
        let file =
            r#"{"resourceManagerEndpoint": "https://arm.local", "tokenAudience": "https://aud.local"}"#;
        assert_eq!(ResourceManager::of_file(file).unwrap().scope, "https://aud.local/.default");
        assert_eq!(
            ResourceManager::of_file("{}").unwrap_err().to_string(),
            "resourceManagerEndpoint and tokenAudience must be set in the environment file"
        );
    }
}
