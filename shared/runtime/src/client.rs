//! Clients of the Kubernetes API: connecting, counting requests, acting as somebody else.

use crate::metrics::Metrics;
use http::{HeaderName, HeaderValue, Request, header::USER_AGENT};
use kube::{Client, Config, client::Body};
use std::{
    error::Error as StdError,
    sync::{Arc, OnceLock},
};
use tower::{BoxError, service_fn};

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither in a cluster nor a kubeconfig at hand.
    #[error("unable to find a Kubernetes cluster: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// The settings do not make a client.
    #[error("unable to create a Kubernetes client: {}", message(.0))]
    Build(#[from] kube::Error),
    /// A name that cannot be in a header.
    #[error("the service account name {0:?} has characters that are not allowed")]
    ServiceAccount(String),
}

/// Connects to the cluster this process runs in, or else the one of `KUBECONFIG`.
pub async fn connect(controller: &str) -> Result<Client, Error> {
    crate::tls::install_provider();
    let config = Config::infer().await?;
    from_config(config, controller)
}

/// A client with given settings.
pub fn from_config(mut config: Config, controller: &str) -> Result<Client, Error> {
    crate::tls::install_provider();
    let agent = format!("{controller}/{}", env!("CARGO_PKG_VERSION"));
    if let Ok(agent) = HeaderValue::from_str(&agent) {
        config.headers.push((USER_AGENT, agent));
    }
    let host = config.cluster_url.authority().map_or("", |a| a.as_str());
    let host = ClusterHost(Arc::from(host.rsplit('@').next().unwrap_or("")));
    let namespace = config.default_namespace.clone();
    let inner = Client::try_from(config)?;
    let service = service_fn(move |request: Request<Body>| {
        let (client, host) = (inner.clone(), host.clone());
        async move {
            let mut response = client.send(request).await?;
            response.extensions_mut().insert(host);
            Ok::<_, BoxError>(response)
        }
    });
    Ok(Client::new(service, namespace))
}

/// The same client with its requests counted.
pub fn counted(client: Client, metrics: Arc<Metrics>) -> Client {
    let namespace = client.default_namespace().to_owned();
    // The host as its first answer gave it, for requests without an answer.
    let known: Arc<OnceLock<ClusterHost>> = Arc::default();
    let service = service_fn(move |request: Request<Body>| {
        let (client, metrics, known) = (client.clone(), Arc::clone(&metrics), Arc::clone(&known));
        async move {
            let method = request.method().clone();
            match client.send(request).await {
                Ok(response) => {
                    let host = response.extensions().get::<ClusterHost>();
                    if let Some(host) = host {
                        known.get_or_init(|| host.clone());
                    }
                    let host = host.map_or("", |host| &host.0);
                    metrics.count_request(response.status().as_str(), method.as_str(), host);
                    Ok(response)
                }
                Err(error) => {
                    let host = known.get().map_or("", |host| &host.0);
                    metrics.count_request("<error>", method.as_str(), host);
                    Err(BoxError::from(error))
                }
            }
        }
    });
    Client::new(service, namespace)
}

/// The same client acting as a service account.
pub fn impersonating(client: Client, namespace: &str, service_account: &str) -> Result<Client, Error> {
    let user = format!("system:serviceaccount:{namespace}:{service_account}");
    let user = HeaderValue::from_str(&user).map_err(|_| Error::ServiceAccount(service_account.to_owned()))?;
    let service = service_fn(move |mut request: Request<Body>| {
        request.headers_mut().insert(IMPERSONATE_USER, user.clone());
        let client = client.clone();
        async move { client.send(request).await }
    });
    Ok(Client::new(service, namespace))
}

/// Whether the API server limits request rates itself, so that this client need not.
pub async fn has_priority_and_fairness(client: &Client) -> bool {
    let Ok(request) = Request::head("/livez/ping").body(Body::empty()) else {
        return false;
    };
    let response = client.send(request).await;
    response.is_ok_and(|r| r.headers().contains_key("x-kubernetes-pf-flowschema-uid"))
}

/// What went wrong, in the API server's own words where it spoke.
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Service(error) => chain(error.as_ref()),
        error => chain(error),
    }
}

/// An error and its causes, joined by colons, without saying anything twice.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

/// The host of the cluster that answered, as an extension of responses.
#[derive(Clone, Debug)]
struct ClusterHost(Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, extract::Request as Incoming, response::IntoResponse};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use std::sync::Mutex;

    /// A client of a server that answers everything with 404, and the headers it has seen.
    async fn server(priority_and_fairness: bool) -> (Client, Arc<Mutex<Vec<http::HeaderMap>>>, String) {
        crate::tls::install_provider();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let routes = Router::new().fallback(move |request: Incoming| async move {
            sink.lock().unwrap().push(request.headers().clone());
            let mut response = http::StatusCode::NOT_FOUND.into_response();
            if priority_and_fairness {
                let value = HeaderValue::from_static("uid");
                response.headers_mut().insert("x-kubernetes-pf-flowschema-uid", value);
            }
            response
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        (from_config(config, "test-controller").unwrap(), seen, address)
    }

    #[tokio::test]
    async fn impersonation_names_the_service_account_and_no_groups() {
        let (client, seen, _) = server(true).await;
        let client = impersonating(client, "apps", "deployer").unwrap();
        assert_eq!(client.default_namespace(), "apps");
        let _ = Api::<ConfigMap>::namespaced(client, "apps").get_opt("x").await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0][IMPERSONATE_USER], "system:serviceaccount:apps:deployer");
        assert!(!seen[0].contains_key("impersonate-group"));
        assert!(seen[0][USER_AGENT].to_str().unwrap().starts_with("test-controller/"));
    }

    #[tokio::test]
    async fn a_name_that_is_no_header_is_refused() {
        let (client, ..) = server(true).await;
        assert!(impersonating(client, "apps", "a\r\nx: y").is_err());
    }

    #[tokio::test]
    async fn requests_are_counted_with_code_method_and_host() {
        let (client, _, address) = server(true).await;
        let metrics = Metrics::new(true).unwrap();
        let client = counted(client, Arc::clone(&metrics));
        let _ = Api::<ConfigMap>::namespaced(client, "apps").get_opt("x").await;
        let text = metrics.text(crate::metrics::Format::Text);
        let line = format!("rest_client_requests_total{{code=\"404\",host=\"{address}\",method=\"GET\"}} 1");
        assert!(text.lines().any(|other| other == line), "{text}");
    }

    #[tokio::test]
    async fn a_header_says_that_the_server_limits_rates_itself() {
        let (client, ..) = server(true).await;
        assert!(has_priority_and_fairness(&client).await);
        let (client, ..) = server(false).await;
        assert!(!has_priority_and_fairness(&client).await);
    }
}
