//! Clusters of clouds, entered at servers that check who asks for what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use fluxide_auth::aws::Credentials;
use fluxide_auth::cluster::{Access, ClusterError, Clusters, Endpoints, Identity, Location, Settings};
use fluxide_auth::{Environment, TokenCache, Unobserved, sigv4};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

/// All clouds and the cluster of the ServiceAccounts at one address.
#[derive(Clone, Default)]
struct Sky {
    url: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Sky {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sky = Sky::default();
        *sky.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(respond).with_state(sky.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        sky
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }

    fn kubernetes(&self) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        kube::Client::try_from(kube::Config::new(self.url().parse().unwrap())).unwrap()
    }

    fn clusters(&self, variables: &[(&str, &str)]) -> Clusters {
        let endpoints = Endpoints {
            eks: Some(self.url()),
            aws_sts: Some(self.url()),
            azure_resource_manager: Some(self.url()),
            google: Some(self.url()),
        };
        let tokens = TokenCache::new(100, Duration::from_secs(3600));
        Clusters::new(Environment::of(variables), tokens).with_endpoints(endpoints)
    }

    async fn enter(
        &self,
        clusters: &Clusters,
        account: Option<&str>,
        data: &[(&str, &str)],
    ) -> Result<(Location, Access), ClusterError> {
        let data: BTreeMap<String, String> =
            data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let identity = Identity {
            client: self.kubernetes(),
            namespace: "apps".to_owned(),
            account: account.map(str::to_owned),
        };
        clusters.enter(Settings::of_data(&data)?, identity, &Unobserved).await
    }

    /// What was asked since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn respond(State(sky): State<Sky>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let call = format!("{} {}", parts.method, parts.uri).trim_end_matches('?').to_owned();
    sky.seen.lock().unwrap().push(call.clone());
    let (status, answer) = answer(&sky.url(), &call, &parts.headers, &body);
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], answer.to_string())
        .into_response()
}

fn answer(url: &str, call: &str, headers: &HeaderMap, body: &str) -> (u16, Value) {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let bearer = header("authorization");
    let kubeconfig = |server: &str| {
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server, "certificate-authority-data": BASE64_STANDARD.encode(CA)}}],
            "users": [{"name": "u", "user": {"exec": {"command": "kubelogin", "apiVersion": "v1"}}}]});
        json!({"name": "clusterUser", "value": BASE64_STANDARD.encode(text.to_string())})
    };
    let arm = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.ContainerService/managedClusters"
    );
    match call {
        "GET /api/v1/namespaces/apps/serviceaccounts/robot" => {
            let annotations = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/robot",
                "azure.workload.identity/tenant-id": "tenant", "azure.workload.identity/client-id": "robot",
                "gcp.auth.fluxcd.io/workload-identity-provider":
                    "projects/1/locations/global/workloadIdentityPools/pool/providers/here",
                "iam.gke.io/gcp-service-account": "robot@acme.iam.gserviceaccount.com"});
            (
                200,
                json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "robot", "namespace": "apps", "annotations": annotations}}),
            )
        }
        "POST /api/v1/namespaces/apps/serviceaccounts/robot/token"
        | "POST /api/v1/namespaces/flux-system/serviceaccounts/kustomize-controller/token" => {
            let audiences = serde_json::from_str::<Value>(body).unwrap()["spec"]["audiences"].clone();
            let token = audiences.as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect::<Vec<_>>();
            (
                201,
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {"audiences": audiences},
                "status": {"token": format!("jwt for {}", token.join(" and ")), "expirationTimestamp": "2099-01-01T00:00:00Z"}}),
            )
        }
        "POST /"
            if body.contains("WebIdentityToken=jwt+for+sts.amazonaws.com")
                && body.contains("RoleSessionName=robot.apps.eu-west-1.fluxcd.io") =>
        {
            (
                200,
                json!({"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials":
                {"AccessKeyId": "ROBOT", "SecretAccessKey": "hidden", "SessionToken": "session", "Expiration": 4070908800.0}}}}),
            )
        }
        "GET /clusters/prod" => {
            let key = if bearer.contains("Credential=ROBOT/") { "ROBOT" } else { "PROCESS" };
            if bearer != signature(url, key, &header("x-amz-date")) {
                return (403, json!({"message": "The request signature we calculated does not match"}));
            }
            (
                200,
                json!({"cluster": {"name": "prod", "endpoint": "https://ABC.gr7.eu-west-1.eks.amazonaws.com",
                "certificateAuthority": {"data": BASE64_STANDARD.encode(CA)}}}),
            )
        }
        "GET /clusters/other" => (404, json!({"message": "No cluster found for name: other."})),
        "POST /tenant/oauth2/v2.0/token" if body.contains("client_assertion=jwt+for+api") => {
            let scope =
                if body.contains("6dae42f8-4368-4678-94ff-3960e28e3630%2F.default") { "aks" } else { "arm" };
            assert!(
                scope == "aks"
                    || body.contains("scope=https%3A%2F%2Fmanagement.core.windows.net%2F%2F.default"),
                "{body}"
            );
            (200, json!({"access_token": format!("{scope} token"), "expires_in": 3600}))
        }
        _ if call.starts_with("GET /subscriptions/") || call.starts_with("POST /subscriptions/") => {
            if bearer != "Bearer arm token" || !call.ends_with("?api-version=2022-04-01") {
                return (401, json!({"error": {"code": "AuthenticationFailed"}}));
            }
            match call.trim_end_matches("?api-version=2022-04-01").replace(&arm, "").as_str() {
                "GET /prod" | "GET /many" => (200, json!({"properties": {"aadProfile": {"managed": true}}})),
                "GET /plain" => (200, json!({"properties": {}})),
                "POST /prod/listClusterUserCredential" => {
                    (200, json!({"kubeconfigs": [kubeconfig("https://prod.hcp.westeurope.azmk8s.io:443")]}))
                }
                "POST /many/listClusterUserCredential" => (
                    200,
                    json!({"kubeconfigs": [kubeconfig("https://one.test"), kubeconfig("https://TWO.test:443")]}),
                ),
                _ => (404, json!({"error": {"code": "ResourceNotFound"}})),
            }
        }
        "POST /v1/token"
            if body.contains("scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&")
                && body.contains("subject_token=jwt+for+%2F%2Fiam.googleapis.com") =>
        {
            (200, json!({"access_token": "federated", "expires_in": 3600}))
        }
        "POST /v1/projects/-/serviceAccounts/robot@acme.iam.gserviceaccount.com:generateAccessToken"
            if bearer == "Bearer federated" =>
        {
            let wanted = json!([
                "https://www.googleapis.com/auth/cloud-platform",
                "https://www.googleapis.com/auth/userinfo.email"
            ]);
            assert_eq!(serde_json::from_str::<Value>(body).unwrap()["scope"], wanted);
            (200, json!({"accessToken": "google token", "expireTime": "2099-01-01T00:00:00Z"}))
        }
        "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform%2Chttps%3A%2F%2Fwww.googleapis.com%2Fauth%2Fuserinfo.email" => {
            (200, json!({"access_token": "node token", "expires_in": 3600}))
        }
        "GET /v1/projects/acme/locations/europe-west1/clusters/prod"
            if ["Bearer google token", "Bearer node token"].contains(&&*bearer) =>
        {
            (
                200,
                json!({"endpoint": "34.1.2.3", "masterAuth": {"clusterCaCertificate": BASE64_STANDARD.encode(CA)}}),
            )
        }
        _ => (
            404,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("no {call}"), "reason": "NotFound", "code": 404}),
        ),
    }
}

fn keys(id: &str) -> Credentials {
    let session_token = (id == "ROBOT").then(|| "session".to_owned());
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: "hidden".to_owned(),
        session_token,
        expires: None,
    }
}

/// What AWS expects of a question about the cluster.
fn signature(url: &str, key: &str, date: &str) -> String {
    let url = Url::parse(&format!("{url}/clusters/prod")).unwrap();
    let now = Timestamp::strptime("%Y%m%dT%H%M%SZ%z", format!("{date}+0000")).unwrap();
    let request = sigv4::Request { method: "GET", url: &url, headers: &[], body: b"" };
    sigv4::headers(&keys(key), "eks", "eu-west-1", now, &request)[1].1.clone()
}

const EKS: &str = "arn:aws:eks:eu-west-1:123456789012:cluster/prod";
const PROCESS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "PROCESS"), ("AWS_SECRET_ACCESS_KEY", "hidden")];

#[tokio::test]
async fn eks_is_asked_where_the_cluster_is_and_takes_a_signed_question() {
    let sky = Sky::start().await;
    for (account, key) in [(Some("robot"), "ROBOT"), (None, "PROCESS")] {
        let clusters = sky.clusters(&PROCESS);
        let data = [("provider", "aws"), ("cluster", EKS)];
        let (location, access) = sky.enter(&clusters, account, &data).await.unwrap();
        assert_eq!(location.address, "https://abc.gr7.eu-west-1.eks.amazonaws.com:443");
        assert_eq!(location.ca.as_deref(), Some(CA));
        let token = access.token().await.unwrap();
        let life = token.expires.duration_since(SystemTime::now()).unwrap();
        assert!(life <= Duration::from_secs(900) && life > Duration::from_secs(800), "{life:?}");
        let encoded = token.secret.strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let url = Url::parse(&url).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["Action"], "GetCallerIdentity");
        assert_eq!(query["X-Amz-Expires"], "900");
        assert_eq!(query["X-Amz-SignedHeaders"], "host;x-k8s-aws-id");
        assert!(query["X-Amz-Credential"].starts_with(&format!("{key}/")));
        assert_eq!(query.contains_key("X-Amz-Security-Token"), key == "ROBOT");
        // The service that checks it makes the same signature.
        let base =
            Url::parse(&format!("{}/?Action=GetCallerIdentity&Version=2011-06-15", sky.url())).unwrap();
        let request =
            sigv4::Request { method: "GET", url: &base, headers: &[("x-k8s-aws-id", "prod")], body: b"" };
        let now = Timestamp::strptime("%Y%m%dT%H%M%SZ%z", format!("{}+0000", query["X-Amz-Date"])).unwrap();
        let life = Duration::from_secs(900);
        assert_eq!(sigv4::presigned(&keys(key), "sts", "eu-west-1", now, life, &request), url);
    }
    let with_account = [
        "GET /api/v1/namespaces/apps/serviceaccounts/robot",
        "POST /api/v1/namespaces/apps/serviceaccounts/robot/token",
        "POST /",
        "GET /clusters/prod",
    ];
    assert_eq!(sky.calls(), [&with_account[..], &["GET /clusters/prod"]].concat());
}

#[tokio::test]
async fn what_is_said_is_not_asked() {
    let sky = Sky::start().await;
    let clusters = sky.clusters(&PROCESS);
    let data = [("provider", "aws"), ("cluster", EKS), ("address", "https://eks.test"), ("ca.crt", CA)];
    let (location, _) = sky.enter(&clusters, None, &data).await.unwrap();
    assert_eq!(location.address, "https://eks.test:443");
    assert_eq!(sky.calls(), [""; 0]);
    // With one of them missing, the other one stays as it was said.
    let (location, _) = sky.enter(&clusters, None, &data[..3]).await.unwrap();
    assert_eq!((location.address.as_str(), location.ca.as_deref()), ("https://eks.test:443", Some(CA)));
    let fail =
        async |data: &[(&str, &str)]| sky.enter(&clusters, None, data).await.err().unwrap().to_string();
    let name = fail(&[("provider", "aws"), ("address", "https://eks.test"), ("ca.crt", CA)]).await;
    assert!(name.starts_with("invalid EKS cluster ARN: ''. must match ^arn:aws"), "{name}");
    let other = EKS.replace("prod", "other");
    assert_eq!(
        fail(&[("provider", "aws"), ("cluster", &other)]).await,
        format!(
            "failed to describe EKS cluster '{other}': EKS answered 404: {{\"message\":\"No cluster found for name: other.\"}}"
        )
    );
    let nobody = sky.enter(&clusters, Some("nobody"), &data).await.err().unwrap().to_string();
    assert_eq!(nobody, "failed to get access token for cluster: service account 'apps/nobody': not found");
}

#[tokio::test]
async fn aks_gives_its_address_by_a_kubeconfig_and_takes_tokens_of_entra() {
    let sky = Sky::start().await;
    let url = sky.url();
    let clusters = sky.clusters(&[("AZURE_AUTHORITY_HOST", &url)]);
    let id = |name: &str| {
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.ContainerService/managedClusters/{name}"
        )
    };
    let enter = async |name: &str, more: &[(&str, &str)]| {
        let id = id(name);
        let data = [&[("provider", "azure"), ("cluster", id.as_str())], more].concat();
        sky.enter(&clusters, Some("robot"), &data).await
    };
    let (location, access) = enter("prod", &[]).await.unwrap();
    assert_eq!(location.address, "https://prod.hcp.westeurope.azmk8s.io:443");
    assert_eq!(location.ca.as_deref(), Some(CA));
    assert_eq!(access.token().await.unwrap().secret, "aks token");
    let (location, _) = enter("many", &[("address", "two.test")]).await.unwrap();
    assert_eq!(location.address, "https://two.test:443");
    let fail = async |name: &str, more: &[(&str, &str)]| enter(name, more).await.err().unwrap().to_string();
    assert_eq!(
        fail("many", &[("address", "https://three.test")]).await,
        format!(
            "AKS cluster '{}' has no kubeconfig matching the specified address 'https://three.test:443'. cluster addresses: ['https://one.test', 'https://TWO.test:443']",
            id("many")
        )
    );
    let plain = fail("plain", &[]).await;
    assert!(plain.contains("does not have Microsoft Entra ID integration enabled"), "{plain}");
    sky.calls();
    // Nobody is asked about the cluster when all is said, and tokens are at hand.
    let (_, access) = sky
        .enter(&clusters, Some("robot"), &[("provider", "azure"), ("address", "aks.test"), ("ca.crt", CA)])
        .await
        .unwrap();
    assert_eq!(access.token().await.unwrap().secret, "aks token");
    assert_eq!(sky.calls(), ["GET /api/v1/namespaces/apps/serviceaccounts/robot"]);
}

#[tokio::test]
async fn gke_takes_tokens_that_tell_the_address_of_their_owner() {
    let sky = Sky::start().await;
    let clusters = sky.clusters(&[]);
    let data = [("provider", "gcp"), ("cluster", "projects/acme/locations/europe-west1/clusters/prod")];
    for (account, secret) in [(Some("robot"), "google token"), (None, "node token")] {
        let (location, access) = sky.enter(&clusters, account, &data).await.unwrap();
        assert_eq!(
            location,
            Location { address: "https://34.1.2.3:443".to_owned(), ca: Some(CA.to_owned()) }
        );
        assert_eq!(access.token().await.unwrap().secret, secret);
    }
    let missing = [("provider", "gcp"), ("cluster", "projects/acme/locations/europe-west1/clusters/x")];
    let error = sky.enter(&clusters, None, &missing).await.err().unwrap().to_string();
    assert!(error.starts_with("failed to describe GKE cluster 'projects/acme/locations/europe-west1/clusters/x': GKE answered 404"), "{error}");
}

#[tokio::test]
async fn other_clusters_take_tokens_for_their_address_or_for_who_is_named() {
    let sky = Sky::start().await;
    let base = [("provider", "generic"), ("address", "https://API.test")];
    let token = async |account: Option<&str>, more: &[(&str, &str)]| {
        let file = std::env::temp_dir().join(format!("fluxide-own-token-{}", std::process::id()));
        let subject = json!({"sub": "system:serviceaccount:flux-system:kustomize-controller"}).to_string();
        std::fs::write(&file, format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(subject))).unwrap();
        let clusters = sky.clusters(&[]).with_token_file(file);
        let (_, access) = sky.enter(&clusters, account, &[&base[..], more].concat()).await.unwrap();
        access.token().await.unwrap().secret
    };
    assert_eq!(token(Some("robot"), &[]).await, "jwt for https://api.test:443");
    assert_eq!(token(Some("robot"), &[("audiences", "one\n\n two")]).await, "jwt for one and two");
    sky.calls();
    assert_eq!(token(None, &[]).await, "jwt for https://api.test:443");
    assert_eq!(
        sky.calls(),
        ["POST /api/v1/namespaces/flux-system/serviceaccounts/kustomize-controller/token"]
    );
    let clusters = sky.clusters(&[]).with_token_file("/nowhere/token");
    let error = sky.enter(&clusters, None, &base).await.err().unwrap().to_string();
    assert_eq!(
        error,
        "failed to get access token for cluster: no identity: failed to read service account token file /nowhere/token: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn tokens_are_kept_for_their_owner_and_their_cluster_alone() {
    let sky = Sky::start().await;
    let clusters = sky.clusters(&PROCESS);
    let data = |name: &'static str| {
        [("provider", "aws"), ("cluster", name), ("address", "https://eks.test"), ("ca.crt", CA)]
    };
    let token = async |account: Option<&str>, name| {
        sky.enter(&clusters, account, &data(name)).await.unwrap().1.token().await.unwrap().secret
    };
    let own = token(None, EKS).await;
    assert_eq!(token(None, EKS).await, own);
    assert_ne!(token(None, "arn:aws:eks:eu-west-1:123456789012:cluster/another").await, own);
    assert_ne!(token(Some("robot"), EKS).await, own);
    assert_eq!(token(None, EKS).await, own);
}
