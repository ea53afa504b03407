//! Services and senders that mean harm: what they can make this process do has bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{alert, event, settings};
use crate::notifier::http::Clients;
use crate::notifier::policy::{AddressPolicy, Policy};
use crate::notifier::*;

/// A server that treats each connection in its own way, and how many there were.
async fn server<F: Future<Output = ()> + Send>(
    treat: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let treat = Arc::new(treat);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let treat = Arc::clone(&treat);
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                treat(stream).await;
            });
        }
    });
    (address, connections)
}

fn connections(policy: AddressPolicy) -> Connections {
    Connections {
        clients: Clients::new(policy),
        tokens: TokenCache::new(0, Duration::ZERO, None),
        cluster: None,
        posted: Posted::default(),
        identities: Identities::of_process(String::new()),
    }
}

async fn told(connections: &Connections, settings: &Settings, event: &Event) -> Result<(), String> {
    let alert = alert();
    let message = Message { event, alert: &alert, status_id: "id" };
    send(connections, settings, &message).await.map_err(|error| error.to_string())
}

fn generic(address: &str) -> Settings {
    let mut settings = settings(json!({"type": "generic", "address": address}), &[]);
    settings.timeout = Duration::from_secs(2);
    settings
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_a_limit() {
    let (address, _) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n").await;
        let junk = vec![b'x'; 64 * 1024];
        while stream.write_all(&junk).await.is_ok() {}
    })
    .await;
    let started = Instant::now();
    let error =
        told(&connections(AddressPolicy::default()), &generic(&format!("http://{address}/")), &event())
            .await
            .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(error.contains("status code 400: xxx") && error.len() < 2048, "{} bytes", error.len());
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_timeout() {
    for head in [true, false] {
        let (address, _) = server(move |mut stream| async move {
            let start: &[u8] = if head { b"HTTP/1.1 200 OK\r\nX: " } else { b"HTTP/1.1 200 OK\r\n\r\n" };
            let _ = stream.write_all(start).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let started = Instant::now();
        let sent =
            told(&connections(AddressPolicy::default()), &generic(&format!("http://{address}/")), &event())
                .await;
        assert!(sent.unwrap_err().ends_with("context deadline exceeded"));
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let (address, asked) = server(|mut stream| async move {
        let answer =
            "HTTP/1.1 307 Round\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let error =
        told(&connections(AddressPolicy::default()), &generic(&format!("http://{address}/")), &event())
            .await
            .unwrap_err();
    assert!(error.contains("stopped after 10 redirects"), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_leads_nowhere() {
    let (inside, asked) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    // Harmless when it is checked, and this machine from then on.
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lookups);
    let policy = AddressPolicy::new(Policy::External, Vec::new()).with_lookup(Arc::new(move |_, port| {
        let external = counted.fetch_add(1, Ordering::Relaxed) == 0;
        vec![if external { ([8, 8, 8, 8], port).into() } else { ([127, 0, 0, 1], inside.port()).into() }]
    }));
    let error =
        told(&connections(policy), &generic(&format!("http://rebound.test:{}/", inside.port())), &event())
            .await
            .unwrap_err();
    assert!(error.contains("not allowed by --provider-address-policy=external"), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(lookups.load(Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn what_others_write_breaks_out_of_no_header_and_no_path() {
    let (address, asked) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let connections = connections(AddressPolicy::default());
    let mut smuggled = event();
    smuggled.reporting_controller = "k\r\nX-Injected: yes".to_owned();
    let error = told(&connections, &generic(&format!("http://{address}/")), &smuggled).await.unwrap_err();
    assert!(error.contains("\"Gotk-Component\" has characters that cannot be sent"), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);

    let room = settings(
        json!({"type": "matrix", "address": "http://h", "channel": "../../x?y#z\r\n"}),
        &[("token", "t")],
    );
    let alert = alert();
    let plain = event();
    let message = Message { event: &plain, alert: &alert, status_id: "" };
    let url = chat::matrix(&room, &message).unwrap().remove(0).url;
    let path = url.as_str().split("/m.room.message/").next().unwrap();
    assert_eq!(path, "http://h/_matrix/client/r0/rooms/..%2F..%2Fx%3Fy%23z/send");
}
