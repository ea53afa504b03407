//! The flags of image-automation-controller, which is both of Flux's image controllers.

use clap::{ArgAction, Parser, ValueEnum};
use fluxide_runtime::{CommonOptions, Error, Profile, process::ControllerOptions};

/// What image-automation-controller is before any flag is read.
pub const PROFILE: Profile = Profile {
    feature_gates: &[
        ("FluxStorage", false),
        ("GitAllBranchReferences", true),
        ("GitForcePushBranch", true),
        ("GitShallowClone", true),
        ("GitSparseCheckout", false),
    ],
    ..Profile::new("image-automation-controller")
};

/// Which of the two image controllers a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Controllers {
    /// Both.
    All,
    /// Scans registries and selects tags: ImageRepository and ImagePolicy.
    Reflector,
    /// Writes tags to Git: ImageUpdateAutomation.
    Automation,
}

/// The flags of image-automation-controller.
#[derive(Parser, Clone, Debug)]
pub struct Options {
    /// The flags all controllers share.
    #[command(flatten)]
    pub common: CommonOptions,
    /// Which of the image controllers this process is.
    #[arg(long, value_enum, default_value = "all")]
    pub controllers: Controllers,
    /// Where to store the database of image metadata.
    #[arg(long, env = "STORAGE_PATH", default_value = "/data")]
    pub storage_path: String,
    /// Has no meaning here; accepted because manifests set it.
    #[arg(long, hide = true)]
    pub storage_value_log_file_size: Option<u64>,
    /// Has no meaning here; accepted because manifests set it.
    #[arg(long, hide = true)]
    pub storage_compression_threshold: Option<u64>,
    /// The number of minutes between garbage collections of the database; 0 turns them off.
    #[arg(long, default_value = "10")]
    pub gc_interval: u16,
    /// The key exchange algorithms of SSH connections, by preference.
    #[arg(long, action = ArgAction::Append, value_delimiter = ',')]
    pub ssh_kex_algos: Vec<String>,
    /// The host key algorithms of SSH connections, by preference.
    #[arg(long, action = ArgAction::Append, value_delimiter = ',')]
    pub ssh_hostkey_algos: Vec<String>,
}

impl ControllerOptions for Options {
    fn common(&self) -> &CommonOptions {
        &self.common
    }

    fn check(&self) -> Result<(), Error> {
        let ignored = [
            ("--storage-value-log-file-size", self.storage_value_log_file_size),
            ("--storage-compression-threshold", self.storage_compression_threshold),
        ];
        for (flag, value) in ignored {
            if value.is_some() {
                tracing::warn!(logger = "setup", flag, "flag is ignored");
            }
        }
        Ok(self.common.check_default_service_accounts(&PROFILE, &[&self.common.default_service_account])?)
    }
}

impl Options {
    /// The profile under the name of the controller that was chosen, which names the Lease and the
    /// owner of fields.
    pub fn profile(&self) -> Profile {
        Profile {
            name: match self.controllers {
                Controllers::Reflector => "image-reflector-controller",
                Controllers::All | Controllers::Automation => PROFILE.name,
            },
            ..PROFILE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        let arguments = std::iter::once("image-automation-controller").chain(arguments.iter().copied());
        fluxide_runtime::options::parse_from(&PROFILE, arguments).unwrap()
    }

    #[test]
    fn both_image_controllers_flags_parse() {
        let options = parse(&[
            "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--storage-path=/data",
            "--storage-value-log-file-size=1024",
            "--storage-compression-threshold=64",
            "--gc-interval=0",
            "--ssh-kex-algos=curve25519-sha256,ecdh-sha2-nistp256",
            "--ssh-hostkey-algos=ssh-ed25519",
            "--feature-gates=GitForcePushBranch=false",
        ]);
        assert_eq!(options.ssh_kex_algos.len(), 2);
        assert_eq!(options.gc_interval, 0);
        let gates = options.common.gates(&PROFILE).unwrap();
        assert!(!gates.enabled("GitForcePushBranch") && gates.enabled("GitShallowClone"));
    }

    #[test]
    fn each_half_has_the_name_of_the_controller_it_stands_for() {
        let name = |controllers: &str| parse(&[&format!("--controllers={controllers}")]).profile().name;
        assert_eq!(name("reflector"), "image-reflector-controller");
        assert_eq!(name("automation"), "image-automation-controller");
        assert_eq!(parse(&[]).profile().name, "image-automation-controller");
    }
}
