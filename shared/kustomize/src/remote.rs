//! Bases and files that live elsewhere: how an address is understood, and the trait that fetches.

use crate::fs::{FileSystem, join_relative};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why something remote could not be fetched.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RemoteError {
    /// The server answered with a status outside 200 to 299.
    #[error("HTTP Error: status code {code} ({text})")]
    Status {
        /// The status code.
        code: u16,
        /// Its standard text.
        text: String,
    },
    /// The address is served as a Git repository.
    #[error("URL is a git repository")]
    IsGitRepository,
    /// No answer in time.
    #[error("hit {0} timeout running '{1}'")]
    Timeout(String, String),
    /// Anything else; the text says what.
    #[error("{0}")]
    Other(String),
}

/// A Git repository checked out for a build.
#[derive(Clone)]
pub struct Checkout {
    /// The files, confined to the checkout.
    pub fs: Arc<dyn FileSystem>,
    /// The directory of the checkout within `fs`.
    pub directory: String,
}

/// Fetches what a kustomization refers to over the network. Implemented by the caller, with its own clients, limits and
/// credentials; the engine itself never opens a connection.
pub trait RemoteLoader: Send + Sync {
    /// The body behind an `http` or `https` address, of at most `limit` bytes.
    fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError>;

    /// A checkout of a Git repository at the reference the address names.
    fn checkout(&self, repository: &RepositoryAddress) -> Result<Checkout, RemoteError>;
}

/// A Git address as kustomize understands it: `[git::][scheme://][user@]host[:/]path[?query]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryAddress {
    /// The text it was read from.
    pub raw: String,
    /// Scheme, user and host, up to and including the separator.
    pub host: String,
    /// The repository on the host.
    pub repository: String,
    /// The directory in the repository.
    pub directory: String,
    /// Branch, tag or commit; empty for the default branch.
    pub reference: String,
    /// How long the fetch may take.
    pub timeout: Duration,
    /// Whether submodules are wanted.
    pub submodules: bool,
}

impl RepositoryAddress {
    /// Reads an address; `None` when the text is a path or not a Git address.
    pub fn parse(text: &str) -> Option<RepositoryAddress> {
        if text.starts_with('/') {
            return None;
        }
        let (location, query) = text.split_once('?').unwrap_or((text, ""));
        let query = Query::parse(query);
        let (host, rest) = split_host(location)?;
        let (repository, directory) = split_path(rest, host.starts_with(FILE))?;
        if repository.is_empty() || leaves_repository(directory) {
            return None;
        }
        Some(RepositoryAddress {
            raw: text.to_owned(),
            host,
            repository: repository.to_owned(),
            directory: directory.strip_prefix('/').unwrap_or(directory).to_owned(),
            reference: query.reference,
            timeout: query.timeout,
            submodules: query.submodules,
        })
    }

    /// The URL to clone from.
    pub fn clone_url(&self) -> String {
        format!("{}{}", self.host, self.repository)
    }
}

const FILE: &str = "file://";
const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", FILE];

/// Whether a path is to be fetched over HTTP rather than read from the file system.
pub(crate) fn is_http(path: &str) -> bool {
    strip_prefix_ignore_case(path, "http://").is_some()
        || strip_prefix_ignore_case(path, "https://").is_some()
}

struct Query {
    reference: String,
    timeout: Duration,
    submodules: bool,
}

impl Default for Query {
    fn default() -> Query {
        Query { reference: String::new(), timeout: Duration::from_secs(27), submodules: true }
    }
}

impl Query {
    /// Reads a query as Go does; what it cannot read counts for nothing, all of it.
    fn parse(query: &str) -> Query {
        let mut values: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (query_unescape(key), query_unescape(value)) {
                (Some(key), Some(value)) if !pair.contains(';') => values.push((key, value)),
                _ => return Query::default(),
            }
        }
        let first = |key: &str| values.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
        let reference = match first("ref") {
            "" => first("version"),
            reference => reference,
        };
        let mut result = Query { reference: reference.to_owned(), ..Query::default() };
        if let Some(timeout) = parse_timeout(first("timeout")) {
            result.timeout = timeout;
        }
        match first("submodules") {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => result.submodules = true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => result.submodules = false,
            _ => {}
        }
        result
    }
}

/// The text of a part of a query; `None` when a `%` is not followed by two digits.
fn query_unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                out.push((digit(at)? * 16 + digit(at + 1)?) as u8);
                at += 2;
            }
            _ => out.push(byte),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Whole seconds, or a Go duration such as `1m30s`; `None` unless positive.
fn parse_timeout(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<i64>()
        && let Some(seconds) = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)
    {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = 0.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("\u{b5}s", 1e-6),
            ("\u{3bc}s", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * scale;
        rest = &rest[unit.len()..];
    }
    (total > 0.0 && total < 9.2e9).then(|| Duration::from_secs_f64(total))
}

fn split_host(text: &str) -> Option<(String, &str)> {
    let text = strip_prefix_ignore_case(text, "git::").unwrap_or(text);
    let (scheme, text) = SCHEMES
        .into_iter()
        .find_map(|scheme| strip_prefix_ignore_case(text, scheme).map(|rest| (scheme, rest)))
        .unwrap_or(("", text));
    if scheme == FILE {
        return Some((FILE.to_owned(), text));
    }
    let (user, text) = split_user(text);
    let github = strip_prefix_ignore_case(text, "github.com/").is_some()
        || strip_prefix_ignore_case(text, "github.com:").is_some();
    let scp = scheme.is_empty() && (!user.is_empty() || github);
    if scheme.is_empty() && !scp {
        return None;
    }
    let slash = text.find('/');
    let colon = text.find(':').filter(|_| scp);
    let separator = match (slash, colon) {
        (Some(slash), Some(colon)) if colon > 0 && colon < slash => Some(colon),
        (None, colon) => colon,
        (slash, _) => slash,
    };
    let (host, rest) = match separator {
        Some(at) => text.split_at(at + 1),
        None => (text, ""),
    };
    if github {
        let host = if scheme == "ssh://" || !user.is_empty() {
            format!("{user}github.com:")
        } else {
            "https://github.com/".to_owned()
        };
        return Some((host, rest));
    }
    if host.is_empty() { None } else { Some((format!("{scheme}{user}{host}"), rest)) }
}

/// `git@` of `git@host`, as the regular expression `^([a-zA-Z][a-zA-Z0-9-]*)@` finds it.
fn split_user(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(text.len());
    let is_user = text.as_bytes().get(end) == Some(&b'@')
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if is_user { text.split_at(end + 1) } else { ("", text) }
}

fn split_path(text: &str, whole: bool) -> Option<(&str, &str)> {
    if let Some(at) = text.find("_git/") {
        let start = at + "_git/".len();
        let end = text[start..].find('/').map_or(text.len(), |slash| start + slash);
        return Some((&text[..end], text.get(end + 1..).unwrap_or("")));
    }
    if let Some(at) = text.find("//") {
        return Some((&text[..at], &text[at + 2..]));
    }
    if let Some(at) = text.find(".git") {
        return Some(text.split_at(at + ".git".len()));
    }
    if whole {
        return Some((text, ""));
    }
    let mut slashes = text.match_indices('/');
    slashes.next()?;
    match slashes.next() {
        Some((at, _)) => Some((&text[..at], &text[at + 1..])),
        None => Some((text, "")),
    }
}

fn leaves_repository(directory: &str) -> bool {
    join_relative("", directory.strip_prefix('/').unwrap_or(directory)).split('/').next() == Some("..")
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, clone: &str, directory: &str, reference: &str) {
        let address = RepositoryAddress::parse(text).unwrap();
        assert_eq!(
            (address.clone_url().as_str(), address.directory.as_str(), address.reference.as_str()),
            (clone, directory, reference)
        );
    }

    #[test]
    fn understands_the_usual_forms() {
        check("https://github.com/org/repo//path?ref=v1", "https://github.com/org/repo", "path", "v1");
        check("github.com/org/repo/path/to?version=v1", "https://github.com/org/repo", "path/to", "v1");
        check("git@github.com:org/repo.git//p", "git@github.com:org/repo.git", "p", "");
        check("git::https://gitlab.com/a/b.git/deploy", "https://gitlab.com/a/b.git", "deploy", "");
        check("ssh://git@host.xz/org/repo/x", "ssh://git@host.xz/org/repo", "x", "");
        check(
            "https://dev.azure.com/o/p/_git/repo/dir/x",
            "https://dev.azure.com/o/p/_git/repo",
            "dir/x",
            "",
        );
        check("user@host:a/b?ref=main", "user@host:a/b", "", "main");
        check("file:///srv/repo", "file:///srv/repo", "", "");
        check("file:///srv/repo//a/b?ref=v1", "file:///srv/repo", "a/b", "v1");
        check("file:///srv/repo.git/a", "file:///srv/repo.git", "a", "");
        check("FILE://git@srv/repo", "file://git@srv/repo", "", "");
    }

    #[test]
    fn refuses_paths_and_escapes() {
        for text in
            ["base", "../base", "/abs", "./a/b", "https://github.com/org/repo//../x", "gitlab.com/a/b", ""]
        {
            assert_eq!(RepositoryAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_the_query() {
        let address = RepositoryAddress::parse("https://h/a/b?timeout=1m30s&submodules=false&ref=x").unwrap();
        assert_eq!(address.timeout, Duration::from_secs(90));
        assert!(!address.submodules);
        let query = |text: &str| RepositoryAddress::parse(&format!("https://h/a/b?{text}")).unwrap();
        assert_eq!(query("ref=&version=v%2B1&ref=x").reference, "v+1");
        assert_eq!(query("ref=a;b").reference, "");
        assert_eq!(query("ref=v1&x=%zz").reference, "");
        for text in ["timeout=0", "timeout=-5", "timeout=x", ""] {
            assert_eq!(query(text).timeout, Duration::from_secs(27), "{text}");
        }
        assert_eq!(
            RepositoryAddress::parse("https://h/a/b?timeout=5").unwrap().timeout,
            Duration::from_secs(5)
        );
    }
}
