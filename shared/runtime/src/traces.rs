//! OpenTelemetry traces by OTLP over HTTP: a span for each reconcile. Off unless an endpoint is set.

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use std::{future::Future, pin::Pin, time::Duration};
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Traces that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint or another setting is wrong.
    #[error("unable to export traces to --otlp-endpoint {endpoint:?}: {reason}")]
    Exporter {
        /// The endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A running exporter. Call [`shutdown`](Self::shutdown) to send what is left.
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Starts an exporter to a collector; `/v1/traces` is appended to an endpoint without path.
/// Must be called inside a tokio runtime.
pub fn start(service: &'static str, endpoint: &str) -> Result<(Traces, SdkTracer), Error> {
    let failed = |reason: String| Error::Exporter { endpoint: endpoint.to_owned(), reason };
    let mut url = url::Url::parse(endpoint).map_err(|error| failed(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("the scheme must be http or https".to_owned()));
    }
    if matches!(url.path(), "" | "/") {
        url.set_path("/v1/traces");
    }
    crate::tls::install_provider();
    let client =
        reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| failed(error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: Handle::current() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url.as_str())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.instance.id", crate::hostname()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("fluxide");
    Ok((Traces { provider }, tracer))
}

impl Traces {
    /// Sends what is left, within a few seconds.
    pub async fn shutdown(self) {
        let ended =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(Duration::from_secs(5)));
        if let Ok(Err(error)) = ended.await {
            tracing::info!(reason = %error, "some traces could not be delivered before shutdown");
        }
    }
}

/// The exporter works on a thread of its own; requests need tokio's.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Client {
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let response = client.execute(request).await?;
            let status = response.status();
            let body = response.bytes().await?;
            let mut answer = Response::new(body);
            *answer.status_mut() = status;
            Ok(answer)
        });
        Box::pin(async move { sent.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::post};
    use tracing_subscriber::prelude::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reconcile_reaches_the_collector() {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let collect = move |headers: http::HeaderMap, body: Bytes| async move {
            send.send((headers, body)).unwrap();
        };
        let routes = Router::new().route("/v1/traces", post(collect));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });

        let (traces, tracer) = start("test-controller", &endpoint).unwrap();
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _span = tracing::info_span!("reconcile", name = "apps", gitops.revision = "main@1").entered();
        });
        traces.shutdown().await;
        let (headers, body) = receive.recv().await.unwrap();
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(&body);
        for part in ["test-controller", "reconcile", "gitops.revision", "main@1"] {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_must_be_an_http_url() {
        for endpoint in ["collector:4317", "grpc://collector", ""] {
            assert!(start("test-controller", endpoint).is_err(), "{endpoint}");
        }
    }
}
