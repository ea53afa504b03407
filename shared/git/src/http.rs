//! HTTP for gitoxide's smart protocol, with settings of its own for each repository.
//!
//! Credentials are attached here and only to requests to the origin they were given for. A redirect is followed for the
//! discovery request alone, as Git does by default, and never to a weaker scheme.

use std::any::Any;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use crate::GitError;
use crate::reach::{REFUSED, Reach};
use crate::remote::{Auth, Remote};
use crate::session::{Allowance, Guard};

/// The first error a request ran into, in our own words. The protocol library hands on only text.
pub(crate) type Failure = Arc<Mutex<Option<GitError>>>;

/// A transport for one conversation with a repository.
pub(crate) fn transport(
    remote: &Remote,
    guard: Guard,
    failure: Failure,
    allowance: Allowance,
) -> Result<Transport<HttpClient>, GitError> {
    let credentials = match &remote.auth {
        Auth::None | Auth::Ssh(_) => None,
        Auth::Basic { username, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
        }
        Auth::Bearer(token) => Some(format!("Bearer {token}")),
    };
    let credentials = match credentials {
        Some(text) => {
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                GitError::Settings("credentials contain characters HTTP cannot send".to_owned())
            })?;
            value.set_sensitive(true);
            Some(value)
        }
        None => None,
    };
    let http = HttpClient {
        client: client(remote)?,
        origin: remote.url().clone(),
        credentials,
        redirected: None,
        reach: remote.reach.clone(),
        guard,
        failure,
        allowance,
    };
    let url =
        gix::url::parse(remote.url().as_str()).map_err(|error| GitError::InvalidUrl(error.to_string()))?;
    Ok(Transport::new_http(http, url, Protocol::V2, false))
}

fn client(remote: &Remote) -> Result<Client, GitError> {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = |what: &str, error: reqwest::Error| {
        let cause = std::error::Error::source(&error).map(|c| format!(": {c}"));
        GitError::Settings(format!("{what}: {error}{}", cause.unwrap_or_default()))
    };
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(remote.reach.with_proxies(remote)))
        .connect_timeout(std::time::Duration::from_secs(30));
    if let Some(ca) = &remote.tls.ca {
        let certificates = reqwest::Certificate::from_pem_bundle(ca)
            .map_err(|error| settings("cannot use CA certificate", error))?;
        if certificates.is_empty() {
            return Err(GitError::Settings("CA certificate holds no PEM certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(own) = &remote.tls.client_certificate {
        let pem = [own.certificate.as_slice(), b"\n", own.key.as_slice()].concat();
        let identity = reqwest::Identity::from_pem(&pem)
            .map_err(|error| settings("cannot use client certificate", error))?;
        builder = builder.identity(identity);
    }
    if let Some(proxy) = &remote.proxy {
        let mut through = reqwest::Proxy::all(&proxy.address)
            .map_err(|error| settings("cannot use proxy", error.without_url()))?;
        if let Some((username, password)) = &proxy.credentials {
            through = through.basic_auth(username, password);
        }
        builder = builder.proxy(through);
    }
    builder.build().map_err(|error| settings("cannot set up HTTP client", error))
}

/// What servers see. Some answer only clients whose name begins like Git's.
pub(crate) const USER_AGENT: &str = concat!("git/2.0 (fluxide/", env!("CARGO_PKG_VERSION"), ")");

/// The most redirects followed.
const MAX_REDIRECTS: usize = 5;

/// The most bytes of an error answer that are read.
const MAX_ERROR_BODY: usize = 1024;

/// How many connections a request may take that are closed before they carry anything.
const MAX_CONNECTIONS: usize = 3;

/// The requests of one conversation. Blocks; the guard ends it in time.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client,
    origin: Url,
    credentials: Option<HeaderValue>,
    redirected: Option<String>,
    reach: Reach,
    guard: Guard,
    failure: Failure,
    allowance: Allowance,
}

impl Http for HttpClient {
    type Headers = Cursor<Vec<u8>>;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let headers = header_map(headers);
        let tail = url.strip_prefix(base_url).unwrap_or_default().to_owned();
        let mut target = Url::parse(url).map_err(gix::Error::from_error)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .send(Method::GET, target.clone(), headers.clone(), Vec::new())
                .map_err(gix::Error::from_error)?;
            if !response.status().is_redirection() {
                if target.as_str() != url {
                    let base = target.as_str().strip_suffix(&tail).unwrap_or_default();
                    self.redirected = Some(base.to_owned());
                }
                let (headers, body) =
                    self.accept(Method::GET, &target, response).map_err(gix::Error::from_error)?;
                return Ok(GetResponse { headers, body });
            }
            target = self.follow(&target, &response, &tail).map_err(gix::Error::from_error)?;
        }
        let text = format!("Get \"{url}\": stopped after {MAX_REDIRECTS} redirects");
        Err(gix::Error::from_error(self.fail(GitError::Connection(text))))
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let exchange = Arc::new(Mutex::new(Some(Box::new(PendingRequest {
            client: self.clone(),
            url: Url::parse(url).map_err(gix::Error::from_error)?,
            headers: header_map(headers),
            body: Vec::new(),
        }))));
        // The library checks the content type through the headers before it reads the body; both come with the response,
        // which is not there before the upload is complete. The type is checked when it is.
        let expected = b"content-type: application/x-git-upload-pack-result\r\n".to_vec();
        let expected = match url.ends_with("git-receive-pack") {
            true => b"content-type: application/x-git-receive-pack-result\r\n".to_vec(),
            false => expected,
        };
        Ok(PostResponse {
            post_body: Upload(exchange.clone()),
            headers: Cursor::new(expected),
            body: Body::Pending(exchange),
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

impl HttpClient {
    fn send(&self, method: Method, url: Url, mut headers: HeaderMap, body: Vec<u8>) -> io::Result<Response> {
        if let Some(credentials) = &self.credentials
            && same_origin(&self.origin, &url)
        {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        let body = bytes::Bytes::from(body);
        let mut connections = 1;
        loop {
            let request = self.client.request(method.clone(), url.clone());
            let request = request.headers(headers.clone()).body(body.clone()).send();
            match self.guard.run(request) {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) if connections < MAX_CONNECTIONS && was_closed_before_use(&error) => {
                    connections += 1;
                }
                Ok(Err(error)) => return Err(self.fail(GitError::Connection(describe(&method, &url, error)))),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Turns an answer that is not a success into an error with the words of the server.
    fn accept(&self, method: Method, url: &Url, response: Response) -> io::Result<(Cursor<Vec<u8>>, Body)> {
        let status = response.status();
        if !status.is_success() {
            let text = self.error_text(response);
            return Err(self.fail(match status {
                StatusCode::UNAUTHORIZED => GitError::AuthenticationRequired(text),
                StatusCode::FORBIDDEN => GitError::AuthorizationFailed(text),
                StatusCode::NOT_FOUND => GitError::RepositoryNotFound(text),
                _ => {
                    let verb = verb(&method);
                    let text = if text.is_empty() { String::new() } else { format!(": {text}") };
                    GitError::Connection(format!("{verb} \"{url}\": unexpected HTTP status {status}{text}"))
                }
            }));
        }
        let mut lines = Vec::new();
        for (name, value) in response.headers() {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.extend_from_slice(b"\r\n");
        }
        let body = Body::Streaming { client: Box::new(self.clone()), response, chunk: bytes::Bytes::new() };
        Ok((Cursor::new(lines), body))
    }

    fn error_text(&self, mut response: Response) -> String {
        let is_text = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .is_none_or(|t| t.as_bytes().starts_with(b"text/plain"));
        let mut text = Vec::new();
        while text.len() < MAX_ERROR_BODY
            && let Ok(Ok(Some(chunk))) = self.guard.run(response.chunk())
        {
            text.extend_from_slice(&chunk);
        }
        if !is_text {
            return String::new();
        }
        text.truncate(MAX_ERROR_BODY);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn follow(&self, from: &Url, response: &Response, tail: &str) -> io::Result<Url> {
        let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        let refused = |why: &str| {
            let host = from.host_str().unwrap_or_default();
            self.fail(GitError::Connection(format!("refusing to follow redirect of {host}: {why}")))
        };
        let mut target =
            location.and_then(|l| from.join(l).ok()).ok_or_else(|| refused("no valid location"))?;
        let _ = target.set_username("");
        let _ = target.set_password(None);
        match (from.scheme(), target.scheme()) {
            ("http", "http" | "https") | ("https", "https") => {}
            _ => return Err(refused("the scheme changes")),
        }
        if !self.reach.allows_url(&target) {
            return Err(refused(&format!("{} {REFUSED}", target.host_str().unwrap_or_default())));
        }
        if !target.as_str().ends_with(tail) {
            return Err(refused("it leads to something else than a repository"));
        }
        Ok(target)
    }

    fn fail(&self, error: GitError) -> io::Error {
        let text = error.to_string();
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        io::Error::other(text)
    }
}

/// Credentials may go to where they were given for, and to the same host when that asks for https.
fn same_origin(origin: &Url, url: &Url) -> bool {
    let upgraded = origin.scheme() == "http"
        && url.scheme() == "https"
        && origin.port_or_known_default() == Some(80)
        && url.port_or_known_default() == Some(443);
    origin.host_str() == url.host_str()
        && (upgraded
            || (origin.scheme() == url.scheme()
                && origin.port_or_known_default() == url.port_or_known_default()))
}

fn header_map(headers: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in headers {
        if let Some((name, value)) = line.as_ref().split_once(':')
            && let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim()))
            && name != reqwest::header::USER_AGENT
        {
            map.append(name, value);
        }
    }
    map
}

/// Whether the server closed the connection before anything of the request was sent: another one may tell why.
///
/// A server that refuses a client certificate does so after the handshake has ended for the client; which of the two
/// comes first, its words or the end of the connection, is chance.
fn was_closed_before_use(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if inner.to_string() == "connection was not ready" {
            return true;
        }
        cause = inner.source();
    }
    false
}

fn verb(method: &Method) -> &'static str {
    if *method == Method::GET { "Get" } else { "Post" }
}

/// A failed request in the words people search for.
fn describe(method: &Method, url: &Url, error: reqwest::Error) -> String {
    let verb = verb(method);
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    let mut text = None;
    while let Some(inner) = cause.source() {
        cause = inner;
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or_default();
            text = Some(format!("dial tcp {host}:{port}: connect: connection refused"));
        }
    }
    let root = cause.to_string();
    if text.is_none() && root.contains("failed to lookup address information") {
        let host = url.host_str().unwrap_or_default();
        text = Some(format!("dial tcp: lookup {host}: no such host"));
    }
    format!("{verb} \"{url}\": {}", text.unwrap_or(root))
}

/// A POST between its first written byte and its response; nothing once it is sent.
type Exchange = Arc<Mutex<Option<Box<PendingRequest>>>>;

pub(crate) struct PendingRequest {
    client: HttpClient,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Collects what is to be sent. Requests for objects are small.
pub(crate) struct Upload(Exchange);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(request) => request.body.extend_from_slice(bytes),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body of a response. That of a POST sends the request when it is first read.
pub(crate) enum Body {
    Pending(Exchange),
    Streaming { client: Box<HttpClient>, response: Response, chunk: bytes::Bytes },
}

impl Body {
    fn start(&mut self) -> io::Result<()> {
        let Body::Pending(exchange) = self else {
            return Ok(());
        };
        let request = exchange.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(request) = request else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let PendingRequest { client, url, headers, body } = *request;
        let response = client.send(Method::POST, url.clone(), headers, body)?;
        if response.status().is_redirection() {
            return Err(client.fail(GitError::Connection(
                "refusing to follow redirect of a request with content".to_owned(),
            )));
        }
        let (headers, body) = client.accept(Method::POST, &url, response)?;
        let expected = format!("application/x-{}-result", url.path().rsplit('/').next().unwrap_or_default());
        let told = headers.into_inner();
        if !String::from_utf8_lossy(&told)
            .lines()
            .any(|line| line.strip_prefix("content-type:").is_some_and(|v| v.trim() == expected))
        {
            let text = format!("the server did not answer with content type '{expected}'");
            return Err(client.fail(GitError::Protocol(text)));
        }
        *self = body;
        Ok(())
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.start()?;
        let Body::Streaming { client, response, chunk } = self else {
            return Ok(&[]);
        };
        while chunk.is_empty() {
            match client.guard.run(response.chunk()) {
                Ok(Ok(Some(next))) => {
                    client.allowance.take(next.len()).map_err(|error| client.fail(error))?;
                    *chunk = next;
                }
                Ok(Ok(None)) => return Ok(&[]),
                Ok(Err(error)) => {
                    let url = response.url().clone();
                    return Err(client.fail(GitError::Connection(describe(&Method::GET, &url, error))));
                }
                Err(error) => return Err(client.fail(error)),
            }
        }
        Ok(chunk)
    }

    fn consume(&mut self, count: usize) {
        if let Body::Streaming { chunk, .. } = self {
            let _ = chunk.split_to(count.min(chunk.len()));
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
