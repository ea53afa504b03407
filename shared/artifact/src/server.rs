//! Serves artifact files over HTTP: nothing but artifacts, nothing outside the root, no listings.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, IF_MODIFIED_SINCE,
    IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::confined;
use crate::store::LatestLink;

/// The service for the artifacts below `root`.
///
/// `/` answers 200 from the start, so that readiness does not depend on leadership; artifacts are served while
/// `serving` is true and answered with 503 otherwise.
pub fn router(root: impl Into<PathBuf>, serving: Arc<AtomicBool>) -> Router {
    let state = ServerState { root: Arc::new(root.into()), serving };
    Router::new().fallback(respond).with_state(state)
}

#[derive(Clone)]
struct ServerState {
    root: Arc<PathBuf>,
    serving: Arc<AtomicBool>,
}

async fn respond(State(state): State<ServerState>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, &[(ALLOW, "GET, HEAD".to_owned())], Body::empty());
    }
    if request.uri().path() == "/" {
        return response(StatusCode::OK, &[], Body::empty());
    }
    if !state.serving.load(Ordering::Relaxed) {
        return response(StatusCode::SERVICE_UNAVAILABLE, &[(RETRY_AFTER, "5".to_owned())], Body::empty());
    }
    let Some(path) = decode(request.uri().path()) else {
        return not_found();
    };
    let root = state.root.clone();
    let opened = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || open(&root, &path)).await
    };
    match opened {
        Ok(Ok(file)) => serve(file, &path, request.method() == Method::HEAD, request.headers()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => not_found(),
        Ok(Err(error)) => {
            tracing::error!(path, %error, "cannot open artifact");
            response(StatusCode::INTERNAL_SERVER_ERROR, &[], Body::empty())
        }
        Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, &[], Body::empty()),
    }
}

/// The path of a request with its percent signs decoded, relative.
fn decode(path: &str) -> Option<String> {
    let bytes = path.strip_prefix('/')?.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let high = char::from(*rest.next()?).to_digit(16)?;
        let low = char::from(*rest.next()?).to_digit(16)?;
        decoded.push((high * 16 + low) as u8);
    }
    String::from_utf8(decoded).ok().filter(|p| !p.contains('\0'))
}

/// Opens `<kind>/<namespace>/<name>/<file>`. Everything else does not exist.
fn open(root: &Path, path: &str) -> io::Result<File> {
    let not_found = || io::Error::from(io::ErrorKind::NotFound);
    let parts: Vec<&str> = path.split('/').collect();
    let [kind, namespace, name, file] = parts[..] else {
        return Err(not_found());
    };
    if parts.iter().any(|p| p.is_empty() || p.starts_with('.')) || !is_artifact_name(file) {
        return Err(not_found());
    }
    let directory: PathBuf = [kind, namespace, name].iter().collect();
    let links = [LatestLink::Archive, LatestLink::Index];
    if links.iter().any(|link| link.file_name() == file)
        && let Ok(target) = std::fs::read_link(root.join(&directory).join(file))
    {
        // Only to a neighbour, whatever directory the link names.
        let target = target.file_name().and_then(|t| t.to_str()).filter(|t| is_artifact_name(t));
        return confined::open_file(root, &directory.join(target.ok_or_else(not_found)?));
    }
    confined::open_file(root, &directory.join(file))
}

fn is_artifact_name(name: &str) -> bool {
    !name.starts_with('.') && [".tar.gz", ".tgz", ".yaml"].iter().any(|suffix| name.ends_with(suffix))
}

fn serve(mut file: File, path: &str, head: bool, request: &HeaderMap) -> Response {
    let (length, modified) = match file.metadata().and_then(|m| Ok((m.len(), m.modified()?))) {
        Ok(metadata) => metadata,
        Err(_) => return response(StatusCode::INTERNAL_SERVER_ERROR, &[], Body::empty()),
    };
    let modified = http_date(modified);
    let text = |name: HeaderName| request.get(name).and_then(|v| v.to_str().ok());
    let content_type = if path.ends_with(".yaml") { "application/yaml" } else { "application/gzip" };
    let mut headers = vec![
        (CONTENT_TYPE, content_type.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (LAST_MODIFIED, modified.clone()),
    ];
    if text(IF_MODIFIED_SINCE).is_some_and(|since| since == modified) {
        return response(StatusCode::NOT_MODIFIED, &headers, Body::empty());
    }
    let range = text(RANGE).filter(|_| text(IF_RANGE).is_none_or(|validator| validator == modified));
    let (status, start, count) = match range.map_or(ByteRange::Whole, |r| ByteRange::parse(r, length)) {
        ByteRange::Whole => (StatusCode::OK, 0, length),
        ByteRange::Part { start, count } => {
            let last = start + count - 1;
            headers.push((CONTENT_RANGE, format!("bytes {start}-{last}/{length}")));
            (StatusCode::PARTIAL_CONTENT, start, count)
        }
        ByteRange::Unsatisfiable => {
            headers.push((CONTENT_RANGE, format!("bytes */{length}")));
            return response(StatusCode::RANGE_NOT_SATISFIABLE, &headers, Body::empty());
        }
    };
    headers.push((CONTENT_LENGTH, count.to_string()));
    if head {
        return response(status, &headers, Body::empty());
    }
    if file.seek(SeekFrom::Start(start)).is_err() {
        return response(StatusCode::INTERNAL_SERVER_ERROR, &[], Body::empty());
    }
    let content = tokio::fs::File::from_std(file).take(count);
    let body = Body::from_stream(ReaderStream::with_capacity(content, 64 * 1024));
    response(status, &headers, body)
}

#[derive(Debug, PartialEq)]
enum ByteRange {
    Whole,
    Part { start: u64, count: u64 },
    Unsatisfiable,
}

impl ByteRange {
    /// One range of bytes. Several at once, and what is no range at all, give the whole file, as the RFC allows.
    fn parse(header: &str, length: u64) -> Self {
        let Some((first, last)) =
            header.strip_prefix("bytes=").filter(|r| !r.contains(',')).and_then(|r| r.trim().split_once('-'))
        else {
            return ByteRange::Whole;
        };
        let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(start), Ok(end)) if start <= end => (start, end.saturating_add(1).min(length)),
            (Ok(start), Err(_)) if last.is_empty() => (start, length),
            (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
            _ => return ByteRange::Whole,
        };
        if start >= end {
            return ByteRange::Unsatisfiable;
        }
        ByteRange::Part { start, count: end - start }
    }
}

fn http_date(time: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn not_found() -> Response {
    response(StatusCode::NOT_FOUND, &[], Body::from("404 page not found\n"))
}

fn response(status: StatusCode, headers: &[(HeaderName, String)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
