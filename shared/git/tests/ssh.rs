//! Checkouts from OpenSSH's own server.

mod support;

use std::fs;
use std::process::Command;

use fluxide_git::ssh::{SshAlgorithms, SshCredentials, SshCredentialsError};
use fluxide_git::{Auth, Checkout, CheckoutOptions, GitError, Reference, Remote, checkout};
use support::Repositories;
use support::sshd::{Sshd, keygen};

/// The server, or an end of the test where there is none to be had.
macro_rules! server {
    ($settings:expr) => {
        match Sshd::start($settings) {
            Some(server) => server,
            None => {
                assert!(std::env::var_os("CI").is_none(), "install openssh-server");
                eprintln!("openssh-server is not installed");
                return;
            }
        }
    };
}

fn remote(server: &Sshd, repository: &std::path::Path, key: &str, known_hosts: &str) -> Remote {
    let mut remote = Remote::new(&server.url(repository)).unwrap();
    remote.auth = Auth::Ssh(
        SshCredentials::new(&server.read(key), None, known_hosts).unwrap_or_else(|e| panic!("{key}: {e}")),
    );
    remote
}

async fn fetch(remote: &Remote) -> Result<String, GitError> {
    let directory = tempfile::tempdir().unwrap();
    let main = Reference::Branch("main".to_owned());
    match checkout(remote, &main, &CheckoutOptions::default(), directory.path()).await? {
        Checkout::Done(commit) => {
            assert!(directory.path().join("file").exists());
            Ok(commit.hash)
        }
        Checkout::Unchanged(_) => panic!("nothing was known"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_hosts_of_all_kinds() {
    let server = server!("");
    let repositories = Repositories::new();
    let repository = repositories.create("it's app!.git");
    repository.write("file", &"content\n".repeat(100_000));
    let hash = repository.commit("first");

    for kind in ["ed25519", "rsa", "ecdsa"] {
        let name = format!("client_{kind}");
        keygen(&server.path(&name), kind, "");
        server.authorize(&name);
        for host in ["ed25519", "rsa", "ecdsa"] {
            let remote = remote(&server, &repository.path, &name, &server.known_hosts(host));
            assert_eq!(fetch(&remote).await.unwrap(), hash, "{kind} key, {host} host");
        }
    }
    // Hashed by OpenSSH itself.
    fs::write(server.path("hosts"), server.known_hosts("ed25519")).unwrap();
    let hashed =
        Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(server.path("hosts")).status().unwrap();
    assert!(hashed.success());
    let hosts = server.read("hosts");
    assert!(hosts.starts_with("|1|"), "{hosts}");
    assert_eq!(fetch(&remote(&server, &repository.path, "client", &hosts)).await.unwrap(), hash);

    // Nothing moved: nothing is fetched.
    let remote = remote(&server, &repository.path, "client", &hosts);
    let options = CheckoutOptions { known_revision: Some(format!("main@sha1:{hash}")), ..Default::default() };
    let directory = tempfile::tempdir().unwrap();
    let main = Reference::Branch("main".to_owned());
    let unchanged = checkout(&remote, &main, &options, directory.path()).await.unwrap();
    assert!(matches!(unchanged, Checkout::Unchanged(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_protocol_works_too() {
    // Without AcceptEnv the server does not learn of version 2.
    let server = server!("Match all\nSetEnv GIT_PROTOCOL=");
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    repository.write("file", "x");
    let hash = repository.commit("first");
    let remote = remote(&server, &repository.path, "client", &server.known_hosts("ed25519"));
    assert_eq!(fetch(&remote).await.unwrap(), hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused() {
    let server = server!("");
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    repository.write("file", "x");
    repository.commit("first");
    keygen(&server.path("other"), "ed25519", "");
    let text = async |key: &str, hosts: &str| {
        fetch(&remote(&server, &repository.path, key, hosts)).await.unwrap_err().to_string()
    };
    let stranger = format!("[127.0.0.1]:{} {}", server.port, server.read("other.pub"));
    assert_eq!(text("client", &stranger).await, "ssh: handshake failed: knownhosts: key mismatch");
    let nobody = server.known_hosts("ed25519").replace("127.0.0.1", "10.0.0.1");
    assert_eq!(text("client", &nobody).await, "ssh: handshake failed: knownhosts: key is unknown");
    let hosts = server.known_hosts("ed25519");
    let revoked = format!("{hosts}\n@revoked * {}", server.read("host_ed25519.pub"));
    assert_eq!(text("client", &revoked).await, "ssh: handshake failed: knownhosts: key is revoked");
    let denied = text("other", &hosts).await;
    assert!(denied.contains("unable to authenticate"), "{denied}");

    let missing = remote(&server, &repositories.root.path().join("absent.git"), "client", &hosts);
    let error = fetch(&missing).await.unwrap_err();
    assert!(matches!(error, GitError::RepositoryNotFound(_)), "{error}");
    let mut nowhere = Remote::new("ssh://git@127.0.0.1:9/app.git").unwrap();
    nowhere.auth = Auth::Ssh(SshCredentials::new(&server.read("client"), None, &hosts).unwrap());
    let refused = fetch(&nowhere).await.unwrap_err().to_string();
    assert_eq!(refused, "dial tcp 127.0.0.1:9: connect: connection refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrases() {
    let server = server!("");
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    repository.write("file", "x");
    let hash = repository.commit("first");
    keygen(&server.path("locked"), "ed25519", "sesame");
    server.authorize("locked");
    let hosts = server.known_hosts("ed25519");
    let credentials = |passphrase| SshCredentials::new(&server.read("locked"), passphrase, &hosts);
    assert!(matches!(credentials(None).err(), Some(SshCredentialsError::PassphraseNeeded)));
    let wrong = credentials(Some("wrong")).err().unwrap().to_string();
    assert!(!wrong.contains("wrong"), "{wrong}");
    let mut remote = Remote::new(&server.url(&repository.path)).unwrap();
    remote.auth = Auth::Ssh(credentials(Some("sesame")).unwrap());
    assert_eq!(fetch(&remote).await.unwrap(), hash);
    assert!(SshCredentials::new("nonsense", None, &hosts).is_err());
    assert!(SshCredentials::new(&server.read("client"), None, "nonsense").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_and_chosen_algorithms() {
    let authority = tempfile::tempdir().unwrap();
    keygen(&authority.path().join("ca"), "ed25519", "");
    let server = server!("");
    let sign = |principal: &str| {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(authority.path().join("ca"))
            .args(["-h", "-I", "host", "-n", principal])
            .arg(server.path("host_ed25519.pub"))
            .status()
            .unwrap();
        assert!(status.success());
    };
    sign("127.0.0.1");
    let certificate = server.path("host_ed25519-cert.pub");
    let certified = server!(&format!(
        "HostKey {}\nHostCertificate {}",
        server.path("host_ed25519").display(),
        certificate.display()
    ));
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    repository.write("file", "x");
    let hash = repository.commit("first");
    let ca = fs::read_to_string(authority.path().join("ca.pub")).unwrap();
    let hosts = format!("@cert-authority [127.0.0.1]:* {ca}");
    let mut remote = remote(&certified, &repository.path, "client", &hosts);
    assert_eq!(fetch(&remote).await.unwrap(), hash);

    remote.auth = Auth::Ssh(
        SshCredentials::new(&certified.read("client"), None, &certified.known_hosts("rsa")).unwrap(),
    );
    remote.ssh_algorithms = SshAlgorithms {
        key_exchange: vec!["curve25519-sha256".to_owned()],
        host_key: vec!["rsa-sha2-256".to_owned()],
    };
    assert_eq!(fetch(&remote).await.unwrap(), hash);
    remote.ssh_algorithms.host_key = vec!["ssh-ed25519".to_owned()];
    assert!(fetch(&remote).await.unwrap_err().to_string().contains("mismatch"));
    remote.ssh_algorithms.host_key = vec!["rot13".to_owned()];
    assert!(matches!(fetch(&remote).await, Err(GitError::Settings(_))));
}

/// A proxy for one kind of protocol that wants a password; gives its address and notes where it leads to.
async fn proxy(scheme: &'static str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("{scheme}://flux:p%40ss@{}", listener.local_addr().unwrap());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let targets = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let targets = targets.clone();
            tokio::spawn(async move {
                let target = if scheme == "http" {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        head.push(char::from(client.read_u8().await.unwrap()));
                    }
                    assert!(head.contains(&support::basic("flux", "p@ss")), "{head}");
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    head.split(' ').nth(1).unwrap().to_owned()
                } else {
                    let mut hello = [0; 4];
                    client.read_exact(&mut hello).await.unwrap();
                    assert_eq!(hello, [5, 2, 0, 2]);
                    client.write_all(&[5, 2]).await.unwrap();
                    let mut login = [0; 11];
                    client.read_exact(&mut login).await.unwrap();
                    assert_eq!(&login, b"\x01\x04flux\x04p@ss");
                    client.write_all(&[1, 0]).await.unwrap();
                    let mut request = [0; 10];
                    client.read_exact(&mut request).await.unwrap();
                    assert_eq!(request[..4], [5, 1, 0, 1]);
                    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                    let port = u16::from_be_bytes([request[8], request[9]]);
                    format!("{}.{}.{}.{}:{port}", request[4], request[5], request[6], request[7])
                };
                targets.lock().unwrap().push(target.clone());
                let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_lead_to_the_server() {
    let server = server!("");
    let repositories = Repositories::new();
    let repository = repositories.create("app.git");
    repository.write("file", "x");
    let commit = repository.commit("first");
    for scheme in ["socks5", "http"] {
        let (address, seen) = proxy(scheme).await;
        let mut remote = remote(&server, &repository.path, "client", &server.known_hosts("ed25519"));
        remote.proxy = Some(fluxide_git::Proxy { address, credentials: None });
        assert_eq!(fetch(&remote).await.unwrap(), commit);
        assert_eq!(*seen.lock().unwrap(), [format!("127.0.0.1:{}", server.port)]);
    }
    let mut remote = remote(&server, &repository.path, "client", &server.known_hosts("ed25519"));
    let mut through = async |address: &str| {
        remote.proxy = Some(fluxide_git::Proxy { address: address.to_owned(), credentials: None });
        fetch(&remote).await.unwrap_err().to_string()
    };
    assert_eq!(
        through("https://127.0.0.1:9").await,
        "cannot use proxy: scheme 'https' is not supported for ssh: use socks5 or http"
    );
    let gone = through("socks5://user:secret@127.0.0.1:9").await;
    assert!(gone.starts_with("proxy 127.0.0.1: Connection refused"), "{gone}");
}
