//! Tokens from servers that check what they are asked.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluxide_auth::aws::Aws;
use fluxide_auth::azure::{Azure, DEVOPS_SCOPE};
use fluxide_auth::github_app::{GithubApp, Installation};
use fluxide_auth::{AuthError, ClientSettings, Environment};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

const KEY: &str = include_str!("app-key.pem");

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

async fn serve(answer: fn(&str, &str, &str) -> (u16, String)) -> (String, Seen) {
    type Answer = fn(&str, &str, &str) -> (u16, String);
    async fn respond(State((answer, seen)): State<(Answer, Seen)>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let authorization =
            parts.headers.get("authorization").map(|v| v.to_str().unwrap()).unwrap_or_default();
        let call = format!("{} {}", parts.method, parts.uri);
        seen.0.lock().unwrap().push(format!("{call} {body}"));
        let (status, text) = answer(&call, authorization, &body);
        (StatusCode::from_u16(status).unwrap(), text).into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let router = axum::Router::new().fallback(respond).with_state((answer, seen.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

/// GitHub, as far as it is needed here.
fn github(call: &str, authorization: &str, _body: &str) -> (u16, String) {
    if !claim_is_good(authorization) {
        return (401, r#"{"message":"A JSON web token could not be decoded"}"#.to_owned());
    }
    match call {
        "GET /api/v3/users/somebody/installation" => (200, r#"{"id":42}"#.to_owned()),
        "GET /api/v3/orgs/acme/installation" => (200, r#"{"id":7}"#.to_owned()),
        "POST /api/v3/app/installations/42/access_tokens"
        | "POST /api/v3/app/installations/7/access_tokens" => {
            (201, r#"{"token":"ghs_secret","expires_at":"2099-01-01T00:00:00Z"}"#.to_owned())
        }
        _ => (404, r#"{"message":"Not Found"}"#.to_owned()),
    }
}

fn claim_is_good(authorization: &str) -> bool {
    let Some((text, signature)) = authorization.strip_prefix("Bearer ").and_then(|t| t.rsplit_once('.'))
    else {
        return false;
    };
    let der = PrivatePkcs1KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_der(der.secret_pkcs1_der()).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref().to_vec());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let part = |n: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (issued, expires) = (part(1)["iat"].as_u64().unwrap(), part(1)["exp"].as_u64().unwrap());
    key.verify(text.as_bytes(), &signature).is_ok()
        && part(0) == serde_json::json!({"alg": "RS256", "typ": "JWT"})
        && part(1)["iss"] == "123"
        && issued <= now
        && expires > now
        && expires - issued == 120
}

fn app(url: &str, installation: Installation) -> GithubApp {
    GithubApp {
        app_id: "123".to_owned(),
        installation,
        private_key: KEY.as_bytes().to_vec(),
        base_url: Some(format!("{url}/api/v3/")),
    }
}

#[tokio::test]
async fn an_app_proves_itself_and_gets_a_token_of_its_installation() {
    let (url, seen) = serve(github).await;
    let client = ClientSettings::default().client().unwrap();
    for (installation, calls) in [
        (Installation::Id("42".to_owned()), 1),
        (Installation::Owner("acme".to_owned()), 2),
        (Installation::Owner("somebody".to_owned()), 3),
    ] {
        let token = app(&url, installation).token(&client, SystemTime::now()).await.unwrap();
        assert_eq!(token.secret, "ghs_secret");
        assert!(!format!("{token:?}").contains("ghs"));
        assert_eq!(std::mem::take(&mut *seen.0.lock().unwrap()).len(), calls);
    }
    let fail = async |app: GithubApp| app.token(&client, SystemTime::now()).await.unwrap_err();
    let absent = fail(app(&url, Installation::Owner("nobody".to_owned()))).await;
    assert_eq!(absent.to_string(), r#"GitHub answered 404: {"message":"Not Found"}"#);
    let other = GithubApp { app_id: "124".to_owned(), ..app(&url, Installation::Id("42".to_owned())) };
    assert!(matches!(fail(other).await, AuthError::Refused { status: 401, .. }));
    let traversal = fail(app(&url, Installation::Id("42/../7".to_owned()))).await;
    assert!(matches!(traversal, AuthError::Settings(_)));
    let key = GithubApp { private_key: b"nonsense".to_vec(), ..app(&url, Installation::Id("42".to_owned())) };
    assert_eq!(fail(key).await.to_string(), "cannot use the private key of the GitHub App: it is not PEM");
    let gone = fail(app("http://127.0.0.1:9", Installation::Id("42".to_owned()))).await;
    assert!(gone.to_string().starts_with("GitHub: "), "{gone}");
}

fn entra(call: &str, _authorization: &str, body: &str) -> (u16, String) {
    let token =
        |name: &str| (200, format!(r#"{{"access_token":"{name}","expires_in":3600,"token_type":"Bearer"}}"#));
    let scope = "scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default";
    match call {
        "POST /tenant/oauth2/v2.0/token" if body.contains("client_secret=hidden") && body.contains(scope) => {
            token("by-secret")
        }
        "POST /tenant/oauth2/v2.0/token"
            if body.contains("client_assertion=assertion") && body.contains(scope) =>
        {
            token("by-assertion")
        }
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=499b84ac-1321-427f-aa17-267ca6975798&client_id=me" => {
            (200, r#"{"access_token":"by-machine","expires_in":"3600"}"#.to_owned())
        }
        _ => (400, r#"{"error":"invalid_client"}"#.to_owned()),
    }
}

#[tokio::test]
async fn azure_knows_a_process_by_secret_federated_token_or_machine() {
    let (url, _) = serve(entra).await;
    let client = ClientSettings::default().client().unwrap();
    let directory = std::env::temp_dir().join(format!("fluxide-auth-{}", std::process::id()));
    std::fs::write(&directory, "assertion\n").unwrap();
    let file = directory.to_str().unwrap();
    let base =
        [("AZURE_AUTHORITY_HOST", url.as_str()), ("AZURE_CLIENT_ID", "me"), ("AZURE_TENANT_ID", "tenant")];
    let token = async |more: &[(&str, &str)]| {
        let azure = Azure::new(Environment::of(&[&base, more].concat())).with_metadata(&url);
        azure.token(&client, None, DEVOPS_SCOPE).await.map(|token| token.secret)
    };
    assert_eq!(token(&[("AZURE_CLIENT_SECRET", "hidden")]).await.unwrap(), "by-secret");
    assert_eq!(token(&[("AZURE_FEDERATED_TOKEN_FILE", file)]).await.unwrap(), "by-assertion");
    assert_eq!(token(&[]).await.unwrap(), "by-machine");
    let refused = token(&[("AZURE_CLIENT_SECRET", "wrong")]).await.unwrap_err();
    assert_eq!(refused.to_string(), r#"Entra ID answered 400: {"error":"invalid_client"}"#);
    std::fs::remove_file(&directory).unwrap();
}

fn amazon(call: &str, authorization: &str, body: &str) -> (u16, String) {
    let role =
        r#"{"AccessKeyId":"ROLE","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    match call {
        "POST /sts" if body.contains("WebIdentityToken=web") && body.contains("RoleArn=arn%3Aaws") => (
            200,
            r#"{"AssumeRoleWithWebIdentityResponse":{"AssumeRoleWithWebIdentityResult":{"Credentials":{"AccessKeyId":"WEB","SecretAccessKey":"s","SessionToken":"t","Expiration":4070908800.0}}}}"#.to_owned(),
        ),
        "GET /container" if authorization == "pod" => (200, role.replace("ROLE", "POD")),
        "PUT /latest/api/token" => (200, "session".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/" => (200, "node\n".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/node" => (200, role.to_owned()),
        _ => (403, "no".to_owned()),
    }
}

#[tokio::test]
async fn aws_knows_a_process_by_keys_web_identity_container_or_machine() {
    let (url, _) = serve(amazon).await;
    let client = ClientSettings::default().client().unwrap();
    let path = std::env::temp_dir().join(format!("fluxide-auth-aws-{}", std::process::id()));
    std::fs::write(&path, "web").unwrap();
    let file = path.to_str().unwrap();
    let container = format!("{url}/container");
    let id = async |variables: &[(&str, &str)]| {
        let aws = Aws::new(Environment::of(variables)).with_endpoints(&url, format!("{url}/sts"));
        aws.credentials(&client, None, "eu-west-1").await.map(|found| found.access_key_id)
    };
    let keys = [("AWS_ACCESS_KEY_ID", "KEYS"), ("AWS_SECRET_ACCESS_KEY", "s")];
    assert_eq!(id(&keys).await.unwrap(), "KEYS");
    let web = [("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", file)];
    assert_eq!(id(&web).await.unwrap(), "WEB");
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod"),
    ];
    assert_eq!(id(&pod).await.unwrap(), "POD");
    assert_eq!(id(&[]).await.unwrap(), "ROLE");
    let refused = id(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())]).await.unwrap_err();
    assert_eq!(refused.to_string(), "the AWS container credentials answered 403: no");
    std::fs::remove_file(&path).unwrap();
}
