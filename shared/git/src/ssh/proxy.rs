//! The way to an SSH server: straight, or through a SOCKS5 or HTTP proxy.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::GitError;
use crate::remote::{Proxy, percent_decode};

/// Connects to the first of the addresses that answers.
pub(super) async fn direct(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to a host through a proxy, which also resolves its name.
pub(super) async fn through(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, GitError> {
    let settings = |text: &str| GitError::Settings(format!("cannot use proxy: {text}"));
    let url = Url::parse(&proxy.address).map_err(|error| settings(&error.to_string()))?;
    let default = match url.scheme() {
        "socks5" | "socks5h" => 1080,
        "http" => 80,
        other => {
            return Err(settings(&format!("scheme '{other}' is not supported for ssh: use socks5 or http")));
        }
    };
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let credentials = proxy.credentials.clone().or_else(|| {
        let password = percent_decode(url.password().unwrap_or_default());
        (!url.username().is_empty()).then(|| (percent_decode(url.username()), password))
    });
    let failed = |error: std::io::Error| GitError::Connection(format!("proxy {name}: {error}"));
    let mut stream = TcpStream::connect((name, url.port().unwrap_or(default))).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let answer = match url.scheme() {
        "http" => http_connect(&mut stream, credentials, host, port).await,
        _ => socks5(&mut stream, credentials, host, port).await,
    };
    answer.map_err(failed)?;
    Ok(stream)
}

async fn http_connect(
    stream: &mut TcpStream,
    credentials: Option<(String, String)>,
    host: &str,
    port: u16,
) -> std::io::Result<()> {
    let target = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let authorization = credentials.map_or(String::new(), |(username, password)| {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        format!("Proxy-Authorization: Basic {pair}\r\n")
    });
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(std::io::Error::other("its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head);
    let line = line.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(std::io::Error::other(format!("it answered '{line}'"))),
    }
}

/// The most bytes of an HTTP proxy's answer.
const MAX_HEAD: usize = 8192;

/// RFC 1928, with the user name and password of RFC 1929.
async fn socks5(
    stream: &mut TcpStream,
    credentials: Option<(String, String)>,
    host: &str,
    port: u16,
) -> std::io::Result<()> {
    let wrong = |text: &str| std::io::Error::other(text.to_owned());
    let methods: &[u8] = if credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    stream.write_all(methods).await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    match (choice, credentials) {
        ([5, 0], _) => {}
        ([5, 2], Some((username, password))) => {
            let mut message = vec![1];
            for text in [&username, &password] {
                message.push(u8::try_from(text.len()).map_err(|_| wrong("its credentials are too long"))?);
                message.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&message).await?;
            let mut verdict = [0; 2];
            stream.read_exact(&mut verdict).await?;
            if verdict[1] != 0 {
                return Err(wrong("it refused the username or password"));
            }
        }
        ([5, _], _) => return Err(wrong("it wants another way of authentication")),
        _ => return Err(wrong("it does not speak SOCKS5")),
    }
    let mut request = vec![5, 1, 0];
    match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(std::net::IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            request.push(3);
            request.push(u8::try_from(host.len()).map_err(|_| wrong("the host name is too long"))?);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        return Err(wrong(match answer[1] {
            2 => "connection not allowed by ruleset",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            _ => "it could not connect",
        }));
    }
    let length = match answer[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}
