//! Callers, tenants and services that mean harm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{World, event, until};

async fn receiver(world: &World, name: &str, spec: Value) -> String {
    world.secret("hooks", "token", json!({"token": "t"})).await;
    world
        .apply(json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "app", "namespace": "hooks"}, "spec": {"interval": "1h", "url": "https://example.test/app.git"}}))
        .await;
    let mut whole = json!({"type": "generic", "secretRef": {"name": "token"}, "resources": [{"kind": "GitRepository", "name": "app"}]});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
        if value.is_null() {
            whole.as_object_mut().unwrap().remove(key);
        }
    }
    world
        .apply(json!({"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver",
            "metadata": {"name": name, "namespace": "hooks"}, "spec": whole}))
        .await;
    let receivers = world.api("notification.toolkit.fluxcd.io/v1", "Receiver", "hooks");
    until(&format!("{name} is ready"), || async {
        receivers.get(name).await.unwrap().data["status"]["webhookPath"].is_string()
    })
    .await;
    receivers.get(name).await.unwrap().data["status"]["webhookPath"].as_str().unwrap().to_owned()
}

/// Sends bytes and returns what comes back until the server closes or a while has passed.
async fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream =
        TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/')).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_limits() {
    let world = World::start().await;
    let large = format!("POST /hook/x HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(300 * 1024));
    let many = format!("POST /hook/x HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let fine =
        format!("POST /hook/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}\r\n", "X: y\r\n".repeat(200));
    let fat = format!(
        "POST /hook/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: {}\r\n\r\n",
        "x".repeat(200 * 1024)
    );
    for (bytes, expected) in [
        (large.as_str(), "HTTP/1.1 431"),
        (&many, "HTTP/1.1 431"),
        (&fine, "HTTP/1.1 404"),
        (&fat, "HTTP/1.1 404"),
        ("POST /hook/x\r\n\r\n", "HTTP/1.1 400"),
        ("\x16\x03\x01\x02\x00", "HTTP/1.1 400"),
        (
            "POST /hook/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 400",
        ),
        (
            "POST /hook/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffffff\r\n",
            "HTTP/1.1 400",
        ),
    ] {
        let answer = raw(&world.webhooks, bytes.as_bytes()).await;
        assert!(answer.starts_with(expected), "{:?} gives {answer:?}", &bytes[..bytes.len().min(60)]);
    }
    // A head that does not come to an end.
    let started = Instant::now();
    let answer = raw(&world.webhooks, b"POST /hook/x HTTP/1.1\r\nHost: h\r\n").await;
    assert!(started.elapsed() < Duration::from_secs(14), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_callers_hold_up_nobody() {
    let world = World::start().await;
    let path = receiver(&world, "r", json!({})).await;
    let address = world.webhooks.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let target = if number % 2 == 0 { path.as_str() } else { "/hook/unknown" };
        let head = format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 60_000]).await.unwrap();
        slow.push(stream);
    }
    let started = Instant::now();
    for body in ["{}".to_owned(), format!("\"{}\"", "x".repeat(2_000_000))] {
        let answer = world.http.post(format!("{}{path}", world.webhooks)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for (size, expected) in [(3 * 1024 * 1024, 404), (3 * 1024 * 1024 + 1, 413)] {
        let unknown = world.http.post(format!("{}/hook/unknown", world.webhooks));
        assert_eq!(unknown.body("x".repeat(size)).send().await.unwrap().status(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_never_ends_ends() {
    let world = World::start().await;
    let fine = receiver(&world, "fine", json!({"resourceFilter": "req.ok == true"})).await;
    let bomb = "req.items.all(a, req.items.all(b, req.items.all(c, a + b + c > 0.0)))";
    let bomb = receiver(&world, "bomb", json!({"resourceFilter": bomb})).await;
    let items: Vec<u32> = (1..100_000).collect();
    let call = async |path: &str, body: Value| {
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
    let bombs = (0..4).map(|_| call(&bomb, json!({"items": items})));
    let bombs = futures::future::join_all(bombs);
    let honest = async {
        let started = Instant::now();
        assert_eq!(call(&fine, json!({"ok": true})).await, 200);
        started.elapsed()
    };
    let (answers, _) = tokio::join!(bombs, honest);
    assert!(answers.iter().all(|status| *status == 500), "{answers:?}");
    assert_eq!(call(&fine, json!({"ok": true})).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_leads_nowhere_else() {
    // The sink is an exception; everything else on this machine is as internal as ever.
    let world = World::start_with(&[
        "--provider-address-policy=external",
        "--provider-address-exceptions=127.0.0.1/32",
    ])
    .await;
    let port = world.sink.address.rsplit(':').next().unwrap().to_owned();
    let redirect = format!("{}/redirect", world.sink.address);
    for (name, spec) in [
        ("fine", json!({"type": "generic", "address": format!("{}/fine", world.sink.address)})),
        ("same", json!({"type": "generic", "address": format!("{redirect}/same")})),
        ("hop", json!({"type": "generic", "address": format!("{redirect}/http://127.0.0.2:{port}/hop")})),
        ("name", json!({"type": "generic", "address": format!("http://localhost:{port}/name")})),
        ("mapped", json!({"type": "generic", "address": format!("http://[::ffff:127.0.0.2]:{port}/mapped")})),
        ("decimal", json!({"type": "generic", "address": format!("http://2130706434:{port}/decimal")})),
        ("octal", json!({"type": "generic", "address": format!("http://0177.0.0.2:{port}/octal")})),
        ("short", json!({"type": "generic", "address": format!("http://127.2:{port}/short")})),
        (
            "proxy",
            json!({"type": "generic", "address": "http://8.8.8.8/proxy", "proxy": format!("http://127.0.0.2:{port}")}),
        ),
        ("nats", json!({"type": "nats", "address": "nats://127.0.0.2:4222", "channel": "x"})),
        ("nats-name", json!({"type": "nats", "address": "localhost:4222", "channel": "x"})),
        (
            "gitea",
            json!({"type": "giteapullrequestcomment", "address": format!("http://127.0.0.2:{port}/o/r"), "secretRef": {"name": "s"}}),
        ),
    ] {
        world.alert_with(name, spec, json!({"eventMetadata": {"x": "y"}})).await;
    }
    world.secret("notify", "s", json!({"token": "tok"})).await;
    let mut event = event("app", "m");
    event["metadata"]["event.toolkit.fluxcd.io/change_request"] = "7".into();
    assert_eq!(world.post(&event).await, 202);
    until("what is allowed", || async {
        world.sink.at("/fine").len() == 1 && world.sink.at("/same").len() == 1
    })
    .await;
    for name in ["hop", "name", "mapped", "decimal", "octal", "short", "proxy", "nats", "nats-name", "gitea"]
    {
        until(&format!("a refusal of {name}"), || async {
            let events = world.events_about("Alert", name).await;
            events.iter().any(|(_, reason, message, _)| {
                reason == "NotificationDispatchFailed"
                    && message.contains("is not allowed by --provider-address-policy=external")
            })
        })
        .await;
    }
    let paths: Vec<String> = world.sink.received().into_iter().map(|received| received.target).collect();
    let allowed =
        |path: &String| ["/fine", "/same"].contains(&path.as_str()) || path.starts_with("/redirect/");
    assert!(paths.iter().all(allowed), "{paths:?}");

    // The issuers of receivers are addresses of tenants as well.
    let issuer = json!([{"issuerURL": format!("http://127.0.0.2:{port}"), "validations": [{"expression": "true", "message": "m"}]}]);
    let path =
        receiver(&world, "oidc", json!({"type": "generic-oidc", "secretRef": null, "oidcProviders": issuer}))
            .await;
    use base64::Engine;
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!(
        "{}.{}.AAAA",
        part(json!({"alg": "RS256"})),
        part(json!({"iss": format!("http://127.0.0.2:{port}")}))
    );
    let answer =
        world.http.post(format!("{}{path}", world.webhooks)).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(!world.sink.received().iter().any(|received| received.target.contains("well-known")));
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_of_alerts_do_not_hold_up_others() {
    let world = World::start().await;
    let bombs: Vec<String> =
        (0..300).map(|number| format!("(x+x+)+y{number}|(a?){{200}}a{{200}}b")).collect();
    world.alert("bomb", "/bomb", json!({"exclusionList": bombs})).await;
    world.alert("fine", "/fine", json!({"exclusionList": ["nothing"]})).await;
    assert_eq!(world.post(&event("warm", "up")).await, 202);
    let started = Instant::now();
    assert_eq!(world.post(&event("app", &"a".repeat(39_000))).await, 202);
    until("the message of the other alert", || async { world.sink.at("/fine").len() == 2 }).await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}
