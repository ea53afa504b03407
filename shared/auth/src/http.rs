//! Requests to services that give tokens.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use url::Url;

use crate::AuthError;

/// How to reach a service.
#[derive(Clone, Default)]
pub struct ClientSettings {
    /// Authorities in PEM, trusted beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// The way out, with user and password if it wants them.
    pub proxy: Option<Url>,
}

impl ClientSettings {
    /// A client that follows no redirect: tokens are for one host.
    pub fn client(&self) -> Result<Client, AuthError> {
        let settings = |what: &str, error: reqwest::Error| {
            AuthError::Settings(format!("cannot use {what}: {}", error.without_url()))
        };
        // An error means that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("fluxide/", env!("CARGO_PKG_VERSION")))
            .timeout(Duration::from_secs(10));
        if let Some(ca) = &self.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca)
                .map_err(|error| settings("the CA certificate", error))?;
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(proxy) = &self.proxy {
            let proxy = reqwest::Proxy::all(proxy.as_str()).map_err(|error| settings("the proxy", error))?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| settings("HTTP", error))
    }
}

/// The most bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// The most characters of an answer that are told.
const MAX_TOLD: usize = 300;

/// Sends a request and reads the answer, whatever its status: 1 MiB at most. Errors name `service`, and no URL.
pub async fn send(service: &str, request: RequestBuilder) -> Result<(u16, Vec<u8>), AuthError> {
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            reason = inner.to_string();
            cause = inner.source();
        }
        AuthError::Connection { service: service.to_owned(), reason }
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            let reason = format!("it has more than {MAX_ANSWER} bytes");
            return Err(AuthError::Answer { service: service.to_owned(), reason });
        }
    }
    Ok((status, body))
}

/// Sends a request and reads the answer as JSON if it is a success.
pub(crate) async fn json<T: DeserializeOwned>(
    service: &str,
    request: RequestBuilder,
) -> Result<T, AuthError> {
    let (status, body) = send(service, request).await?;
    if !(200..300).contains(&status) {
        return Err(refused(service, status, &body));
    }
    serde_json::from_slice(&body).map_err(|error| AuthError::Answer {
        service: service.to_owned(),
        // The text of the error can quote the answer, which holds a token.
        reason: format!("{:?} at line {} column {}", error.classify(), error.line(), error.column()),
    })
}

/// An answer that is not a success.
pub(crate) fn refused(service: &str, status: u16, body: &[u8]) -> AuthError {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(MAX_TOLD).collect();
    AuthError::Refused { service: service.to_owned(), status, reason: text }
}
