//! SSH in process: a channel that runs `git-upload-pack` on the server, as gitoxide's transport.

mod known_hosts;
mod private_key;
mod proxy;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gix::protocol::transport::Protocol;
use gix::protocol::transport::client::git::ConnectMode;
use gix::protocol::transport::client::git::blocking_io::Connection;
use russh::client::{self, Handle};
use russh::keys::ssh_key::Algorithm;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, kex};

use crate::GitError;
use crate::http::Failure;
use crate::remote::{Auth, Remote};
use crate::session::{Allowance, Guard};

pub use known_hosts::{HostKeyError, KnownHosts, KnownHostsError};

/// Who we are and whom we trust.
#[derive(Clone)]
pub struct SshCredentials {
    key: Arc<PrivateKey>,
    known_hosts: Arc<KnownHosts>,
}

/// Why SSH credentials cannot be used. The text never contains any of them.
#[derive(Debug, thiserror::Error)]
pub enum SshCredentialsError {
    /// The key is encrypted and no passphrase is given.
    #[error("the private key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// The key cannot be read; if it is encrypted, the passphrase may be wrong.
    #[error("cannot read the private key: {0}")]
    Key(String),
    /// The known hosts cannot be read.
    #[error(transparent)]
    KnownHosts(#[from] KnownHostsError),
}

impl SshCredentials {
    /// Reads a private key, with its passphrase if it has one, and a `known_hosts` file. Slow for encrypted keys, on
    /// purpose of theirs.
    pub fn new(
        identity: &str,
        passphrase: Option<&str>,
        known_hosts: &str,
    ) -> Result<Self, SshCredentialsError> {
        let passphrase = passphrase.filter(|p| !p.is_empty());
        let full = private_key::with_full_p256(identity);
        let identity = full.as_deref().unwrap_or(identity);
        let key = decode_secret_key(identity, passphrase).map_err(|error| match (error, passphrase) {
            (russh::keys::Error::KeyIsEncrypted, None) => SshCredentialsError::PassphraseNeeded,
            (error, _) => SshCredentialsError::Key(error.to_string()),
        })?;
        if key.is_encrypted() {
            return Err(SshCredentialsError::PassphraseNeeded);
        }
        Ok(SshCredentials { key: Arc::new(key), known_hosts: Arc::new(KnownHosts::parse(known_hosts)?) })
    }
}

/// Which algorithms may be used, most preferred first; the defaults where empty.
#[derive(Clone, Debug, Default)]
pub struct SshAlgorithms {
    /// Key exchange.
    pub key_exchange: Vec<String>,
    /// Host keys.
    pub host_key: Vec<String>,
}

impl SshAlgorithms {
    /// Fails for the first name that is not known.
    pub fn check(&self) -> Result<(), GitError> {
        key_exchange(&self.key_exchange)?;
        host_key_algorithms(&self.host_key)?;
        Ok(())
    }
}

/// A connection to `git-upload-pack` on the server.
pub(crate) fn transport(
    remote: &Remote,
    guard: Guard,
    failure: Failure,
    allowance: Allowance,
) -> Result<Connection<ChannelReader, ChannelWriter>, GitError> {
    let Auth::Ssh(credentials) = &remote.auth else {
        return Err(GitError::Settings("ssh needs a private key and known hosts".to_owned()));
    };
    let url = remote.url();
    let path = crate::remote::percent_decode(url.path());
    if path.contains(['\0', '\n']) {
        return Err(GitError::InvalidUrl("the path contains a control character".to_owned()));
    }
    // `~user` is the server's to expand, and it does not look for it behind a slash.
    let path = path.strip_prefix('/').filter(|p| p.starts_with('~')).unwrap_or(&path).to_owned();
    let (session, reader, writer) = guard.run(open(remote, credentials, &path))??;
    let session = Arc::new(Link { handle: Mutex::new(Some(session)), runtime: guard.runtime.clone() });
    let reader = ChannelReader {
        channel: reader,
        chunk: bytes::Bytes::new(),
        errors: Vec::new(),
        received: false,
        guard: guard.clone(),
        failure: failure.clone(),
        allowance,
        _link: session.clone(),
    };
    let writer = ChannelWriter { channel: writer, guard, failure, _link: session };
    let none = None::<(String, Option<u16>)>;
    Ok(Connection::new(reader, writer, Protocol::V2, path, none, ConnectMode::Process, false))
}

/// Logs in and starts the program.
async fn open(
    remote: &Remote,
    credentials: &SshCredentials,
    path: &str,
) -> Result<(Handle<HostKeyCheck>, ChannelReadHalf, ChannelWriteHalf<client::Msg>), GitError> {
    let url = remote.url();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port().unwrap_or(22);
    let user = match url.username() {
        "" => "git".to_owned(),
        user => crate::remote::percent_decode(user),
    };
    let verdict = Arc::new(Mutex::new(None));
    let check = HostKeyCheck {
        known_hosts: credentials.known_hosts.clone(),
        host: host.to_owned(),
        port,
        verdict: verdict.clone(),
    };
    let config = Arc::new(config(remote, credentials, host, port)?);
    let refused = |error: russh::Error| {
        let verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (verdict, error) {
            (Some(verdict), _) => GitError::Connection(format!("ssh: handshake failed: {verdict}")),
            (None, russh::Error::IO(error)) => GitError::Connection(describe(&error, host, port)),
            (None, error) => GitError::Connection(format!("ssh: handshake failed: {error}")),
        }
    };
    let stream = match &remote.proxy {
        Some(through) => proxy::through(through, host, port).await?,
        None => {
            let failed = |error: io::Error| GitError::Connection(describe(&error, host, port));
            let addresses = remote.reach.resolve(host, port).await.map_err(failed)?;
            proxy::direct(&addresses).await.map_err(failed)?
        }
    };
    let mut session = client::connect_stream(config, stream, check).await.map_err(refused)?;
    let hash = match credentials.key.algorithm().is_rsa() {
        true => rsa_hash(&session).await?,
        false => None,
    };
    let key = PrivateKeyWithHashAlg::new(credentials.key.clone(), hash);
    let failed = |error: russh::Error| GitError::Connection(format!("ssh: {error}"));
    let outcome = session.authenticate_publickey(user, key).await.map_err(failed)?;
    if !outcome.success() {
        let text = "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain";
        return Err(GitError::Connection(text.to_owned()));
    }
    let channel = session.channel_open_session().await.map_err(failed)?;
    // A server that does not allow it speaks the older protocol, which is fine.
    channel.set_env(false, "GIT_PROTOCOL", "version=2").await.map_err(failed)?;
    let quoted = path.replace('\'', "'\\''").replace('!', "'\\!'");
    channel.exec(false, format!("git-upload-pack '{quoted}'")).await.map_err(failed)?;
    let (reader, writer) = channel.split();
    Ok((session, reader, writer))
}

fn config(
    remote: &Remote,
    credentials: &SshCredentials,
    host: &str,
    port: u16,
) -> Result<client::Config, GitError> {
    let mut config = client::Config {
        keepalive_interval: Some(Duration::from_secs(15)),
        nodelay: true,
        ..client::Config::default()
    };
    let algorithms = &remote.ssh_algorithms;
    if !algorithms.key_exchange.is_empty() {
        config.preferred.kex = Cow::Owned(key_exchange(&algorithms.key_exchange)?);
    }
    config.preferred.key = match algorithms.host_key.is_empty() {
        false => Cow::Owned(host_key_algorithms(&algorithms.host_key)?),
        // Only what can be checked, or else a server with several keys could offer one that is not listed.
        true => match credentials.known_hosts.algorithms(host, port) {
            listed if listed.is_empty() => config.preferred.key,
            listed => Cow::Owned(listed),
        },
    };
    if credentials.known_hosts.has_authority(host, port) {
        config.preferred.host_key_certificates = config.preferred.key.clone();
    }
    Ok(config)
}

/// How to sign with an RSA key. SHA-1 is not an answer.
async fn rsa_hash(session: &Handle<HostKeyCheck>) -> Result<Option<HashAlg>, GitError> {
    let failed = |error: russh::Error| GitError::Connection(format!("ssh: {error}"));
    match session.best_supported_rsa_hash().await.map_err(failed)? {
        Some(Some(hash)) => Ok(Some(hash)),
        Some(None) => Err(GitError::Connection(
            "ssh: handshake failed: the server accepts RSA keys with SHA-1 signatures only".to_owned(),
        )),
        None => Ok(Some(HashAlg::Sha512)),
    }
}

fn key_exchange(names: &[String]) -> Result<Vec<kex::Name>, GitError> {
    let mut chosen: Vec<kex::Name> = Vec::new();
    for name in names {
        // No key exchange is no encryption.
        let known =
            kex::ALL_KEX_ALGORITHMS.iter().find(|known| known.as_ref() == name && ***known != kex::NONE);
        let known = known
            .ok_or_else(|| GitError::Settings(format!("unknown ssh key exchange algorithm '{name}'")))?;
        chosen.push(**known);
    }
    // Not algorithms but what makes the exchange safe against tampering, and RSA keys usable.
    chosen.push(kex::EXTENSION_SUPPORT_AS_CLIENT);
    chosen.push(kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT);
    Ok(chosen)
}

fn host_key_algorithms(names: &[String]) -> Result<Vec<Algorithm>, GitError> {
    names
        .iter()
        .map(|name| {
            let unknown = || GitError::Settings(format!("unknown ssh host key algorithm '{name}'"));
            match Algorithm::new(name) {
                Ok(Algorithm::Other(_)) | Err(_) => Err(unknown()),
                Ok(algorithm) => Ok(algorithm),
            }
        })
        .collect()
}

fn describe(error: &io::Error, host: &str, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("dial tcp {host}:{port}: connect: connection refused"),
        _ if error.to_string().contains("failed to lookup address information") => {
            format!("dial tcp: lookup {host}: no such host")
        }
        _ => format!("dial tcp {host}:{port}: {error}"),
    }
}

/// Accepts the keys of `known_hosts` and no others.
struct HostKeyCheck {
    known_hosts: Arc<KnownHosts>,
    host: String,
    port: u16,
    verdict: Arc<Mutex<Option<HostKeyError>>>,
}

impl client::Handler for HostKeyCheck {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        match self.known_hosts.check(&self.host, self.port, offered) {
            Ok(()) => Ok(true),
            Err(error) => {
                *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Ok(false)
            }
        }
    }
}

/// Says goodbye when the last half of the channel is gone.
struct Link {
    handle: Mutex<Option<Handle<HostKeyCheck>>>,
    runtime: tokio::runtime::Handle,
}

impl Drop for Link {
    fn drop(&mut self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            self.runtime.spawn(async move {
                // The connection is closed either way.
                let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
            });
        }
    }
}

/// The most bytes of the program's error output that are kept.
const MAX_ERRORS: usize = 4096;

/// What the program on the server says.
pub(crate) struct ChannelReader {
    channel: ChannelReadHalf,
    chunk: bytes::Bytes,
    errors: Vec<u8>,
    received: bool,
    guard: Guard,
    failure: Failure,
    allowance: Allowance,
    _link: Arc<Link>,
}

impl ChannelReader {
    /// At the end of the output: what the program complained about, if it never said anything else.
    fn end(&self) -> io::Result<usize> {
        let errors = String::from_utf8_lossy(&self.errors);
        let errors = errors.trim();
        if self.received || errors.is_empty() {
            return Ok(0);
        }
        let lower = errors.to_lowercase();
        let missing =
            ["not found", "does not appear to be a git repository", "does not exist", "no such project"]
                .iter()
                .any(|phrase| lower.contains(phrase));
        let error = match missing {
            true => GitError::RepositoryNotFound(errors.to_owned()),
            false => GitError::Connection(errors.to_owned()),
        };
        Err(fail(&self.failure, error))
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let message = self.guard.run(self.channel.wait()).map_err(|error| fail(&self.failure, error))?;
            match message {
                Some(ChannelMsg::Data { data }) => {
                    self.received = true;
                    self.allowance.take(data.len()).map_err(|error| fail(&self.failure, error))?;
                    self.chunk = bytes::Bytes::copy_from_slice(&data);
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = MAX_ERRORS.saturating_sub(self.errors.len()).min(data.len());
                    self.errors.extend_from_slice(&data[..room]);
                }
                // The complaints may come after the end of the output.
                Some(ChannelMsg::Eof) => {}
                Some(ChannelMsg::Close) | None => return self.end(),
                Some(_) => {}
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// What the program on the server is told.
pub(crate) struct ChannelWriter {
    channel: ChannelWriteHalf<client::Msg>,
    guard: Guard,
    failure: Failure,
    _link: Arc<Link>,
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.guard.run(self.channel.data(bytes)).map_err(|error| fail(&self.failure, error))?;
        sent.map_err(|error| fail(&self.failure, GitError::Connection(format!("ssh: {error}"))))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fail(failure: &Failure, error: GitError) -> io::Error {
    let text = error.to_string();
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    io::Error::other(text)
}
