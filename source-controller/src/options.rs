//! The controller's own flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::PROFILE;
use clap::Parser;
use fluxide_artifact::digest::Algorithm;
use fluxide_artifact::store::StoreError;
use fluxide_git::ssh::SshAlgorithms;
use fluxide_runtime::duration::GoDuration;
use fluxide_runtime::process::ControllerOptions;
use fluxide_runtime::{CommonOptions, Error};

/// The flags of source-controller.
#[derive(Clone, Debug, Parser)]
#[command(about = "Fetches sources and publishes them as artifacts.")]
pub struct Options {
    /// The flags all controllers share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// The local storage path.
    #[arg(long, env = "STORAGE_PATH", default_value = "/data")]
    pub storage_path: PathBuf,
    /// The address the static file server binds to.
    #[arg(long, env = "STORAGE_ADDRESS", default_value = ":9090")]
    pub storage_addr: String,
    /// The advertised address of the static file server.
    #[arg(long, env = "STORAGE_ADV_ADDR", default_value = "")]
    pub storage_adv_addr: String,
    /// The duration of time that artifacts from previous reconciliations will be kept in storage before being garbage collected.
    #[arg(long, default_value = "1m")]
    pub artifact_retention_ttl: GoDuration,
    /// The maximum number of artifacts to be kept in storage after a garbage collection.
    #[arg(long, default_value = "2")]
    pub artifact_retention_records: usize,
    /// The algorithm to use to calculate the digest of artifacts: sha256, sha384, sha512 or blake3.
    #[arg(long, default_value = "sha256")]
    pub artifact_digest_algo: String,
    /// The maximum allowed size in bytes of a Helm repository index file.
    #[arg(long, default_value = "52428800")]
    pub helm_index_max_size: i64,
    /// The maximum allowed size in bytes of a Helm chart file.
    #[arg(long, default_value = "10485760")]
    pub helm_chart_max_size: i64,
    /// The maximum allowed size in bytes of a file in a Helm chart.
    #[arg(long, default_value = "5242880")]
    pub helm_chart_file_max_size: i64,
    /// The maximum size of the cache in number of indexes; 0 turns it off.
    #[arg(long, default_value = "0")]
    pub helm_cache_max_size: usize,
    /// The TTL of an index in the cache.
    #[arg(long, default_value = "15m")]
    pub helm_cache_ttl: GoDuration,
    /// The interval at which the cache is purged.
    #[arg(long, default_value = "1m")]
    pub helm_cache_purge_interval: GoDuration,
    /// The most bytes a Git repository may have, packed or as one object.
    #[arg(long, default_value = "1073741824")]
    pub git_max_size: u64,
    /// The list of key exchange algorithms to use for ssh connections, arranged from most preferred to the least.
    #[arg(long, value_delimiter = ',')]
    pub ssh_kex_algos: Vec<String>,
    /// The list of hostkey algorithms to use for ssh connections, arranged from most preferred to the least.
    #[arg(long, value_delimiter = ',')]
    pub ssh_hostkey_algos: Vec<String>,
}

impl ControllerOptions for Options {
    fn common(&self) -> &CommonOptions {
        &self.common
    }

    fn check(&self) -> Result<(), Error> {
        self.common.check_default_service_accounts(&PROFILE, &[&self.common.default_service_account])?;
        let failed = |name: &str| {
            let name = name.to_owned();
            |error: String| Error::Service { name, error }
        };
        self.ssh_algorithms().check().map_err(|error| failed("git")(error.to_string()))?;
        let storage = failed("artifact storage");
        self.check_storage().map_err(storage)
    }
}

impl Options {
    /// The algorithms for SSH that the flags choose.
    pub(crate) fn ssh_algorithms(&self) -> SshAlgorithms {
        SshAlgorithms { key_exchange: self.ssh_kex_algos.clone(), host_key: self.ssh_hostkey_algos.clone() }
    }

    /// The algorithm of new artifacts' digests.
    pub(crate) fn digest_algorithm(&self) -> Result<Algorithm, String> {
        self.artifact_digest_algo.parse().map_err(|error| format!("--artifact-digest-algo: {error}"))
    }

    fn check_storage(&self) -> Result<(), String> {
        self.digest_algorithm()?;
        self.advertised_address(None)?;
        if !self.storage_path.is_dir() {
            return Err(StoreError::NoRoot(self.storage_path.clone()).to_string());
        }
        Ok(())
    }

    /// The address in artifact URLs: what the flag says, or else where the server listens.
    pub(crate) fn advertised_address(&self, listening: Option<SocketAddr>) -> Result<String, String> {
        if !self.storage_adv_addr.is_empty() {
            return Ok(self.storage_adv_addr.clone());
        }
        let (host, port) = self.storage_addr.rsplit_once(':').ok_or_else(|| {
            let address = &self.storage_addr;
            format!("--storage-addr {address:?} is not host:port")
        })?;
        // Port 0 is one the system chose.
        let port = match (port, listening) {
            ("0", Some(address)) => address.port().to_string(),
            _ => port.to_owned(),
        };
        let host = match host {
            "" => "localhost".to_owned(),
            "0.0.0.0" => std::env::var("HOSTNAME").unwrap_or_else(|_| fluxide_runtime::hostname()),
            host => host.to_owned(),
        };
        Ok(format!("{host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        fluxide_runtime::options::parse_from(&crate::PROFILE, ["source-controller"].iter().chain(arguments))
            .unwrap()
    }

    #[test]
    fn the_advertised_address_defaults_to_the_listening_one() {
        let address = |arguments: &[&str]| {
            let listening = "127.0.0.1:4711".parse().ok();
            options(arguments).advertised_address(listening)
        };
        assert_eq!(address(&[]).unwrap(), "localhost:9090");
        assert_eq!(address(&["--storage-addr=10.0.0.1:80"]).unwrap(), "10.0.0.1:80");
        assert_eq!(address(&["--storage-addr=127.0.0.1:0"]).unwrap(), "127.0.0.1:4711");
        assert_eq!(address(&["--storage-adv-addr", "http://x:1"]).unwrap(), "http://x:1");
        assert!(!address(&["--storage-addr=0.0.0.0:9090"]).unwrap().starts_with("0.0.0.0"));
        assert!(address(&["--storage-addr=9090"]).is_err());
    }

    #[test]
    fn defaults_are_those_of_flux() {
        let options = options(&[]);
        assert_eq!(options.common.concurrent, 2);
        assert_eq!(options.common.requeue_dependency.0.as_secs(), 30);
        assert_eq!(options.storage_path.to_str(), Some("/data"));
        assert_eq!((options.storage_addr.as_str(), options.storage_adv_addr.as_str()), (":9090", ""));
        assert_eq!(options.artifact_retention_records, 2);
        assert_eq!(options.artifact_retention_ttl.0.as_secs(), 60);
        assert_eq!(options.artifact_digest_algo, "sha256");
        assert_eq!(options.helm_index_max_size, 52_428_800);
        assert_eq!(options.helm_chart_max_size, 10_485_760);
        assert_eq!(options.helm_chart_file_max_size, 5_242_880);
        assert_eq!(options.helm_cache_max_size, 0);
        assert_eq!(options.helm_cache_ttl.0.as_secs(), 900);
        assert_eq!(options.helm_cache_purge_interval.0.as_secs(), 60);
        assert!(options.ssh_kex_algos.is_empty() && options.ssh_hostkey_algos.is_empty());
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_before_anything_starts() {
        let directory = tempfile::tempdir().unwrap();
        let path = format!("--storage-path={}", directory.path().display());
        let check = |arguments: &[&str]| {
            let arguments = [&[path.as_str()], arguments].concat();
            options(&arguments).check().map_err(|error| error.to_string())
        };
        for algorithm in ["sha1", "sha256", "sha384", "sha512", "blake3"] {
            check(&[&format!("--artifact-digest-algo={algorithm}")]).unwrap();
        }
        for (flag, part) in [
            ("--artifact-digest-algo=md5", "--artifact-digest-algo"),
            ("--storage-path=/nonexistent", "storage path /nonexistent is not a directory"),
            ("--storage-addr=9090", "is not host:port"),
            ("--ssh-kex-algos=none", "none"),
            ("--ssh-hostkey-algos=none", "none"),
            ("--default-service-account=x", "ObjectLevelWorkloadIdentity is not enabled"),
        ] {
            let error = check(&[flag]).unwrap_err();
            assert!(error.contains(part), "{flag}: {error}");
        }
        check(&["--feature-gates=ObjectLevelWorkloadIdentity=true", "--default-service-account=x"]).unwrap();
        let gates =
            |value: &str| options(&[&format!("--feature-gates={value}")]).common.gates(&crate::PROFILE);
        assert_eq!(gates("OptimizedGitClones=true").unwrap().retired().count(), 1);
        assert_eq!(gates("Nonsense=true").unwrap_err().to_string(), "feature-gate 'Nonsense' not supported");
    }
}
