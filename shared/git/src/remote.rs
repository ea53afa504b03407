//! A remote repository and how to get to it.

use std::fmt;

use url::Url;

use crate::GitError;
use crate::reach::Reach;
use crate::ssh::{SshAlgorithms, SshCredentials};

/// A repository on a server, with everything needed to reach it.
#[derive(Clone)]
pub struct Remote {
    url: Url,
    /// Who we are. Sent to the host of the URL only.
    pub auth: Auth,
    /// Trust and identity for https.
    pub tls: TlsSettings,
    /// The way out for http and https, instead of what the environment says.
    pub proxy: Option<Proxy>,
    /// Algorithms for ssh.
    pub ssh_algorithms: SshAlgorithms,
    /// Where it may lead to.
    pub(crate) reach: Reach,
}

impl Remote {
    /// The repository at a URL, with the credentials in it if there are any.
    pub fn new(url: &str) -> Result<Self, GitError> {
        let mut url = Url::parse(url).map_err(|error| GitError::InvalidUrl(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https" | "ssh") {
            let scheme = url.scheme();
            return Err(GitError::InvalidUrl(format!(
                "scheme '{scheme}' is not supported: use http, https or ssh"
            )));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(GitError::InvalidUrl("no host".to_owned()));
        }
        let mut auth = Auth::None;
        if url.scheme() != "ssh" {
            let decode = |text: &str| percent_decode(text);
            if !url.username().is_empty() || url.password().is_some() {
                auth = Auth::Basic {
                    username: decode(url.username()),
                    password: decode(url.password().unwrap_or_default()),
                };
            }
            // These two fail only for URLs without a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        } else {
            let _ = url.set_password(None);
        }
        Ok(Remote {
            reach: Reach::of(&url),
            url,
            auth,
            tls: TlsSettings::default(),
            proxy: None,
            ssh_algorithms: SshAlgorithms::default(),
        })
    }

    /// The URL, without credentials.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Credentials for a repository.
#[derive(Clone, Default)]
pub enum Auth {
    /// None: no header is sent.
    #[default]
    None,
    /// HTTP basic.
    Basic {
        /// The user.
        username: String,
        /// The password or token.
        password: String,
    },
    /// HTTP bearer.
    Bearer(String),
    /// A key for ssh.
    Ssh(SshCredentials),
}

/// Trust and identity of a TLS client.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// Authorities in PEM, trusted beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// Who we are.
    pub client_certificate: Option<ClientCertificate>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The chain in PEM.
    pub certificate: Vec<u8>,
    /// The key in PEM.
    pub key: Vec<u8>,
}

/// A proxy to go through.
#[derive(Clone)]
pub struct Proxy {
    /// `http://`, `https://` or `socks5://` address.
    pub address: String,
    /// User and password, if it wants them.
    pub credentials: Option<(String, String)>,
}

/// The text that `%20` and the like in a part of a URL stand for.
pub fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
