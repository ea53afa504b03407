//! OpenSSH's server, for one test each.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; ends when dropped.
pub struct Sshd {
    pub port: u16,
    pub directory: tempfile::TempDir,
    child: Child,
}

impl Sshd {
    /// Starts a server that lets the client key in; `settings` are more lines of its configuration. Nothing without an
    /// installed OpenSSH server.
    pub fn start(settings: &str) -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].iter().map(Path::new).find(|p| p.exists())?;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for kind in ["ed25519", "rsa", "ecdsa"] {
            keygen(&path(&format!("host_{kind}")), kind, "");
        }
        keygen(&path("client"), "ed25519", "");
        fs::copy(path("client.pub"), path("authorized_keys")).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        // The system lets the server in only with this directory.
        let _ = fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let here = directory.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nAuthorizedKeysFile {here}/authorized_keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\n\
             HostKey {here}/host_ed25519\nHostKey {here}/host_rsa\nHostKey {here}/host_ecdsa\n{settings}\n"
        );
        fs::write(path("config"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f", path("config").to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Sshd { port, directory, child };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "sshd does not start: {}", server.read("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A `known_hosts` line for one of the host keys.
    pub fn known_hosts(&self, kind: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.read(&format!("host_{kind}.pub")))
    }

    /// Lets another key in.
    pub fn authorize(&self, name: &str) {
        let keys = self.read("authorized_keys") + &self.read(&format!("{name}.pub"));
        fs::write(self.path("authorized_keys"), keys).unwrap();
    }

    pub fn url(&self, repository: &Path) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, repository.display())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key pair.
pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}
