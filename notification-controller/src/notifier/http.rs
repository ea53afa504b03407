//! Requests to providers: retried, redirected only with care, and through the provider's own TLS and
//! proxy settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::Url;

use super::go_json;
use super::policy::{self, AddressPolicy, Resolver};
use super::settings::Settings;

/// How often a request is tried again.
const RETRIES: u32 = 4;
/// The wait before the first retry; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many redirects are followed.
const REDIRECTS: usize = 10;
/// How much of an answer is read.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How much of an answer is repeated in an error.
const SHOWN_LIMIT: usize = 1024;
/// How many clients are kept.
const CLIENTS: usize = 64;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made at all.
    #[error("failed to create a new request: {0}")]
    Invalid(String),
    /// The certificates or the proxy cannot be used.
    #[error("{0}")]
    Client(String),
    /// The address is refused.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// No answer.
    #[error("{0}")]
    Transport(String),
    /// An answer that is no success.
    #[error("request failed with status code {status}: {body}")]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// All tries failed.
    #[error("{method} {url} giving up after {attempts} attempt(s): {last}")]
    GaveUp {
        /// The method.
        method: Method,
        /// The address.
        url: String,
        /// How many tries.
        attempts: u32,
        /// What went wrong the last time.
        last: Box<Error>,
    },
    /// The time for the delivery is over.
    #[error("context deadline exceeded")]
    Deadline,
    /// The answer is not what it should be.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

impl Error {
    /// Whether it may work later without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Client(_) | Self::Answer(_) => false,
            Self::Policy(error) => matches!(error, policy::Error::Resolve { .. }),
            Self::Transport(_) | Self::Deadline => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429) || *status >= 500,
            Self::GaveUp { last, .. } => last.is_transient(),
        }
    }

    /// The status of the answer that was no success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::GaveUp { last, .. } => last.status(),
            _ => None,
        }
    }
}

/// A request, complete but for the connection.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// A POST of JSON.
    pub fn post_json(url: Url, body: &impl Serialize) -> Result<Self, Error> {
        Self::new(Method::POST, url).json(body)
    }

    /// With a body of JSON.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = go_json::to_vec(body).map_err(|error| Error::Invalid(error.to_string()))?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// With a header more. The value of one that cannot be sent is not repeated in the error.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("the header {name:?} has characters that cannot be sent"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        self.headers.insert(parsed, value);
        Ok(self)
    }

    /// With an `Authorization` header of a scheme.
    pub fn authorization(self, scheme: &str, token: &str) -> Result<Self, Error> {
        self.header("Authorization", &format!("{scheme} {token}"))
    }

    /// With user name and password.
    pub fn basic(self, username: &str, password: &str) -> Result<Self, Error> {
        use base64::Engine;
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
        self.authorization("Basic", &both)
    }
}

/// An answer.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, as far as it is of interest.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Answer(error.to_string()))
    }

    /// An error unless the status is a success.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(Error::Status { status: self.status.as_u16(), body: shown(&self.body) })
    }
}

/// Makes clients and keeps them: those with the same certificates and proxy share connections.
#[derive(Clone)]
pub struct Clients {
    policy: AddressPolicy,
    kept: Arc<Mutex<HashMap<[u8; 32], Client>>>,
    transcript: Option<Transcript>,
    #[cfg(test)]
    script: Option<Script>,
}

/// A request and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The server; the path may be secret.
    pub server: String,
    /// The status of the answer.
    pub status: u16,
    /// The beginning of the answer.
    pub body: String,
}

/// Keeps what was exchanged.
pub type Transcript = Arc<Mutex<Vec<Exchange>>>;

/// Answers requests in place of a server.
#[cfg(test)]
pub(super) type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

impl Clients {
    /// Clients that keep to a policy.
    pub fn new(policy: AddressPolicy) -> Self {
        fluxide_runtime::tls::install_provider();
        Self {
            policy,
            kept: Arc::default(),
            transcript: None,
            #[cfg(test)]
            script: None,
        }
    }

    /// Keeps what is exchanged from now on.
    pub fn with_transcript(self, transcript: Transcript) -> Self {
        Self { transcript: Some(transcript), ..self }
    }

    /// Clients that send nothing and take their answers from a function.
    #[cfg(test)]
    pub(super) fn scripted(script: Script) -> Self {
        Self { script: Some(script), ..Self::new(AddressPolicy::default()) }
    }

    /// The same clients, with another function.
    #[cfg(test)]
    pub(super) fn with_script(&self, script: Script) -> Self {
        Self { script: Some(script), ..self.clone() }
    }

    /// The policy.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// How to send requests with a provider's settings, until its timeout.
    pub fn for_settings(&self, settings: &Settings) -> Result<Http, Error> {
        let client = self.client(settings)?;
        if let Some(proxy) = &settings.proxy {
            self.policy.check_url(proxy)?;
        }
        let deadline = Instant::now() + settings.timeout;
        Ok(Http {
            client,
            policy: self.policy.clone(),
            deadline,
            transcript: self.transcript.clone(),
            #[cfg(test)]
            script: self.script.clone(),
        })
    }

    /// The client for a provider's certificates and proxy, for requests that [`Http`] is not made for.
    pub(super) fn client(&self, settings: &Settings) -> Result<Client, Error> {
        let mut digest = Sha256::new();
        if let Some(tls) = &settings.tls {
            digest.update(tls.ca.as_deref().unwrap_or_default());
            digest.update(b"|");
            if let Some(identity) = &tls.identity {
                digest.update(&identity.certificate);
                digest.update(identity.key.expose());
            }
        }
        digest.update(b"|");
        digest.update(settings.proxy.as_ref().map_or("", Url::as_str));
        let id: [u8; 32] = digest.finalize().into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.get(&id) {
            return Ok(client.clone());
        }
        let client = self.build(settings)?;
        if kept.len() >= CLIENTS {
            kept.clear();
        }
        kept.insert(id, client.clone());
        Ok(client)
    }

    fn build(&self, settings: &Settings) -> Result<Client, Error> {
        let invalid = |error: &dyn std::fmt::Display| Error::Client(error.to_string());
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("notification-controller/", env!("CARGO_PKG_VERSION")));
        if self.policy.restricts() {
            builder = builder.dns_resolver(Arc::new(Resolver(self.policy.clone())));
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone());
            builder = builder.proxy(proxy.map_err(|_| invalid(&"the proxy URL cannot be used"))?);
        }
        if let Some(tls) = &settings.tls {
            builder = tls.configure(builder, false).map_err(|error| invalid(&error))?;
        }
        builder.build().map_err(|error| invalid(&error.without_url()))
    }
}

/// Sends requests until a deadline.
#[derive(Clone)]
pub struct Http {
    client: Client,
    policy: AddressPolicy,
    deadline: Instant,
    transcript: Option<Transcript>,
    #[cfg(test)]
    script: Option<Script>,
}

impl Http {
    /// Sends a request, again when that may help; any status but "try again later" is an answer.
    pub async fn send(&self, request: &Request) -> Result<Answer, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tried = tokio::time::timeout_at(self.deadline, self.follow(request.clone())).await;
            let (error, after) = match tried {
                Err(_) => return Err(Error::Deadline),
                Ok(Ok((answer, after))) if try_again(answer.status) => {
                    let status = answer.status.as_u16();
                    (Error::Status { status, body: shown(&answer.body) }, after)
                }
                Ok(Ok((answer, _))) => return Ok(answer),
                Ok(Err(error @ Error::Transport(_))) => (error, None),
                Ok(Err(error)) => return Err(error),
            };
            if attempt > RETRIES {
                return Err(self.gave_up(request, attempt, error));
            }
            let wait = after.unwrap_or_else(|| (FIRST_WAIT * (1 << (attempt - 1))).min(LONGEST_WAIT));
            let next = Instant::now() + wait;
            if next >= self.deadline {
                return Err(self.gave_up(request, attempt, error));
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Sends a request that must be accepted: any other status is an error.
    pub async fn accepted(&self, request: &Request) -> Result<Answer, Error> {
        self.send(request).await?.success()
    }

    /// When the time for the delivery is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    fn note(&self, request: &Request, status: StatusCode, body: &[u8]) {
        let Some(transcript) = &self.transcript else { return };
        let server = request.url[..url::Position::BeforePath].to_owned();
        let (method, status, body) = (request.method.to_string(), status.as_u16(), shown(body));
        let exchange = Exchange { method, server, status, body };
        transcript.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }

    fn gave_up(&self, request: &Request, attempts: u32, last: Error) -> Error {
        let (method, url) = (request.method.clone(), request.url.to_string());
        Error::GaveUp { method, url, attempts, last: Box::new(last) }
    }

    /// One try. A redirect to another server goes without the headers, which may hold credentials.
    async fn follow(&self, mut request: Request) -> Result<(Answer, Option<Duration>), Error> {
        #[cfg(test)]
        if let Some(script) = &self.script {
            return Ok((script(&request), None));
        }
        for _ in 0..=REDIRECTS {
            self.policy.check_target(&request.url).await?;
            let sent = self
                .client
                .request(request.method.clone(), request.url.clone())
                .headers(request.headers.clone())
                .body(request.body.clone())
                .send()
                .await;
            let response = sent.map_err(transport)?;
            let status = response.status();
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match location {
                Some(location) if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                    let target = request.url.join(location).map_err(|error| {
                        Error::Answer(format!("the redirect cannot be followed: {error}"))
                    })?;
                    request = redirected(request, status, target);
                }
                _ => {
                    let after = retry_after(response.headers(), status);
                    let body = read(response).await?;
                    self.note(&request, status, &body);
                    return Ok((Answer { status, body }, after));
                }
            }
        }
        Err(Error::Answer(format!("stopped after {REDIRECTS} redirects")))
    }
}

fn try_again(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

fn redirected(request: Request, status: StatusCode, target: Url) -> Request {
    let same_server = target.host() == request.url.host()
        && target.port_or_known_default() == request.url.port_or_known_default();
    let upgraded =
        target.host() == request.url.host() && target.scheme() == "https" && target.port().is_none();
    let keeps_body = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let mut next = Request { url: target, ..request };
    if !keeps_body {
        next.method = Method::GET;
        next.body = Vec::new();
        next.headers.remove(CONTENT_TYPE);
    }
    if !same_server && !upgraded {
        let content_type = next.headers.remove(CONTENT_TYPE);
        next.headers.clear();
        next.headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
    }
    next
}

fn retry_after(headers: &HeaderMap, status: StatusCode) -> Option<Duration> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        let room = ANSWER_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// The innermost cause is what says something: `connection refused`.
fn transport(error: reqwest::Error) -> Error {
    if let Some(policy) = find::<policy::Error>(&error) {
        return Error::Policy(match policy {
            policy::Error::Internal(host) => policy::Error::Internal(host.clone()),
            policy::Error::NoHost => policy::Error::NoHost,
            policy::Error::Resolve { host, reason } => {
                policy::Error::Resolve { host: host.clone(), reason: reason.clone() }
            }
        });
    }
    if error.is_builder() || error.is_request() && find::<rustls::Error>(&error).is_some() {
        return Error::Invalid(innermost(&error));
    }
    Error::Transport(innermost(&error))
}

fn find<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        current = error.source();
    }
    None
}

fn innermost(error: &reqwest::Error) -> String {
    let mut current: &dyn std::error::Error = error;
    while let Some(source) = current.source() {
        current = source;
    }
    if std::ptr::eq(current as *const dyn std::error::Error as *const (), std::ptr::from_ref(error).cast()) {
        return "the request failed".to_owned();
    }
    current.to_string()
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SHOWN_LIMIT)]).into_owned()
}
