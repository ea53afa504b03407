//! The metrics and probe servers. They answer from the start of the process, leader or not.

use crate::{
    manager::Listening,
    metrics::{Format, Metrics},
    profile,
};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: &str = "application/openmetrics-text";
const METRICS_LOGGER: &str = "controller-runtime.metrics";
/// How long a processor profile takes when nobody says.
const PROFILE_SECONDS: u64 = 30;

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
#[error("unable to listen on {address:?}: {error}")]
pub struct Error {
    /// The address.
    pub address: String,
    /// Why not.
    pub error: io::Error,
}

/// Starts both servers; they end with the token.
pub(crate) async fn start(
    metrics_address: &str,
    health_address: &str,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<Listening, Error> {
    let routes = Router::new()
        .route("/metrics", get(serve_metrics))
        .route("/debug/pprof/", get(index))
        .route("/debug/pprof/cmdline", get(command_line))
        .route("/debug/pprof/profile", get(processor_profile))
        .route("/debug/pprof/heap", get(memory_profile))
        .route("/debug/pprof/{*profile}", get(no_profile))
        .with_state(metrics);
    tracing::info!(logger = METRICS_LOGGER, "Starting metrics server");
    let metrics = serve(metrics_address, routes, stop.clone()).await?;
    if let Some(address) = metrics {
        tracing::info!(
            logger = METRICS_LOGGER,
            bindAddress = %address,
            secure = false,
            "Serving metrics server"
        );
    }
    let probes = Router::new()
        .route("/healthz", get(probe))
        .route("/readyz", get(probe))
        .route("/healthz/{check}", get(single_probe))
        .route("/readyz/{check}", get(single_probe));
    let health = serve(health_address, probes, stop).await?;
    if let Some(address) = health {
        tracing::info!(name = "health probe", addr = %address, "starting server");
    }
    Ok(Listening { metrics, health })
}

/// Listens on an address as Go writes it: `:8080` is every interface, `0` is none at all.
pub async fn listen(address: &str) -> Result<Option<TcpListener>, Error> {
    if address.is_empty() || address == "0" {
        return Ok(None);
    }
    let every_interface = match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address.to_owned(),
    };
    let failed = |error| Error { address: address.to_owned(), error };
    match TcpListener::bind(&every_interface).await {
        Ok(listener) => Ok(Some(listener)),
        // A host without IPv6.
        Err(_) if address.starts_with(':') => {
            TcpListener::bind(format!("0.0.0.0{address}")).await.map(Some).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

async fn serve(address: &str, routes: Router, stop: CancellationToken) -> Result<Option<SocketAddr>, Error> {
    let Some(listener) = listen(address).await? else {
        return Ok(None);
    };
    let bound = listener.local_addr().map_err(|error| Error { address: address.to_owned(), error })?;
    let server = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(error = %error, "server failed");
        }
    });
    Ok(Some(bound))
}

async fn serve_metrics(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (format, content_type) = if accepted.is_some_and(|accept| accept.contains(OPEN_METRICS)) {
        (
            Format::OpenMetrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        )
    } else {
        (Format::Text, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    };
    ([(header::CONTENT_TYPE, content_type)], metrics.text(format)).into_response()
}

async fn index() -> Html<&'static str> {
    Html(
        "<html><head><title>/debug/pprof/</title></head><body><ul>\
         <li><a href=\"cmdline\">cmdline</a>: the command line</li>\
         <li><a href=\"profile?seconds=30\">profile</a>: processor time by thread</li>\
         <li><a href=\"heap\">heap</a>: resident memory by mapping</li>\
         </ul></body></html>\n",
    )
}

/// The arguments of the process, as Go separates them.
async fn command_line() -> String {
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    arguments.join("\0")
}

async fn processor_profile(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let seconds = query.split('&').find_map(|pair| pair.strip_prefix("seconds="));
    match seconds.map_or(Ok(PROFILE_SECONDS), str::parse) {
        Ok(seconds) if seconds <= profile::MAX_SECONDS => {
            download("profile", profile::processor(seconds).await)
        }
        _ => {
            let text = format!("seconds must be a number up to {}\n", profile::MAX_SECONDS);
            (StatusCode::BAD_REQUEST, text).into_response()
        }
    }
}

async fn memory_profile() -> Response {
    download("heap", profile::memory())
}

fn download(name: &str, profile: io::Result<Vec<u8>>) -> Response {
    match profile {
        Ok(profile) => {
            let disposition = format!("attachment; filename=\"{name}\"");
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_DISPOSITION, disposition),
            ];
            (headers, profile).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("no profile: {error}\n")).into_response(),
    }
}

async fn no_profile(Path(profile): Path<String>) -> Response {
    let text = format!("there is no profile {profile:?}: see /debug/pprof/ for those there are\n");
    (StatusCode::NOT_IMPLEMENTED, text).into_response()
}

/// `ok`; with `?verbose` the list of checks; the one check is `ping`.
async fn probe(uri: axum::http::Uri, RawQuery(query): RawQuery) -> String {
    let query = query.unwrap_or_default();
    let parameters: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    if !parameters.iter().any(|(name, _)| *name == "verbose") {
        return "ok".to_owned();
    }
    let excludes = parameters.iter().filter(|(name, _)| *name == "exclude").map(|(_, check)| *check);
    let (ping, unknown): (Vec<&str>, Vec<&str>) = excludes.partition(|check| *check == "ping");
    let mut text = if ping.is_empty() { "[+]ping ok\n" } else { "[+]ping excluded: ok\n" }.to_owned();
    if !unknown.is_empty() {
        let quoted: Vec<String> = unknown.iter().map(|check| format!("{check:?}")).collect();
        let list = quoted.join(",");
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {list}\n"));
    }
    text.push_str(&format!("{} check passed\n", uri.path().trim_matches('/')));
    text
}

async fn single_probe(Path(check): Path<String>) -> Response {
    if check == "ping" {
        return "ok".into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
