//! Providers that are reached through a proxy.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, event, until};

/// A proxy that takes every request to one server, wherever it was to go, and keeps the heads.
#[derive(Clone)]
struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let proxy = Self { address, heads: Arc::default() };
        let (kept, server) = (proxy.heads.clone(), server.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass_on(stream, server.clone(), kept.clone()));
            }
        });
        proxy
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn head(&self, start: &str) -> Option<String> {
        self.heads().into_iter().find(|head| head.starts_with(start))
    }
}

async fn pass_on(mut client: TcpStream, server: String, kept: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8(head.clone()).unwrap();
    let is_tunnel = text.starts_with("CONNECT ");
    kept.lock().unwrap().push(text);
    let mut upstream = TcpStream::connect(server).await.unwrap();
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        upstream.write_all(&head).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_reached_through_its_proxy() {
    let world = World::start().await;
    let proxy = Proxy::start(&world.sink.address).await;
    let unused = "http://127.0.0.1:1";
    let url = format!("http://{}", proxy.address);
    let secret = |name: &'static str, data: serde_json::Value| world.secret("notify", name, data);
    secret("proxy", json!({"address": url, "username": "u", "password": "proxy-password"})).await;
    secret("deprecated", json!({"proxy": format!(" {url}\n")})).await;
    secret("deprecated-unused", json!({"proxy": unused})).await;
    secret("ftp", json!({"address": "ftp://proxy.test"})).await;
    secret("empty", json!({"username": "u"})).await;
    for (name, spec) in [
        ("ref", json!({"proxySecretRef": {"name": "proxy"}})),
        ("secret", json!({"secretRef": {"name": "deprecated"}, "proxy": unused})),
        ("spec", json!({"proxy": url})),
        (
            "wins",
            json!({"proxySecretRef": {"name": "proxy"}, "secretRef": {"name": "deprecated-unused"}, "proxy": unused}),
        ),
        ("ftp", json!({"proxySecretRef": {"name": "ftp"}})),
        ("empty", json!({"proxySecretRef": {"name": "empty"}})),
        ("down", json!({"proxy": unused, "timeout": "1s"})),
    ] {
        let mut provider = json!({"type": "generic", "address": format!("http://{name}.test/{name}")});
        provider.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        world.alert_with(name, provider, json!({})).await;
    }
    // Types that Flux sends without the proxy go through it as well.
    for kind in ["lark", "matrix", "sentry"] {
        let address = match kind {
            "sentry" => "http://key@sentry.test/1".to_owned(),
            kind => format!("http://{kind}.test/"),
        };
        world
            .alert_with(
                kind,
                json!({"type": kind, "address": address, "proxySecretRef": {"name": "proxy"}}),
                json!({}),
            )
            .await;
    }
    // What is behind TLS is reached through a tunnel.
    let tunnel = json!({"type": "generic", "address": "https://tunnel.test/x", "timeout": "1s", "proxySecretRef": {"name": "proxy"}});
    world.alert_with("tunnel", tunnel, json!({})).await;

    assert_eq!(world.post(&event("app", "m")).await, 202);
    for name in ["ref", "secret", "spec", "wins"] {
        let target = format!("http://{name}.test/{name}");
        until(name, || async {
            world.sink.at(&format!("/{name}")).len() + world.sink.at(&target).len() == 1
        })
        .await;
        let head = proxy.head(&format!("POST {target} HTTP/1.1")).unwrap().to_lowercase();
        let authorized = head.contains("proxy-authorization: basic dtpwcm94es1wyxnzd29yza==");
        assert_eq!(authorized, matches!(name, "ref" | "wins"), "{head}");
    }
    for kind in ["lark", "matrix", "sentry"] {
        until(kind, || async {
            proxy.heads().iter().any(|head| head.contains(&format!("http://{kind}.test/")))
        })
        .await;
    }
    until("a tunnel", || async { proxy.head("CONNECT tunnel.test:443").is_some() }).await;
    let start = "failed to dispatch notification for Kustomization/notify/app: failed to initialize notifier for provider";
    for (name, expected) in [
        ("ftp", format!("{start} 'ftp': failed to get proxy URL: secret 'notify/ftp': proxy URL must use one of the supported schemes (http, https, socks5), got 'ftp'")),
        ("empty", format!("{start} 'empty': failed to get proxy URL: ")),
        ("down", "failed to send notification for Kustomization/notify/app: postMessage failed: failed to execute request: POST http://down.test/down giving up after".to_owned()),
    ] {
        until(&format!("a complaint about {name}"), || async {
            let events = world.events_about("Alert", name).await;
            events.iter().any(|(_, _, message, _)| {
                assert!(!message.contains("proxy-password"), "{message}");
                message.starts_with(&expected)
            })
        })
        .await;
    }
}
