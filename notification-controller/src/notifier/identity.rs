//! Tokens of cloud identities: what the pod, or a ServiceAccount, may do at Azure and Google.

use fluxide_auth::azure::Azure;
use fluxide_auth::gcp::Gcp;
use fluxide_auth::service_account::Account;
use fluxide_auth::{AuthError, ClientSettings, Environment, Token, jwt};
use fluxide_runtime::Key;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::Connections;
use super::http::{self, Http, Request};
use super::settings::Settings;

const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/pubsub";
const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";

/// Where clouds give tokens, and who asks when a provider names nobody.
#[derive(Clone)]
pub struct Identities {
    /// Entra ID.
    pub azure: Azure,
    /// Google Cloud.
    pub gcp: Gcp,
    /// The ServiceAccount of providers without one; empty for the identity of this pod.
    pub default_account: String,
}

impl Identities {
    /// As the environment of this process says.
    pub fn of_process(default_account: String) -> Self {
        let environment = Environment::process();
        Self { gcp: Gcp::new(environment.clone()), azure: Azure::new(environment), default_account }
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The cloud gives none.
    #[error("failed to get token: {0}")]
    Auth(#[from] AuthError),
    /// A request failed.
    #[error("failed to get token: {0}")]
    Request(#[from] http::Error),
    /// Something is missing.
    #[error("failed to get token: {0}")]
    Missing(String),
}

impl Error {
    /// Whether it may work later without any change.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Auth(AuthError::Settings(_) | AuthError::NoIdentity(_)) | Self::Missing(_) => false,
            Self::Auth(_) => true,
            Self::Request(error) => error.is_transient(),
        }
    }
}

/// A token of Entra for a scope: of the provider's ServiceAccount, or of this pod.
pub(super) async fn azure(
    connections: &Connections,
    settings: &Settings,
    scope: &str,
) -> Result<String, Error> {
    let (asked, azure) = (Asked { connections, settings }, &connections.identities.azure);
    asked
        .token("azure", scope, async |clients: Clients, account| {
            // Without an account it may be the metadata service that is asked, which no proxy reaches.
            let client = if account.is_some() { &clients.proxied } else { &clients.direct };
            azure.token(client, account.as_ref(), scope).await
        })
        .await
}

/// A token of Google: of the key in the Secret, of the provider's ServiceAccount, or of this pod.
pub(super) async fn google(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
) -> Result<String, Error> {
    if !settings.token.is_empty() {
        let provider = Key::new(settings.namespace.clone(), settings.name.clone());
        let parts: [&[u8]; 2] = [b"google key", settings.token.as_bytes()];
        let made = connections.tokens.get(&provider, &parts, service_account_key(http, settings));
        return Ok(made.await?.secret);
    }
    let (asked, gcp) = (Asked { connections, settings }, &connections.identities.gcp);
    asked
        .token("google", GOOGLE_SCOPE, async |clients: Clients, account| {
            gcp.token(&clients.proxied, &clients.direct, account.as_ref(), GOOGLE_SCOPE).await
        })
        .await
}

/// For whom a token is wanted.
struct Asked<'a> {
    connections: &'a Connections,
    settings: &'a Settings,
}

/// How clouds are reached: through the provider's proxy, and the platform's own addresses without it.
struct Clients {
    proxied: Client,
    direct: Client,
}

impl Asked<'_> {
    async fn token(
        &self,
        cloud: &str,
        scope: &str,
        make: impl AsyncFnOnce(Clients, Option<Account>) -> Result<Token, AuthError>,
    ) -> Result<String, Error> {
        let (connections, settings) = (self.connections, self.settings);
        let name = match settings.service_account.as_str() {
            "" => connections.identities.default_account.as_str(),
            name => name,
        };
        let namespace = if name.is_empty() { "" } else { settings.namespace.as_str() };
        let provider = Key::new(settings.namespace.clone(), settings.name.clone());
        let parts = [cloud, namespace, name, scope].map(str::as_bytes);
        let made = connections.tokens.get(&provider, &parts, async {
            let account = match name {
                "" => None,
                name => {
                    let cluster = connections.cluster.as_ref();
                    let cluster =
                        cluster.ok_or_else(|| Error::Missing("there is no cluster to ask".to_owned()))?;
                    Some(Account::get(cluster, namespace, name).await?)
                }
            };
            let proxied = connections.clients.client(&Settings { tls: None, ..settings.clone() })?;
            let clients = Clients { proxied, direct: ClientSettings::default().client()? };
            Ok::<_, Error>(make(clients, account).await?)
        });
        Ok(made.await?.secret)
    }
}

async fn service_account_key(http: &Http, settings: &Settings) -> Result<Token, Error> {
    #[derive(Deserialize)]
    struct Key {
        client_email: String,
        private_key: String,
        #[serde(default)]
        private_key_id: Option<String>,
        #[serde(default)]
        token_uri: Option<String>,
    }
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        expires_in: i64,
    }
    let wrong = |reason: &str| Error::Missing(format!("the key 'token' of the secret: {reason}"));
    let key: Key = serde_json::from_str(&settings.token)
        .map_err(|_| wrong("it is no key of a Google service account in JSON"))?;
    let address = key.token_uri.as_deref().unwrap_or(GOOGLE_TOKENS);
    let url = Url::parse(address).map_err(|_| wrong("'token_uri' is no URL"))?;
    let now = Timestamp::now();
    let claims = json!({
        "iss": key.client_email, "scope": GOOGLE_SCOPE, "aud": address, "iat": now.as_second(),
        "exp": now.as_second() + 3600,
    });
    let header = key.private_key_id.map_or_else(|| json!({}), |id| json!({"kid": id}));
    let assertion = jwt::sign(key.private_key.as_bytes(), header, &claims)
        .map_err(|reason| wrong(&format!("cannot use its private key: {reason}")))?;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let mut request = Request::new(Method::POST, url);
    request.body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", grant)
        .append_pair("assertion", &assertion)
        .finish()
        .into_bytes();
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let granted: Granted = http.accepted(&request).await?.json()?;
    let expires = now + jiff::SignedDuration::from_secs(granted.expires_in.clamp(0, 86_400));
    Ok(Token { secret: granted.access_token, expires: expires.into() })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::{Request as Call, State};
    use axum::http::StatusCode;
    use fluxide_notification_api::Provider;
    use fluxide_runtime::events::Event;
    use kube::api::{Api, PostParams};
    use serde_json::{Value, json};

    use super::*;
    use crate::notifier::http::{Answer, Clients as HttpClients};
    use crate::notifier::tests::alert;
    use crate::notifier::{Message, Posted, TokenCache, send};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    type Calls = Arc<Mutex<Vec<String>>>;

    /// Entra, and Google's STS, IAM and metadata, which note what they were asked for.
    async fn clouds() -> (String, Calls) {
        async fn answer(State(calls): State<Calls>, call: Call) -> (StatusCode, String) {
            let (parts, body) = call.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
            let part =
                |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
            let claims = |token: &str| -> Value {
                use base64::Engine;
                let claims = token.split('.').nth(1).unwrap_or_default();
                let bytes =
                    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
                serde_json::from_slice(&bytes).unwrap_or_default()
            };
            let path = parts.uri.path().to_owned();
            let token = format!("{}{}", part("client_assertion"), part("subject_token"));
            let claims = claims(&token);
            let bearer = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
            let (audience, scope) = (part("audience"), part("scope"));
            let note = format!("{path} {} {} {audience} {scope} {bearer}", claims["aud"][0], claims["sub"]);
            calls.lock().unwrap().push(note.trim().replace('"', ""));
            let text = match path.as_str() {
                "/tenant/oauth2/v2.0/token" => {
                    json!({"access_token": "of-entra", "expires_in": 3600}).to_string()
                }
                "/computeMetadata/v1/project/project-id" => "project".to_owned(),
                "/computeMetadata/v1/instance/attributes/cluster-location" => "place".to_owned(),
                "/computeMetadata/v1/instance/attributes/cluster-name" => "cluster".to_owned(),
                "/computeMetadata/v1/instance/service-accounts/default/token" => {
                    json!({"access_token": "of-machine", "expires_in": 3600}).to_string()
                }
                "/v1/token" => json!({"access_token": "of-sts", "expires_in": 3600}).to_string(),
                path if path.ends_with(":generateAccessToken") => {
                    json!({"accessToken": "of-iam", "expireTime": "2099-01-01T00:00:00Z"}).to_string()
                }
                _ => return (StatusCode::NOT_FOUND, String::new()),
            };
            (StatusCode::OK, text)
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let calls = Calls::default();
        let router = axum::Router::new().fallback(answer).with_state(calls.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, calls)
    }

    struct Lab {
        connections: Connections,
        clouds: Calls,
        requests: Arc<Mutex<Vec<Request>>>,
        _server: fluxide_apiserver::RunningServer,
    }

    impl Lab {
        async fn start(default_account: &str) -> Self {
            fluxide_runtime::tls::install_provider();
            let server = fluxide_apiserver::Server::builder().port(0).start().await.unwrap();
            let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
            let cluster = fluxide_runtime::client::from_config(config, "test").unwrap();
            let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
                Api::namespaced(cluster.clone(), "default");
            let provider = "projects/1/locations/global/workloadIdentityPools/pool/providers/provider";
            for (name, annotations) in [
                (
                    "azure",
                    json!({"azure.workload.identity/client-id": "me", "azure.workload.identity/tenant-id": "tenant"}),
                ),
                ("plain", json!({})),
                ("gke", json!({"iam.gke.io/gcp-service-account": "robot@project.iam.gserviceaccount.com"})),
                ("elsewhere", json!({"gcp.auth.fluxcd.io/workload-identity-provider": provider})),
                ("wrong", json!({"iam.gke.io/gcp-service-account": "robot@evil.test/x"})),
            ] {
                let account = json!({"metadata": {"name": name, "annotations": annotations}});
                accounts
                    .create(&PostParams::default(), &serde_json::from_value(account).unwrap())
                    .await
                    .unwrap();
            }
            let (address, clouds) = clouds().await;
            let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
            let seen = Arc::clone(&requests);
            let script = move |request: &Request| {
                seen.lock().unwrap().push(request.clone());
                let body =
                    if request.method == Method::GET { br#"{"value":[]}"#.to_vec() } else { Vec::new() };
                Answer { status: reqwest::StatusCode::OK, body }
            };
            let connections = Connections {
                clients: HttpClients::scripted(Arc::new(script)),
                tokens: TokenCache::new(10, std::time::Duration::from_secs(3600), None),
                cluster: Some(cluster),
                posted: Posted::default(),
                identities: Identities {
                    azure: Azure::new(Environment::of(&[("AZURE_AUTHORITY_HOST", &address)])),
                    gcp: Gcp::new(Environment::of(&[])).with_endpoint(&address),
                    default_account: default_account.to_owned(),
                },
            };
            Self { connections, clouds, requests, _server: server }
        }

        /// Sends a message; what came of it, the last request, and what the clouds were asked for.
        async fn sent(&self, spec: Value) -> (Result<(), String>, String, Vec<String>) {
            let provider: Provider = serde_json::from_value(json!({
                "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
                "metadata": {"name": "p", "namespace": "default", "uid": "1-2"}, "spec": spec,
            }))
            .unwrap();
            let event: Event = serde_json::from_value(json!({
                "involvedObject": {"kind": "Kustomization", "namespace": "ns", "name": "app", "uid": "u"},
                "severity": "info", "reason": "Ready", "message": "m", "timestamp": "2026-08-01T10:00:00Z",
                "metadata": {"revision": format!("main@sha1:{COMMIT}")}, "reportingController": "k",
            }))
            .unwrap();
            let alert = alert();
            let message = Message { event: &event, alert: &alert, status_id: "status" };
            let settings = Settings::of_spec(&provider);
            let result =
                send(&self.connections, &settings, &message).await.map_err(|error| error.to_string());
            let request = self.requests.lock().unwrap().pop();
            let shown = request.map(|request| {
                format!("{} {}", request.url, request.headers["authorization"].to_str().unwrap())
            });
            (result, shown.unwrap_or_default(), std::mem::take(&mut *self.clouds.lock().unwrap()))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn azure_trusts_the_service_account() {
        let lab = Lab::start("").await;
        let hub = |account: &str| json!({"type": "azureeventhub", "address": "hub", "channel": "names", "serviceAccountName": account});
        let (result, request, asked) = lab.sent(hub("azure")).await;
        assert_eq!(result, Ok(()));
        assert_eq!(request, "https://names.servicebus.windows.net/hub/messages Bearer of-entra");
        let subject = "system:serviceaccount:default:azure";
        let expected = format!(
            "/tenant/oauth2/v2.0/token api://AzureADTokenExchange {subject}  https://eventhubs.azure.net//.default"
        );
        assert_eq!(asked, [expected]);
        let (result, _, asked) = lab.sent(hub("azure")).await;
        assert_eq!((result, asked), (Ok(()), Vec::new()), "the token is kept");

        let devops = json!({"type": "azuredevops", "address": "https://dev.azure.com/org/project/_git/repo",
            "serviceAccountName": "azure"});
        let (result, request, asked) = lab.sent(devops).await;
        assert_eq!(result, Ok(()));
        assert!(asked[0].ends_with("499b84ac-1321-427f-aa17-267ca6975798/.default"), "{asked:?}");
        assert!(request.ends_with(&format!("commits/{COMMIT}/statuses Basic Om9mLWVudHJh")), "{request}");

        for (account, reason) in [
            (
                "plain",
                "service account 'default/plain': the annotation 'azure.workload.identity/tenant-id' is missing",
            ),
            ("none", "service account 'default/none': not found"),
        ] {
            let (result, ..) = lab.sent(hub(account)).await;
            assert_eq!(result, Err(format!("failed to send msg: failed to get token: {reason}")));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn google_trusts_the_service_account_of_any_cluster() {
        let lab = Lab::start("").await;
        let topic = |account: &str| json!({"type": "googlepubsub", "address": "project", "channel": "topic", "serviceAccountName": account});
        let url = "https://pubsub.googleapis.com/v1/projects/project/topics/topic:publish";
        let attribute = |path: &str| format!("/computeMetadata/v1/{path} null null");
        let cluster = [
            attribute("project/project-id"),
            attribute("instance/attributes/cluster-location"),
            attribute("instance/attributes/cluster-name"),
        ];
        let gke = "identitynamespace:project.svc.id.goog:https://container.googleapis.com/v1/projects/project/locations/place/clusters/cluster";

        let (result, request, asked) = lab.sent(topic("plain")).await;
        assert_eq!((result, request), (Ok(()), format!("{url} Bearer of-sts")));
        let exchange = format!(
            "/v1/token project.svc.id.goog system:serviceaccount:default:plain {gke} https://www.googleapis.com/auth/pubsub"
        );
        assert_eq!(asked, [&cluster[..], &[exchange]].concat());

        let (result, request, asked) = lab.sent(topic("gke")).await;
        assert_eq!((result, request), (Ok(()), format!("{url} Bearer of-iam")));
        let exchange = format!(
            "/v1/token project.svc.id.goog system:serviceaccount:default:gke {gke} https://www.googleapis.com/auth/cloud-platform"
        );
        let robot = "/v1/projects/-/serviceAccounts/robot@project.iam.gserviceaccount.com:generateAccessToken null null   Bearer of-sts";
        assert_eq!(asked, [&cluster[..], &[exchange, robot.to_owned()]].concat());

        let (result, _, asked) = lab.sent(topic("elsewhere")).await;
        assert_eq!(result, Ok(()));
        let audience =
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider";
        let exchange = format!(
            "/v1/token {audience} system:serviceaccount:default:elsewhere {audience} https://www.googleapis.com/auth/pubsub"
        );
        assert_eq!(asked, [exchange]);

        let (result, ..) = lab.sent(topic("wrong")).await;
        assert!(
            result
                .unwrap_err()
                .contains("must be NAME@PROJECT.iam.gserviceaccount.com, it is 'robot@evil.test/x'")
        );
        let (result, request, asked) =
            lab.sent(json!({"type": "googlepubsub", "address": "project", "channel": "topic"})).await;
        assert_eq!((result, request), (Ok(()), format!("{url} Bearer of-machine")));
        assert_eq!(asked, [attribute("instance/service-accounts/default/token")]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_provider_without_account_has_the_default_one() {
        let lab = Lab::start("azure").await;
        let (result, request, asked) =
            lab.sent(json!({"type": "azureeventhub", "address": "hub", "channel": "names"})).await;
        assert_eq!(result, Ok(()));
        assert!(request.ends_with("Bearer of-entra"), "{request}");
        assert!(asked[0].contains("system:serviceaccount:default:azure"), "{asked:?}");
    }
}
