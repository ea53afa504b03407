//! The metrics and probe servers. They answer from the start of the process, leader or not.

use crate::{
    manager::Listening,
    metrics::{Format, Metrics},
};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: &str = "application/openmetrics-text";

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
        .route("/debug/pprof/{*profile}", get(no_profile))
        .with_state(metrics);
    let metrics = serve(metrics_address, "metrics", routes, stop.clone()).await?;
    let probes = Router::new()
        .route("/healthz", get(probe))
        .route("/readyz", get(probe))
        .route("/healthz/{check}", get(single_probe))
        .route("/readyz/{check}", get(single_probe));
    let health = serve(health_address, "health probe", probes, stop).await?;
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

async fn serve(
    address: &str,
    name: &str,
    routes: Router,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>, Error> {
    let Some(listener) = listen(address).await? else {
        return Ok(None);
    };
    let bound = listener.local_addr().map_err(|error| Error { address: address.to_owned(), error })?;
    tracing::info!(name = name, addr = %bound, "starting server");
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

async fn no_profile(Path(profile): Path<String>) -> Response {
    let text = format!("the profile {profile:?} does not exist in this build\n");
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
    let excluded = parameters.contains(&("exclude", "ping"));
    let ping = if excluded { "[+]ping excluded: ok" } else { "[+]ping ok" };
    let name = uri.path().trim_matches('/');
    format!("{ping}\n{name} check passed\n")
}

async fn single_probe(Path(check): Path<String>) -> Response {
    if check == "ping" {
        return "ok".into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
