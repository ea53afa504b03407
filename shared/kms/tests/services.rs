//! Services that check what they are asked, signatures and tokens included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use fluxide_auth::aws::Credentials as AwsCredentials;
use fluxide_auth::{Environment, TokenCache, sigv4};
use fluxide_kms::{Credentials, Endpoints, Services, Settings};
use fluxide_sops::{KeyService, MasterKey};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

const DATA_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const CERTIFICATE: &str = include_str!("client.pem");

/// A request as a service sees it.
struct Call {
    line: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Answer = fn(&Call) -> (u16, Value);

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn serve(answer: Answer) -> (String, Calls) {
    async fn respond(
        State((answer, calls, base)): State<(Answer, Calls, String)>,
        request: Request,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let call = Call {
            line: format!("{} {}", parts.method, parts.uri),
            url: format!("{base}{}", parts.uri),
            headers: headers.collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        calls.0.lock().unwrap().push(call.line.clone());
        let (status, value) = answer(&call);
        (StatusCode::from_u16(status).unwrap(), value.to_string()).into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    let router = axum::Router::new().fallback(respond).with_state((answer, calls.clone(), url.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

/// Opens a key from a thread that may block.
async fn open(settings: Settings, keys: Vec<MasterKey>) -> Vec<Result<Vec<u8>, String>> {
    let runtime = tokio::runtime::Handle::current();
    let mut services = Services::new(runtime, settings);
    tokio::task::spawn_blocking(move || keys.iter().map(|key| services.decrypt(key)).collect()).await.unwrap()
}

async fn open_one(settings: Settings, key: MasterKey) -> Result<Vec<u8>, String> {
    open(settings, vec![key]).await.swap_remove(0)
}

fn credentials(key: &str, value: &str) -> Credentials {
    let mut credentials = Credentials::default();
    assert!(credentials.add(key, value.as_bytes()).unwrap());
    credentials
}

/// Whether a request is signed with the secret key, for a service.
fn is_signed(call: &Call, id: &str, session: Option<&str>, service: &str) -> bool {
    let time = call.header("x-amz-date");
    let Ok(now) = jiff::Timestamp::strptime("%Y%m%dT%H%M%S%z", time.replace('Z', "+0000")) else {
        return false;
    };
    let age = jiff::Timestamp::now().duration_since(now).as_secs().abs();
    let signer = AwsCredentials {
        access_key_id: id.to_owned(),
        secret_access_key: SECRET_KEY.to_owned(),
        session_token: session.map(str::to_owned),
        expires: None,
    };
    let url = call.url.parse().unwrap();
    let names = ["content-type", "x-amz-target"];
    let signed: Vec<(&str, &str)> = names
        .into_iter()
        .filter(|name| call.header("authorization").contains(name))
        .map(|name| (name, call.header(name)))
        .collect();
    let request = sigv4::Request { method: "POST", url: &url, headers: &signed, body: call.body.as_bytes() };
    let expected = sigv4::headers(&signer, service, "eu-west-1", now, &request);
    age < 60
        && expected[1].1 == call.header("authorization")
        && call.header("x-amz-security-token") == session.unwrap_or_default()
}

const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/abc";

fn amazon(call: &Call) -> (u16, Value) {
    if call.line == "POST /sts" {
        let wanted = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=sops%40pod";
        if call.body != wanted || !is_signed(call, "AKID", None, "sts") {
            return (403, json!({"Error": {"Code": "AccessDenied"}}));
        }
        let found = json!({"AccessKeyId": "ROLE", "SecretAccessKey": SECRET_KEY, "SessionToken": "session", "Expiration": 4_070_908_800.0_f64});
        return (200, json!({"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": found}}}));
    }
    let is_ours = is_signed(call, "AKID", None, "kms") || is_signed(call, "ROLE", Some("session"), "kms");
    let asked = call.json();
    let is_right = call.header("x-amz-target") == "TrentService.Decrypt"
        && call.header("content-type") == "application/x-amz-json-1.1"
        && asked["KeyId"] == ARN
        && asked["CiphertextBlob"] == BASE64_STANDARD.encode("sealed");
    match (is_ours, is_right, &asked["EncryptionContext"]) {
        (false, ..) => {
            (400, json!({"__type": "InvalidSignatureException", "message": "The signature does not match"}))
        }
        (true, true, context) if context.is_null() || *context == json!({"app": "web"}) => {
            (200, json!({"KeyId": ARN, "Plaintext": BASE64_STANDARD.encode(DATA_KEY)}))
        }
        _ => (400, json!({"__type": "com.amazonaws.kms#InvalidCiphertextException"})),
    }
}

fn aws_key(role: Option<&str>, context: &[(&str, &str)], sealed: &str) -> MasterKey {
    MasterKey::AwsKms {
        arn: ARN.to_owned(),
        role: role.map(str::to_owned),
        context: context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        profile: None,
        encrypted: BASE64_STANDARD.encode(sealed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_is_asked_with_a_signature() {
    let (url, calls) = serve(amazon).await;
    let settings = Settings {
        credentials: credentials(
            "sops.aws-kms",
            &format!("aws_access_key_id: AKID\naws_secret_access_key: {SECRET_KEY}"),
        ),
        environment: Environment::of(&[("HOSTNAME", "pod")]),
        endpoints: Endpoints {
            aws_kms: Some(format!("{url}/")),
            aws_sts: Some(format!("{url}/sts")),
            ..Endpoints::default()
        },
        ..Settings::default()
    };
    assert_eq!(open_one(settings.clone(), aws_key(None, &[], "sealed")).await.unwrap(), DATA_KEY);
    assert_eq!(
        open_one(settings.clone(), aws_key(None, &[("app", "web")], "sealed")).await.unwrap(),
        DATA_KEY
    );
    calls.take();
    let in_role = aws_key(Some("arn:aws:iam::1:role/r"), &[], "sealed");
    assert_eq!(open_one(settings.clone(), in_role).await.unwrap(), DATA_KEY);
    assert_eq!(calls.take(), ["POST /sts", "POST /"]);

    let error = open_one(settings.clone(), aws_key(None, &[("app", "other")], "sealed")).await.unwrap_err();
    assert_eq!(
        error,
        "failed to decrypt sops data key with AWS KMS: AWS KMS answered 400: InvalidCiphertextException"
    );
    let error =
        open_one(settings.clone(), aws_key(Some("arn:aws:iam::2:role/r"), &[], "sealed")).await.unwrap_err();
    assert!(
        error.starts_with(
            "failed to decrypt sops data key in the role 'arn:aws:iam::2:role/r': AWS STS answered 403"
        ),
        "{error}"
    );
    let wrong = Settings {
        credentials: credentials("sops.aws-kms", "aws_access_key_id: AKID\naws_secret_access_key: other"),
        ..settings
    };
    let error = open_one(wrong, aws_key(None, &[], "sealed")).await.unwrap_err();
    assert!(error.ends_with("InvalidSignatureException: The signature does not match"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_of_the_process_is_kept_for_a_while() {
    fn machine(call: &Call) -> (u16, Value) {
        match call.line.as_str() {
            "GET /container" => (
                200,
                json!({"AccessKeyId": "AKID", "SecretAccessKey": SECRET_KEY, "Token": "session", "Expiration": "2099-01-01T00:00:00Z"}),
            ),
            _ if is_signed(call, "AKID", Some("session"), "kms") => {
                (200, json!({"Plaintext": BASE64_STANDARD.encode(DATA_KEY)}))
            }
            _ => (403, json!({})),
        }
    }
    let (url, calls) = serve(machine).await;
    let settings = Settings {
        environment: Environment::of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{url}/container"))]),
        endpoints: Endpoints { aws_kms: Some(format!("{url}/")), ..Endpoints::default() },
        tokens: TokenCache::new(10, Duration::from_secs(3600)),
        ..Settings::default()
    };
    for _ in 0..2 {
        assert_eq!(open_one(settings.clone(), aws_key(None, &[], "sealed")).await.unwrap(), DATA_KEY);
    }
    assert_eq!(calls.take(), ["GET /container", "POST /", "POST /"]);
}

fn rsa_key() -> RsaKeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

/// The header and the claims of a JWT, if the key of the certificate signed it.
fn claims(jwt: &str) -> Option<(Value, Value)> {
    let (text, signature) = jwt.rsplit_once('.')?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa_key().public().as_ref().to_vec());
    key.verify(text.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let part = |text: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let (header, claims) = text.split_once('.')?;
    Some((part(header)?, part(claims)?))
}

fn form(body: &str, name: &str) -> String {
    let url = url::Url::parse(&format!("http://form/?{body}")).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn google(call: &Call) -> (u16, Value) {
    const DECRYPT: &str = "POST /v1/projects/p/locations/global/keyRings/r/cryptoKeys/k:decrypt";
    match call.line.as_str() {
        "POST /token" => {
            let Some((header, claims)) = claims(&form(&call.body, "assertion")) else {
                return (401, json!({}));
            };
            let is_right = form(&call.body, "grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
                && header["kid"] == "k1"
                && claims["iss"] == "flux@p.iam.gserviceaccount.com"
                && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
                && claims["aud"].as_str().is_some_and(|audience| audience.ends_with("/token"));
            if is_right {
                (200, json!({"access_token": "by-key", "expires_in": 3600}))
            } else {
                (400, json!({}))
            }
        }
        "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
            if call.header("metadata-flavor") == "Google" =>
        {
            (200, json!({"access_token": "by-machine", "expires_in": 3600}))
        }
        DECRYPT
            if matches!(call.header("authorization"), "Bearer by-key" | "Bearer by-machine")
                && call.json() == json!({"ciphertext": BASE64_STANDARD.encode("sealed")}) =>
        {
            (200, json!({"plaintext": BASE64_STANDARD.encode(DATA_KEY)}))
        }
        _ => (403, json!({"error": {"code": 403, "message": "Permission denied on resource"}})),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_is_asked_with_a_token_of_a_key_or_of_the_machine() {
    let (url, _) = serve(google).await;
    let key = MasterKey::GcpKms {
        resource_id: "projects/p/locations/global/keyRings/r/cryptoKeys/k".to_owned(),
        encrypted: BASE64_STANDARD.encode("sealed"),
    };
    let private = CERTIFICATE.split_inclusive("-----END PRIVATE KEY-----").next().unwrap();
    let json = json!({"type": "service_account", "client_email": "flux@p.iam.gserviceaccount.com",
        "private_key": private, "private_key_id": "k1", "token_uri": "https://oauth2.googleapis.com/token"});
    let by_machine = Settings {
        environment: Environment::of(&[]),
        endpoints: Endpoints { google: Some(url), ..Endpoints::default() },
        ..Settings::default()
    };
    let by_key =
        Settings { credentials: credentials("sops.gcp-kms", &json.to_string()), ..by_machine.clone() };
    assert_eq!(open_one(by_key.clone(), key.clone()).await.unwrap(), DATA_KEY);
    assert_eq!(open_one(by_machine, key).await.unwrap(), DATA_KEY);
    let other = MasterKey::GcpKms {
        resource_id: "projects/p/locations/global/keyRings/r/cryptoKeys/other".to_owned(),
        encrypted: BASE64_STANDARD.encode("sealed"),
    };
    let error = open_one(by_key, other).await.unwrap_err();
    assert_eq!(
        error,
        "failed to decrypt sops data key with GCP KMS key: Google Cloud KMS answered 403: Permission denied on resource"
    );
}

fn azure(call: &Call) -> (u16, Value) {
    let token = |name: &str| (200, json!({"access_token": name, "expires_in": 3600}));
    match call.line.as_str() {
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net&client_id=me" => {
            token("by-machine")
        }
        "POST /keys/sops/v1/decrypt?api-version=7.4"
            if call.header("authorization") == "Bearer by-machine"
                && call.json()
                    == json!({"alg": "RSA-OAEP-256", "value": BASE64_URL_SAFE_NO_PAD.encode("sealed")}) =>
        {
            (200, json!({"kid": "x", "value": BASE64_URL_SAFE_NO_PAD.encode(DATA_KEY)}))
        }
        _ => (
            401,
            json!({"error": {"code": "Unauthorized", "message": "AKV10000: Request is missing a token"}}),
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_is_asked_with_a_token() {
    let (url, _) = serve(azure).await;
    let key = |name: &str, vault: &str| MasterKey::AzureKeyVault {
        vault_url: vault.to_owned(),
        name: name.to_owned(),
        version: "v1".to_owned(),
        encrypted: BASE64_URL_SAFE_NO_PAD.encode("sealed"),
    };
    let settings = Settings {
        credentials: credentials("sops.azure-kv", "clientId: me"),
        environment: Environment::of(&[]),
        endpoints: Endpoints { azure: Some(url.clone()), ..Endpoints::default() },
        ..Settings::default()
    };
    assert_eq!(open_one(settings.clone(), key("sops", &url)).await.unwrap(), DATA_KEY);
    let error = open_one(settings.clone(), key("other", &url)).await.unwrap_err();
    assert!(error.ends_with("Azure Key Vault answered 401: AKV10000: Request is missing a token"), "{error}");
    // Without the test's endpoint nothing but vaults of Azure is asked.
    let real = Settings { endpoints: Endpoints::default(), ..settings };
    let error = open_one(real, key("sops", &url)).await.unwrap_err();
    assert!(error.ends_with("is not the https:// address of an Azure Key Vault"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_knows_an_application_by_its_certificate() {
    fn entra(call: &Call) -> (u16, Value) {
        let Some((header, claims)) = claims(&form(&call.body, "client_assertion")) else {
            return (401, json!({}));
        };
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let print = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        let is_right = call.line == "POST /tenant/oauth2/v2.0/token"
            && form(&call.body, "scope") == "https://vault.azure.net/.default"
            && header["x5t"] == BASE64_URL_SAFE_NO_PAD.encode(print)
            && claims["iss"] == "app"
            && claims["sub"] == "app"
            && claims["aud"].as_str().is_some_and(|url| url.ends_with("/tenant/oauth2/v2.0/token"));
        if is_right { (200, json!({"access_token": "token", "expires_in": 60})) } else { (400, json!({})) }
    }
    let (url, _) = serve(entra).await;
    let azure = fluxide_auth::azure::Azure::new(Environment::of(&[("AZURE_AUTHORITY_HOST", &url)]));
    let client = fluxide_auth::ClientSettings::default().client().unwrap();
    let scope = "https://vault.azure.net/.default";
    let token = azure.token_by_certificate(&client, "tenant", "app", CERTIFICATE.as_bytes(), scope).await;
    assert_eq!(token.unwrap().secret, "token");
    let nonsense = azure.token_by_certificate(&client, "tenant", "app", b"hidden", scope).await.unwrap_err();
    assert_eq!(nonsense.to_string(), "cannot use the client certificate: it is not PEM");
}

fn vault(call: &Call) -> (u16, Value) {
    match (call.line.as_str(), call.header("x-vault-token")) {
        ("PUT /v1/transit/decrypt/sops", "hidden")
            if call.json() == json!({"ciphertext": "vault:v1:sealed"})
                && call.header("x-vault-request") == "true" =>
        {
            (200, json!({"data": {"plaintext": BASE64_STANDARD.encode(DATA_KEY)}}))
        }
        ("PUT /v1/transit/decrypt/sops", "hidden") => {
            (400, json!({"errors": ["cipher: message authentication failed"]}))
        }
        _ => (403, json!({"errors": ["permission denied"]})),
    }
}

fn vault_key(address: &str, encrypted: &str) -> MasterKey {
    MasterKey::Vault {
        address: address.to_owned(),
        engine_path: "transit".to_owned(),
        key_name: "sops".to_owned(),
        encrypted: encrypted.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vault_is_asked_with_a_token() {
    let (url, calls) = serve(vault).await;
    let allowed = Environment::of(&[("SOPS_HC_VAULT_ALLOWLIST", &url)]);
    let settings = Settings {
        credentials: credentials("sops.vault-token", "hidden\n"),
        environment: allowed,
        ..Settings::default()
    };
    assert_eq!(open_one(settings.clone(), vault_key(&url, "vault:v1:sealed")).await.unwrap(), DATA_KEY);
    let error = open_one(settings.clone(), vault_key(&url, "vault:v1:other")).await.unwrap_err();
    assert_eq!(
        error,
        "failed to decrypt sops data key from Vault transit backend 'transit/decrypt/sops': Vault answered 400: cipher: message authentication failed"
    );
    let wrong = Settings { credentials: credentials("sops.vault-token", "wrong"), ..settings.clone() };
    let error = open_one(wrong, vault_key(&url, "vault:v1:sealed")).await.unwrap_err();
    assert!(error.ends_with("permission denied") && !error.contains("wrong"), "{error}");
    calls.take();

    // Nobody asks this machine, or somebody who is not in the list.
    let any = Settings { environment: Environment::of(&[]), ..settings.clone() };
    let error = open_one(any, vault_key(&url, "vault:v1:sealed")).await.unwrap_err();
    assert!(error.contains("which is of this machine"), "{error}");
    let none = Settings { environment: Environment::of(&[("SOPS_HC_VAULT_ALLOWLIST", "none")]), ..settings };
    let error = open_one(none, vault_key(&url, "vault:v1:sealed")).await.unwrap_err();
    assert!(error.ends_with("is not in SOPS_HC_VAULT_ALLOWLIST"), "{error}");
    assert!(calls.take().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vault_token_of_the_process_is_for_servers_it_was_told_of() {
    let (url, calls) = serve(vault).await;
    let own = |variables: &[(&str, &str)]| Settings {
        environment: Environment::of(&[&[("VAULT_TOKEN", "hidden")], variables].concat()),
        trusts_addresses: false,
        ..Settings::default()
    };
    let key = vault_key(&url, "vault:v1:sealed");
    assert_eq!(open_one(own(&[("VAULT_ADDR", &url)]), key.clone()).await.unwrap(), DATA_KEY);
    assert_eq!(open_one(own(&[("SOPS_HC_VAULT_ALLOWLIST", &url)]), key.clone()).await.unwrap(), DATA_KEY);
    calls.take();
    // A server in the network that a file names, and nobody else.
    let error = open_one(own(&[]), vault_key("http://192.0.2.1:8200", "vault:v1:sealed")).await.unwrap_err();
    assert!(error.contains("does not get the token of the controller"), "{error}");
    assert!(calls.take().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_keys_are_refused_in_words() {
    let keys = vec![
        MasterKey::HuaweiKms { key_id: "r:1".to_owned(), encrypted: "eA==".to_owned() },
        MasterKey::AwsKms {
            arn: "x".to_owned(),
            role: None,
            context: Vec::new(),
            profile: None,
            encrypted: "eA==".to_owned(),
        },
        MasterKey::GcpKms { resource_id: "projects/p".to_owned(), encrypted: "%".to_owned() },
        vault_key("ftp://vault.test", "x"),
    ];
    let settings = Settings { environment: Environment::of(&[]), ..Settings::default() };
    let errors: Vec<String> = open(settings, keys).await.into_iter().map(Result::unwrap_err).collect();
    assert!(errors[0].contains("Huawei"), "{errors:?}");
    assert!(errors[1].contains("is not the ARN of a key"), "{errors:?}");
    assert!(errors[2].contains("is not projects/"), "{errors:?}");
    assert!(errors[3].contains("must start with https:// or http://"), "{errors:?}");
}
