//! Remote clusters that trust this cluster's service account tokens: `spec.kubeConfig.configMapRef`.

use super::{Error, RemotePolicy};
use crate::{client, key::Key};
use http::{HeaderValue, Request, header::AUTHORIZATION};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, ServiceAccount},
};
use kube::{Api, Client, Config, api::PostParams, client::Body};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use tower::{BoxError, service_fn};

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a ConfigMap says about a cluster with the `generic` provider.
#[derive(Debug, PartialEq, Eq)]
struct Cluster {
    address: String,
    ca: Option<String>,
    audiences: Vec<String>,
    service_account: Option<String>,
}

/// The client of the cluster a ConfigMap describes.
pub(super) async fn client(
    own: &Client,
    controller: &str,
    namespace: &str,
    name: &str,
    policy: &RemotePolicy,
) -> Result<Client, Error> {
    let key = Key::new(namespace, name);
    let read = |reason: String| Error::ReadConfigMap { config_map: key.clone(), reason };
    let api = Api::<ConfigMap>::namespaced(own.clone(), namespace);
    let config_map = match api.get_opt(name).await {
        Ok(Some(config_map)) => config_map,
        Ok(None) => return Err(read(format!("configmaps \"{name}\" not found"))),
        Err(error) => return Err(read(client::message(&error))),
    };
    let wrong = |reason: String| Error::ConfigMap { config_map: key.clone(), reason };
    let cluster = parse(&config_map.data.unwrap_or_default()).map_err(wrong)?;
    if cluster.service_account.is_some() && !policy.object_level_workload_identity {
        return Err(Error::FeatureGateDisabled);
    }
    let account = cluster.service_account.clone().or_else(|| {
        let default = &policy.default_kubeconfig_service_account;
        (!default.is_empty()).then(|| default.clone())
    });
    let config = config(&cluster).map_err(wrong)?;
    let inner = client::from_config(config, controller)?;
    let tokens = Tokens {
        client: own.clone(),
        namespace: namespace.to_owned(),
        account,
        audiences: cluster.audiences,
        cached: Mutex::new(None),
    };
    let tokens = Arc::new(tokens);
    let service = service_fn(move |mut request: Request<Body>| {
        let (client, tokens) = (inner.clone(), Arc::clone(&tokens));
        async move {
            request.headers_mut().insert(AUTHORIZATION, tokens.header().await?);
            Ok::<_, BoxError>(client.send(request).await?)
        }
    });
    Ok(Client::new(service, namespace))
}

fn parse(data: &BTreeMap<String, String>) -> Result<Cluster, String> {
    let get = |key: &str| data.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
    match get("provider") {
        None => return Err("key 'provider' not found".to_owned()),
        Some("generic") => {}
        Some(provider) => return Err(format!("provider '{provider}' not implemented")),
    }
    let address = get("address").ok_or("key 'address' not found")?;
    let address = normalize(address)?;
    let audiences: Vec<String> = get("audiences")
        .map(|audiences| audiences.lines().map(str::trim))
        .into_iter()
        .flatten()
        .filter(|audience| !audience.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(Cluster {
        audiences: if audiences.is_empty() { vec![address.clone()] } else { audiences },
        ca: get("ca.crt").map(str::to_owned),
        service_account: get("serviceAccountName").map(str::to_owned),
        address,
    })
}

/// An `https` address with its host in lower case and its port spelled out.
fn normalize(address: &str) -> Result<String, String> {
    let invalid = |reason: &str| format!("key 'address': {address:?} {reason}");
    let url = url::Url::parse(address).map_err(|error| invalid(&format!("is no URL: {error}")))?;
    if url.scheme() != "https" {
        return Err(invalid("must start with https://"));
    }
    let host = url.host_str().ok_or_else(|| invalid("has no host"))?;
    let port = url.port().unwrap_or(443);
    let path = url.path().trim_end_matches('/');
    Ok(format!("https://{host}:{port}{path}"))
}

fn config(cluster: &Cluster) -> Result<Config, String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let uri = cluster.address.parse::<http::Uri>();
    let mut config = Config::new(uri.map_err(|error| format!("key 'address': {error}"))?);
    if let Some(ca) = &cluster.ca {
        let authorities: Result<Vec<Vec<u8>>, _> = ca
            .split("-----BEGIN CERTIFICATE-----")
            .skip(1)
            .map(|block| {
                let body = block.split("-----END CERTIFICATE-----").next().unwrap_or("");
                STANDARD.decode(body.split_whitespace().collect::<String>())
            })
            .collect();
        let authorities = authorities.ok().filter(|authorities| !authorities.is_empty());
        let invalid = "key 'ca.crt': failed to parse CA certificate";
        config.root_cert = Some(authorities.ok_or(invalid)?);
    }
    config.connect_timeout = Some(TIMEOUT);
    config.read_timeout = Some(TIMEOUT);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(TIMEOUT);
    Ok(config)
}

/// Where tokens come from; a token is used for four fifths of its life.
struct Tokens {
    client: Client,
    namespace: String,
    account: Option<String>,
    audiences: Vec<String>,
    cached: Mutex<Option<(Instant, HeaderValue)>>,
}

impl Tokens {
    async fn header(&self) -> Result<HeaderValue, BoxError> {
        let mut cached = self.cached.lock().await;
        if let Some((until, header)) = cached.as_ref()
            && Instant::now() < *until
        {
            return Ok(header.clone());
        }
        let (namespace, account) = match &self.account {
            Some(account) => (self.namespace.clone(), account.clone()),
            None => controller_account()?,
        };
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(self.audiences.clone()),
                expiration_seconds: Some(TOKEN_LIFETIME.as_secs() as i64),
                bound_object_ref: None,
            }),
            ..TokenRequest::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &namespace);
        let issued =
            api.create_token_request(&account, &PostParams::default(), &request).await.map_err(|error| {
                let reason = client::message(&error);
                format!("unable to get a token of serviceaccount '{namespace}/{account}': {reason}")
            })?;
        let status = issued.status.unwrap_or_default();
        let token = status.token.ok_or("the API server issued no token")?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))?;
        header.set_sensitive(true);
        let left = match status.expiration_timestamp {
            Some(until) => Duration::try_from(until.0.duration_since(jiff::Timestamp::now())),
            None => Ok(Duration::ZERO),
        };
        let left = left.unwrap_or_default().min(TOKEN_LIFETIME);
        *cached = Some((Instant::now() + left.mul_f64(0.8), header.clone()));
        Ok(header)
    }
}

/// The service account this process runs as, from the subject of its token.
fn controller_account() -> Result<(String, String), BoxError> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = std::fs::read_to_string(TOKEN_FILE)
        .map_err(|error| format!("the controller has no service account: {error}"))?;
    let invalid = "the controller's service account token is invalid";
    let claims = token.split('.').nth(1).ok_or(invalid)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| invalid)?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).map_err(|_| invalid)?;
    let subject = claims.get("sub").and_then(serde_json::Value::as_str).ok_or(invalid)?;
    let account = subject.strip_prefix("system:serviceaccount:").ok_or(invalid)?;
    let (namespace, name) = account.split_once(':').ok_or(invalid)?;
    Ok((namespace.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(data: &[(&str, &str)]) -> Result<Cluster, String> {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        parse(&data.collect())
    }

    #[test]
    fn the_audience_is_the_address_unless_given() {
        let base = [("provider", "generic"), ("address", "https://API.example/")];
        let parsed = cluster(&base).unwrap();
        assert_eq!(parsed.address, "https://api.example:443");
        assert_eq!(parsed.audiences, ["https://api.example:443"]);
        let parsed = cluster(&[base[0], base[1], ("audiences", "a\n b \n\n")]).unwrap();
        assert_eq!(parsed.audiences, ["a", "b"]);
    }

    #[test]
    fn wrong_settings_are_named() {
        let error = |data: &[(&str, &str)]| cluster(data).unwrap_err();
        assert_eq!(error(&[]), "key 'provider' not found");
        assert_eq!(error(&[("provider", "x")]), "provider 'x' not implemented");
        assert_eq!(error(&[("provider", "generic")]), "key 'address' not found");
        assert_eq!(
            error(&[("provider", "generic"), ("address", "http://a")]),
            "key 'address': \"http://a\" must start with https://"
        );
    }

    #[test]
    fn a_wrong_authority_is_refused() {
        let data = [("provider", "generic"), ("address", "https://a"), ("ca.crt", "x")];
        let error = config(&cluster(&data).unwrap()).unwrap_err();
        assert_eq!(error, "key 'ca.crt': failed to parse CA certificate");
    }
}
