//! Connections: TLS, HTTP/1.1 and HTTP/2, body limits, and answers onto the wire.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::api_error::ApiError;
use crate::auth::{self, User};
use crate::core::Core;
use crate::handlers::answer::{Answer, Payload};
use crate::handlers::{self, Request};
use crate::request::{Query, query};
use crate::server::encoding::Encoding;

const BODY_LIMIT: usize = 3 * 1024 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Accepts connections until told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    core: Arc<Core>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve_connection(stream, tls.clone(), core.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, core: Arc<Core>) {
    match tls {
        Some(acceptor) => {
            let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await else {
                return;
            };
            let certificates = stream.get_ref().1.peer_certificates();
            let first = certificates.and_then(|chain| chain.first());
            let user = first.and_then(|certificate| auth::certificate::user_of(certificate)).map(Arc::new);
            serve_http(stream, core, user).await;
        }
        None => serve_http(stream, core, None).await,
    }
}

async fn serve_http<S>(stream: S, core: Arc<Core>, user: Option<Arc<User>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let (core, user) = (core.clone(), user.clone());
        async move { answer(core, user, request).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1000)
        .keep_alive_interval(Duration::from_secs(30));
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// The request was answered by closing the connection.
#[derive(Debug, thiserror::Error)]
#[error("connection reset on request")]
struct ResetRequested;

async fn answer(
    core: Arc<Core>,
    certificate: Option<Arc<User>>,
    request: http::Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, ResetRequested> {
    let (parts, body) = request.into_parts();
    let head_only = parts.method == http::Method::HEAD;
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect()).await;
    let body = match collected.map_err(|_| ResetRequested)? {
        Ok(b) => b.to_bytes(),
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => {
            let message = format!("Request entity too large: limit is {BODY_LIMIT}");
            return Ok(response(
                Answer::error(&ApiError::new(413, "RequestEntityTooLarge", message)),
                head_only,
            ));
        }
        Err(_) => return Err(ResetRequested),
    };
    if !query::is_well_formed(parts.uri.path()) {
        return Ok(response(Answer::text(400, "400 Bad Request"), head_only));
    }
    let request = Request {
        path: query::decode(parts.uri.path(), false),
        query: Query::parse(parts.uri.query()),
        method: parts.method,
        headers: parts.headers,
        body,
        certificate,
    };
    let encoding = Encoding::of(&request);
    let served = AssertUnwindSafe(handlers::serve(&core, request)).catch_unwind().await;
    // What goes wrong with one request is that request's alone.
    let mut answer =
        served.unwrap_or_else(|_| Answer::error(&ApiError::internal("the request could not be handled")));
    if matches!(answer.body, Payload::Reset) {
        return Err(ResetRequested);
    }
    encoding.apply(&mut answer);
    Ok(response(answer, head_only))
}

fn response(answer: Answer, head_only: bool) -> Response<BoxBody<Bytes, Infallible>> {
    let body = match answer.body {
        Payload::Bytes(_) if head_only => Full::new(Bytes::new()).boxed(),
        Payload::Bytes(b) => Full::new(b).boxed(),
        Payload::Stream(s) => {
            let s = futures::stream::StreamExt::map(s, |b| Ok::<_, Infallible>(Frame::data(b)));
            BodyExt::boxed(StreamBody::new(SyncStream::new(s.boxed())))
        }
        Payload::Reset => Full::new(Bytes::new()).boxed(),
    };
    let mut r = Response::new(body);
    *r.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = r.headers_mut();
    if let (false, Ok(v)) = (answer.content_type.is_empty(), HeaderValue::from_str(&answer.content_type)) {
        headers.insert(http::header::CONTENT_TYPE, v);
    }
    headers.insert("cache-control", HeaderValue::from_static("no-cache, private"));
    if let Ok(v) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("audit-id", v);
    }
    headers.insert("x-kubernetes-pf-flowschema-uid", HeaderValue::from_static(FLOW_SCHEMA_UID));
    headers.insert("x-kubernetes-pf-prioritylevel-uid", HeaderValue::from_static(PRIORITY_LEVEL_UID));
    for (name, value) in answer.headers {
        if let (Ok(n), Ok(v)) = (http::HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            headers.insert(n, v);
        }
    }
    for w in answer.warnings {
        let escaped = w.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(v) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            headers.append("warning", v);
        }
    }
    r
}

const FLOW_SCHEMA_UID: &str = "0d5b8f4e-5a31-4d62-9d4c-0f6f1c6b5d01";
const PRIORITY_LEVEL_UID: &str = "0d5b8f4e-5a31-4d62-9d4c-0f6f1c6b5d02";

/// Watches are polled by one connection at a time; the body type still asks for `Sync`.
struct SyncStream<S>(std::sync::Mutex<S>);

impl<S> SyncStream<S> {
    fn new(s: S) -> Self {
        SyncStream(std::sync::Mutex::new(s))
    }
}

impl<S: futures::Stream + Unpin> futures::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        let s = self.get_mut().0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::pin::Pin::new(s).poll_next(cx)
    }
}
