//! Webhooks in, annotations out.

use std::collections::BTreeMap;

use crate::world::{World, corpus_json, until};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::api::{DeleteParams, Patch, PatchParams};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

const RECEIVER: &str = "notification.toolkit.fluxcd.io/v1";

async fn state(world: &World, name: &str) -> Value {
    let object = world.api(RECEIVER, "Receiver", "hooks").get(name).await.unwrap();
    serde_json::to_value(object).unwrap()
}

/// A status without times, and with the messages of expressions cut where implementations differ.
fn normal(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
        if let Some((message, _)) = condition["message"].as_str().and_then(|text| text.split_once("': ERROR"))
        {
            condition["message"] = message.into();
        }
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_answer_as_recorded() {
    let world = World::start().await;
    world.apply_corpus("receivers.yaml").await;
    let states = corpus_json("receiver-states.json");
    for (name, expected) in states.as_object().unwrap() {
        if name == "suspended" {
            continue;
        }
        let expected = (normal(&expected["status"]), expected["finalizers"].clone());
        until(&format!("{name} is as recorded: {expected:#?}"), || async {
            let found = state(&world, name).await;
            (normal(&found["status"]), found["metadata"]["finalizers"].clone()) == expected
        })
        .await;
    }
    let mut replayed = 0;
    for call in corpus_json("receiver-calls.json").as_array().unwrap() {
        let name = format!("{} {}", call["receiver"], call["case"]);
        let method: reqwest::Method = call["method"].as_str().unwrap().parse().unwrap();
        let url = format!("{}{}", world.webhooks, call["path"].as_str().unwrap());
        let body = match call["request_body"].as_str().unwrap_or_default() {
            "3145729 bytes" => "x".repeat(3_145_729),
            body => body.to_owned(),
        };
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut request = client.request(method, url).body(body);
        for (header, value) in call["request_headers"].as_object().into_iter().flatten() {
            request = request.header(header, value.as_str().unwrap());
        }
        let before = annotations(&world).await;
        let answer = request.send().await.unwrap();
        assert_eq!(u64::from(answer.status().as_u16()), call["status"].as_u64().unwrap(), "{name}");
        if let Some(location) = call["answer_headers"]["Location"].as_str() {
            assert_eq!(answer.headers()["location"], location, "{name}");
        }
        assert_eq!(answer.text().await.unwrap(), call["answer_body"].as_str().unwrap(), "{name}");
        let after = annotations(&world).await;
        let expected: Vec<&str> = call["annotated"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|annotated| annotated.as_str().unwrap().split('=').next().unwrap())
            .collect();
        let changed: Vec<&String> =
            after.iter().filter(|(name, at)| before.get(*name) != Some(at)).map(|(name, _)| name).collect();
        assert_eq!(changed, expected, "{name}");
        replayed += 1;
    }
    println!("{replayed} calls are answered as recorded");
    assert!(replayed >= 62, "{replayed}");
}

/// When each target was last asked for.
async fn annotations(world: &World) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (api_version, kind) in
        [("source.toolkit.fluxcd.io/v1", "GitRepository"), ("image.toolkit.fluxcd.io/v1", "ImageRepository")]
    {
        let object = world.api(api_version, kind, "hooks").get("app").await.unwrap();
        let object = serde_json::to_value(object).unwrap();
        found.insert(
            format!("{kind}/app"),
            object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"].clone(),
        );
    }
    found
}

async fn receiver(world: &World, name: &str, spec: Value) {
    world
        .apply(json!({"apiVersion": RECEIVER, "kind": "Receiver", "metadata": {"name": name, "namespace": "hooks"}, "spec": spec}))
        .await;
}

async fn repository(world: &World, name: &str) {
    world
        .apply(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": name, "namespace": "hooks", "annotations": {"keep": "me"}},
            "spec": {"interval": "1h", "url": "https://example.test/app.git"}}))
        .await;
}

async fn ready_path(world: &World, name: &str) -> String {
    until(&format!("{name} is ready"), || async {
        state(world, name).await["status"]["webhookPath"].is_string()
    })
    .await;
    state(world, name).await["status"]["webhookPath"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_moves_the_webhook_and_a_lost_one_closes_it() {
    let world = World::start().await;
    let secret = |token: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"token": token},
            "metadata": {"name": "token", "namespace": "hooks", "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}})
    };
    repository(&world, "app").await;
    world.apply(secret("one")).await;
    receiver(&world, "r", json!({"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "GitRepository", "name": "app"}]})).await;
    let first = ready_path(&world, "r").await;
    let call = async |path: &str| {
        world.http.post(format!("{}{path}", world.webhooks)).send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(&first).await, 200);
    let object = world.api("source.toolkit.fluxcd.io/v1", "GitRepository", "hooks").get("app").await.unwrap();
    assert_eq!(object.metadata.annotations.unwrap()["keep"], "me");
    world.apply(secret("two")).await;
    until("the webhook has moved", || async { call(&first).await == 404 }).await;
    let second = ready_path(&world, "r").await;
    assert_ne!(first, second);
    assert_eq!(call(&second).await, 200);

    world.api("v1", "Secret", "hooks").delete("token", &DeleteParams::default()).await.unwrap();
    until("the webhook is closed", || async {
        let state = state(&world, "r").await;
        let ready =
            state["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").cloned();
        state["status"]["webhookPath"].is_null()
            && ready.is_some_and(|ready| ready["reason"] == "TokenNotFound")
    })
    .await;
    assert_eq!(call(&second).await, 404);
    world.apply(secret("two")).await;
    assert_eq!(ready_path(&world, "r").await, second);

    world.apply(secret("")).await;
    until("an empty token is none", || async { state(&world, "r").await["status"]["webhookPath"].is_null() })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_receiver_is_mended_by_its_spec() {
    let world = World::start().await;
    repository(&world, "app").await;
    world.secret("hooks", "token", json!({"token": "t"})).await;
    let spec = |filter: &str| json!({"type": "generic", "secretRef": {"name": "token"}, "resourceFilter": filter, "resources": [{"kind": "GitRepository", "name": "app"}]});
    receiver(&world, "r", spec("req.ready")).await;
    until("it is stalled", || async {
        let state = state(&world, "r").await;
        state["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Stalled" && c["reason"] == "InvalidCELExpression")
    })
    .await;
    receiver(&world, "r", spec("req.ready == true && !has(res.spec) && res.kind == 'GitRepository' && res.apiVersion == 'source.toolkit.fluxcd.io/v1'")).await;
    let path = ready_path(&world, "r").await;
    let conditions = state(&world, "r").await["status"]["conditions"].clone();
    assert_eq!(conditions.as_array().unwrap().len(), 1, "{conditions}");
    let call = async |body: Value| {
        world
            .http
            .post(format!("{}{path}", world.webhooks))
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(call(json!({"ready": true})).await, 200);
    assert_eq!(call(json!({"ready": false})).await, 200);
    assert_eq!(call(json!({})).await, 500);
    let suspend = json!({"spec": {"suspend": true}});
    world
        .api(RECEIVER, "Receiver", "hooks")
        .patch("r", &PatchParams::default(), &Patch::Merge(&suspend))
        .await
        .unwrap();
    until("it is suspended", || async { call(json!({"ready": true})).await == 503 }).await;
}

/// An issuer of tokens with one key.
struct Issuer {
    address: String,
    key: EcdsaKeyPair,
    requests: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Issuer {
    async fn start() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let point = key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let keys = json!({"keys": [{"kty": "XYZ"}, {"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "x": x, "y": y}]});
        let discovery = json!({"issuer": address, "jwks_uri": format!("{address}/keys"), "id_token_signing_alg_values_supported": ["ES256"]});
        let requests = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let counter = requests.clone();
        let router = axum::Router::new()
            .route(
                "/.well-known/openid-configuration",
                axum::routing::get(async move || axum::Json(discovery)),
            )
            .route(
                "/keys",
                axum::routing::get(async move || {
                    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    axum::Json(keys)
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, key, requests }
    }

    fn token(&self, header: Value, claims: Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_listed_issuers_open_a_webhook() {
    let world = World::start().await;
    repository(&world, "app").await;
    let (issuer, stranger) = (Issuer::start().await, Issuer::start().await);
    receiver(&world, "r", json!({
        "type": "generic-oidc",
        "oidcProviders": [{
            "issuerURL": issuer.address,
            "variables": [{"name": "owner", "expression": "claims.repository.split('/')[0]"}],
            "validations": [
                {"expression": "vars.owner == 'org'", "message": "wrong owner"},
                {"expression": "claims.ref == 'refs/heads/main'", "message": "wrong branch"},
            ],
        }],
        "resources": [{"kind": "GitRepository", "name": "app", "filter": "claims.repository == 'org/' + res.metadata.name"}],
    }))
    .await;
    let path = ready_path(&world, "r").await;
    let now = jiff::Timestamp::now().as_second();
    let claims = |issuer: &Issuer| {
        json!({
            "iss": issuer.address, "aud": ["x", "notification-controller"], "exp": now + 600, "nbf": now - 5,
            "repository": "org/app", "ref": "refs/heads/main",
        })
    };
    let with = |member: &str, value: Value| {
        let mut claims = claims(&issuer);
        claims[member] = value;
        claims
    };
    let header = json!({"alg": "ES256", "kid": "k"});
    let call = async |token: String| {
        let request = world.http.post(format!("{}{path}", world.webhooks)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(issuer.token(header.clone(), claims(&issuer))).await, 200);
    for (claims, why) in [
        (with("exp", json!(now - 3600)), "expired"),
        (with("nbf", json!(now + 3600)), "not yet"),
        (with("aud", json!("other")), "audience"),
        (with("repository", json!("evil/app")), "owner"),
        (with("ref", json!("refs/heads/dev")), "branch"),
        (with("iss", json!(stranger.address)), "issuer"),
    ] {
        assert_eq!(call(issuer.token(header.clone(), claims)).await, 400, "{why}");
    }
    assert_eq!(call(stranger.token(header.clone(), claims(&stranger))).await, 400, "unlisted issuer");
    assert_eq!(
        stranger.requests.load(std::sync::atomic::Ordering::Relaxed),
        0,
        "unlisted issuers are never asked"
    );
    assert_eq!(call(stranger.token(header.clone(), claims(&issuer))).await, 400, "signed by another key");
    assert_eq!(call(issuer.token(json!({"alg": "none"}), claims(&issuer))).await, 400, "none");
    assert_eq!(
        call(issuer.token(json!({"alg": "HS256", "kid": "k"}), claims(&issuer))).await,
        400,
        "symmetric"
    );
    for _ in 0..3 {
        call(issuer.token(json!({"alg": "ES256", "kid": "unknown"}), claims(&issuer))).await;
    }
    assert_eq!(issuer.requests.load(std::sync::atomic::Ordering::Relaxed), 1, "keys are kept");
    assert_eq!(call("a.b.c".to_owned()).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_and_floods_can_be_shut_out() {
    let world = World::start_with(&["--no-cross-namespace-refs=true", "--receiver-rate-limit=2"]).await;
    repository(&world, "app").await;
    world.secret("hooks", "token", json!({"token": "t"})).await;
    receiver(&world, "own", json!({"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "GitRepository", "name": "app"}]})).await;
    receiver(&world, "other", json!({"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "GitRepository", "name": "app", "namespace": "other"}]})).await;
    let (own, other) = (ready_path(&world, "own").await, ready_path(&world, "other").await);
    let call = async |path: &str| {
        world.http.post(format!("{}{path}", world.webhooks)).send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(&other).await, 500);
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(call(&own).await);
    }
    assert_eq!(answers[0], 200);
    assert!(answers.contains(&429), "{answers:?}");
}
