//! Two small servers with the same limits: what is too large, too slow or too much is turned away
//! before anybody looks at it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The largest body.
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// The largest head.
const HEAD_LIMIT: usize = 256 * 1024;
/// How many headers a head may have.
const HEADERS: usize = 256;
/// How long a head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole request may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open connections may go on when the server ends.
const GRACE: Duration = Duration::from_secs(5);
/// How many connections are open at the same time.
const CONNECTIONS: usize = 4096;
/// How many requests are handled at the same time.
const REQUESTS: usize = 256;
/// Bodies up to this size are read at once.
const SMALL_BODY: usize = 64 * 1024;
/// How many larger ones are in memory at the same time.
const LARGE_BODIES: usize = 32;

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// A call that kept to the limits.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What a server is, beside its handler.
pub struct Server {
    /// Its name in logs.
    pub name: &'static str,
    /// Its series.
    pub metrics: HttpMetrics,
    /// The value of the label `handler`, unless the path is exported.
    pub handler: &'static str,
    /// Whether the path is exported.
    pub export_path: bool,
    /// Answers that need neither body nor handler.
    pub route: fn(&Uri) -> Option<Answer>,
    /// Whether the handler wants the body of a call. A body that nobody wants takes no memory.
    pub wants_body: Box<dyn Fn(&Uri) -> bool + Send + Sync>,
}

/// The series of a server.
#[derive(Clone)]
pub struct HttpMetrics {
    duration: HistogramVec,
    size: HistogramVec,
    inflight: IntGaugeVec,
}

impl HttpMetrics {
    /// Registers the series, whose names begin with `prefix`.
    pub fn new(registry: &Registry, prefix: &str) -> Result<Self, prometheus::Error> {
        let labels = ["service", "handler", "method", "code"];
        let duration = HistogramVec::new(
            HistogramOpts::new(
                format!("{prefix}_http_request_duration_seconds"),
                "The latency of the HTTP requests.",
            )
            .buckets(prometheus::DEFAULT_BUCKETS.to_vec()),
            &labels,
        )?;
        let size = HistogramVec::new(
            HistogramOpts::new(
                format!("{prefix}_http_response_size_bytes"),
                "The size of the HTTP responses.",
            )
            .buckets(prometheus::exponential_buckets(100.0, 10.0, 8)?),
            &labels,
        )?;
        let inflight = IntGaugeVec::new(
            Opts::new(
                format!("{prefix}_http_requests_inflight"),
                "The number of inflight requests being handled at the same time.",
            ),
            &["service", "handler"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(size.clone()))?;
        registry.register(Box::new(inflight.clone()))?;
        Ok(Self { duration, size, inflight })
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// An answer of text.
pub fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve<H, F>(
    listener: TcpListener,
    server: Server,
    handler: H,
    stop: CancellationToken,
) -> Result<(), std::io::Error>
where
    H: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let address = listener.local_addr()?;
    tracing::info!(logger = "setup", addr = %address, "starting {}", server.name);
    let shared = Arc::new(Shared {
        server,
        handler,
        requests: Semaphore::new(REQUESTS),
        large_bodies: Semaphore::new(LARGE_BODIES),
    });
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok((stream, _, permit)) => (stream, permit),
            Err(error) => {
                tracing::error!(error = %error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::info!("not all requests ended in time");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed, so there always is a permit at last.
    let permit = Arc::clone(connections).acquire_owned().await.ok();
    let (stream, address) = listener.accept().await?;
    let _ = stream.set_nodelay(true);
    Ok((stream, address, permit))
}

struct Shared<H> {
    server: Server,
    handler: H,
    requests: Semaphore,
    large_bodies: Semaphore,
}

impl<H, F> Shared<H>
where
    H: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let started = Instant::now();
        let method = known_method(request.method());
        let path = request.uri().path().to_owned();
        let handler = if self.server.export_path { path.as_str() } else { self.server.handler };
        let inflight = self.server.metrics.inflight.with_label_values(&["", handler]);
        inflight.inc();
        let answer = self.handle(request).await;
        inflight.dec();
        let status = answer.status();
        let labels = ["", handler, method, status.as_str()];
        self.server.metrics.duration.with_label_values(&labels).observe(started.elapsed().as_secs_f64());
        let size = http_body::Body::size_hint(answer.body()).lower();
        self.server.metrics.size.with_label_values(&labels).observe(size as f64);
        answer
    }

    async fn handle(&self, request: Request<Incoming>) -> Answer {
        if let Some(answer) = (self.server.route)(request.uri()) {
            return answer;
        }
        let (head, body) = request.into_parts();
        if head_size(&head.uri, &head.headers) > HEAD_LIMIT {
            return empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        let wanted = (self.server.wants_body)(&head.uri);
        let (body, _large) = match timeout(READ_TIMEOUT, self.read(body, wanted)).await {
            Ok(Ok(read)) => read,
            Ok(Err(status)) => {
                tracing::error!(
                    logger = self.server.name,
                    error = if status == StatusCode::PAYLOAD_TOO_LARGE {
                        "the request body exceeds the maximum size of 3145728 bytes"
                    } else {
                        "the request body ended early"
                    },
                    "reading the request body failed"
                );
                return empty(status);
            }
            Err(_) => return empty(StatusCode::REQUEST_TIMEOUT),
        };
        let Ok(_permit) = self.requests.acquire().await else {
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        (self.handler)(Call { method: head.method, uri: head.uri, headers: head.headers, body }).await
    }

    /// The body, unless it is too large. A little more is read then, so that the caller sees the answer. Those who send
    /// slowly hold up nobody: only large bodies wait for one another.
    async fn read(
        &self,
        mut body: Incoming,
        wanted: bool,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), StatusCode> {
        let (mut collected, mut permit, mut received) = (Vec::new(), None, 0);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
            received += data.len();
            if received > BODY_LIMIT {
                collected = Vec::new();
                if received > 2 * BODY_LIMIT {
                    break;
                }
            } else if wanted {
                if received > SMALL_BODY && permit.is_none() {
                    permit = self.large_bodies.acquire().await.ok();
                }
                collected.extend_from_slice(&data);
            }
        }
        if received > BODY_LIMIT {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok((collected.into(), permit))
    }
}

/// What a head takes: buffers are larger than the limit.
fn head_size(uri: &Uri, headers: &HeaderMap) -> usize {
    let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    sizes.sum::<usize>() + uri.path_and_query().map_or(0, |target| target.as_str().len())
}

/// Methods are free text, which must not become a label.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
