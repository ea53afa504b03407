//! What `.gitmodules` says, and where it leads.

use gix::config::File;
use gix::config::file::Metadata;
use gix::config::file::init::Options;
use url::Url;

use crate::GitError;
use crate::remote::Remote;

/// The most bytes `.gitmodules` may have.
pub(crate) const MAX_GITMODULES: usize = 1 << 20;

/// How deep submodules may be in each other.
pub(crate) const MAX_DEPTH: usize = 10;

/// The most submodules one checkout may have.
pub(crate) const MAX_SUBMODULES: usize = 1000;

/// An entry of `.gitmodules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submodule {
    pub path: String,
    pub url: String,
}

/// The entries that have a path and a URL. How Git would update them is ignored: it may be a command.
pub(crate) fn parse(gitmodules: &[u8]) -> Result<Vec<Submodule>, GitError> {
    let damaged = |reason: String| GitError::Refused { path: ".gitmodules".to_owned(), reason };
    if gitmodules.len() > MAX_GITMODULES {
        return Err(damaged(format!("it has more than {MAX_GITMODULES} bytes")));
    }
    let file = File::from_bytes_no_includes(gitmodules, Metadata::api(), Options::default())
        .map_err(|_| damaged("it is not in the format of Git's configuration".to_owned()))?;
    let mut submodules = Vec::new();
    for section in file.sections_by_name("submodule").into_iter().flatten() {
        let text = |key: &str| section.value(key).map(|value| value.to_string());
        if let (Some(path), Some(url)) = (text("path"), text("url")) {
            let path = path.trim_end_matches('/').to_owned();
            submodules.push(Submodule { path, url });
        }
    }
    Ok(submodules)
}

impl Remote {
    /// The repository of a submodule of this one. Credentials go with it to the same scheme, host and port alone; the
    /// proxy and the authorities do everywhere.
    pub(crate) fn submodule(&self, url: &str) -> Result<Remote, GitError> {
        let url = match relative(url) {
            true => join(self.url(), url)?,
            false => absolute(url),
        };
        let mut remote = Remote::new(&url)?;
        remote.reach = self.reach.clone();
        if !remote.reach.allows_url(remote.url()) {
            let host = remote.url().host_str().unwrap_or_default();
            return Err(GitError::InvalidUrl(format!("{host} {}", crate::reach::REFUSED)));
        }
        let origin = |url: &Url| {
            let port = url.port_or_known_default().or_else(|| (url.scheme() == "ssh").then_some(22));
            (url.scheme().to_owned(), url.host_str().map(str::to_ascii_lowercase), port)
        };
        remote.tls.ca = self.tls.ca.clone();
        remote.proxy = self.proxy.clone();
        remote.ssh_algorithms = self.ssh_algorithms.clone();
        if origin(remote.url()) == origin(self.url()) {
            remote.tls.client_certificate = self.tls.client_certificate.clone();
            remote.auth = self.auth.clone();
        }
        Ok(remote)
    }
}

/// The repository of a submodule of a repository on this machine. Those that are on this machine too are refused, as Git
/// refuses them since they let a repository read others.
pub(crate) fn of_local(url: &str) -> Result<Remote, GitError> {
    let url = absolute(url);
    if !url.contains("://") || url.starts_with("file:") {
        let reason = "transport 'file' not allowed: submodules of local repositories must be on a server";
        return Err(GitError::InvalidUrl(format!("{reason}, not at '{url}'")));
    }
    Remote::new(&url)
}

fn relative(url: &str) -> bool {
    url.starts_with("./") || url.starts_with("../")
}

/// Joins as Git does: each `..` takes away one component of the path.
fn join(parent: &Url, relative: &str) -> Result<String, GitError> {
    let mut path: Vec<&str> = parent.path().split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()
                    .ok_or_else(|| GitError::InvalidUrl(format!("'{relative}' leads above the host")))?;
            }
            name => path.push(name),
        }
    }
    let mut joined = parent.clone();
    joined.set_path(&path.join("/"));
    Ok(joined.to_string())
}

/// `user@host:path` is a way to write `ssh://user@host/path`.
fn absolute(url: &str) -> String {
    let short = url.split_once(':').filter(|(host, path)| {
        !path.starts_with("//") && !path.starts_with(':') && !host.contains('/') && !host.is_empty()
    });
    match short {
        Some((host, path)) => format!("ssh://{host}/{}", path.trim_start_matches('/')),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Auth, ClientCertificate};

    #[test]
    fn entries_without_path_or_url_are_nothing() {
        let text = b"[submodule \"a\"]\n\tpath = lib/a/\n\turl = ../a.git\n\tupdate = !rm -rf /\n[submodule \"b\"]\n\tpath = b\n[core]\n\tx = y\n[submodule \"c d\"]\n\turl = \"https://h/c d\"\n\tpath = c\n";
        let entry = |path: &str, url: &str| Submodule { path: path.into(), url: url.into() };
        assert_eq!(parse(text).unwrap(), [entry("lib/a", "../a.git"), entry("c", "https://h/c d")]);
        assert!(parse(b"[submodule").is_err());
        assert!(parse(&vec![b'#'; MAX_GITMODULES + 1]).is_err());
    }

    #[test]
    fn local_repositories_have_remote_submodules_only() {
        for url in ["../lib", "/srv/lib", "file:///srv/lib", "lib"] {
            let error = of_local(url).unwrap_err().to_string();
            assert!(error.contains("transport 'file' not allowed"), "{error}");
        }
        assert_eq!(of_local("git@h.example:o/r").unwrap().url().as_str(), "ssh://git@h.example/o/r");
        assert!(of_local("ext::sh -c x").is_err());
    }

    #[test]
    fn credentials_stay_with_the_host() {
        let mut parent = Remote::new("https://git.example.com/org/app.git").unwrap();
        parent.auth = Auth::Bearer("secret".into());
        parent.tls.ca = Some(b"ca".to_vec());
        parent.tls.client_certificate = Some(ClientCertificate { certificate: vec![], key: vec![] });
        let same = |url: &str| {
            let remote = parent.submodule(url).unwrap();
            assert_eq!(remote.tls.ca, parent.tls.ca);
            let has_auth = matches!(remote.auth, Auth::Bearer(_));
            assert_eq!(has_auth, remote.tls.client_certificate.is_some());
            (remote.url().as_str().to_owned(), has_auth)
        };
        let with = |url: &str| (url.to_owned(), true);
        let without = |url: &str| (url.to_owned(), false);
        assert_eq!(same("../lib.git"), with("https://git.example.com/org/lib.git"));
        assert_eq!(same("./lib"), with("https://git.example.com/org/app.git/lib"));
        assert_eq!(same("https://git.example.com:443/x"), with("https://git.example.com/x"));
        assert_eq!(same("https://GIT.example.com/x"), with("https://git.example.com/x"));
        assert_eq!(same("http://git.example.com/x"), without("http://git.example.com/x"));
        assert_eq!(same("https://git.example.com:8443/x"), without("https://git.example.com:8443/x"));
        assert_eq!(same("https://git.example.com.evil/x"), without("https://git.example.com.evil/x"));
        assert_eq!(same("git@git.example.com:org/x.git"), without("ssh://git@git.example.com/org/x.git"));
        for refused in [
            "../../../x",
            "file:///etc",
            "ext::sh -c x",
            "/etc/passwd",
            "x",
            "http://169.254.169.254/latest",
            "https://localhost/x",
            "git@127.0.0.1:x",
        ] {
            assert!(parent.submodule(refused).is_err(), "{refused}");
        }
    }
}
