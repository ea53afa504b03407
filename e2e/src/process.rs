//! Controllers as processes of their own: killed without warning, limited, measured.

use std::ffi::{OsStr, OsString};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context;
use clap::Parser;
use fluxide::dev::controllers::{self, NAMES};

/// The `main` of the controller with this name, or of the API server.
///
/// The name is an argument of the process; the controller does not see it.
pub fn named(name: Option<&str>) -> Option<fn() -> ExitCode> {
    macro_rules! main {
        ($module:ident) => {
            || {
                let flags = std::env::args_os().skip(2);
                let arguments = std::iter::once(OsString::from($module::PROFILE.name)).chain(flags);
                fluxide_runtime::process::main_with(&$module::PROFILE, arguments, $module::run)
            }
        };
    }
    Some(match name? {
        "source-controller" => main!(fluxide_source_controller),
        "kustomize-controller" => main!(fluxide_kustomize_controller),
        "helm-controller" => main!(fluxide_helm_controller),
        "notification-controller" => main!(fluxide_notification_controller),
        "image-automation-controller" => main!(fluxide_image_automation_controller),
        API_SERVER => api_server,
        _ => return None,
    })
}

/// The name under which the program of the controllers is the embedded API server: `apiserver DIR PORT`.
const API_SERVER: &str = "apiserver";

/// `fluxide apiserver` with its state and its kubeconfig in a directory.
fn api_server() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let directory = PathBuf::from(arguments.next().unwrap_or_default());
    let port = arguments.next().unwrap_or_default();
    let (state, kubeconfig) = (directory.join("state"), directory.join("kubeconfig"));
    let mut line: Vec<OsString> = ["fluxide", "apiserver", "--port", &port].map(OsString::from).into();
    line.extend(["--state".into(), state.into(), "--kubeconfig".into(), kubeconfig.into()]);
    fluxide::run(fluxide::Arguments::parse_from(line)).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Starts the embedded API server as a process that keeps its state and its kubeconfig in `directory`, and waits until
/// it serves.
pub fn start_api_server(program: &Path, directory: &Path, port: u16) -> anyhow::Result<Process> {
    let mut child = Command::new(program)
        .arg(API_SERVER)
        .arg(directory)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the API server")?;
    let mut line = String::new();
    let output = child.stdout.take().context("no standard output")?;
    std::io::BufReader::new(output).read_line(&mut line)?;
    anyhow::ensure!(!line.is_empty(), "the API server ended at once: {:?}", child.wait()?);
    Ok(Process { name: API_SERVER.to_owned(), child })
}

/// Where the controllers are.
enum Programs {
    /// One program is all of them (built from `src/bin/controller.rs`); it is told which.
    One(PathBuf),
    /// Each is the program of its name in this directory, as they are shipped.
    Each(PathBuf),
}

/// Runs controllers as processes: which program, which cluster, which namespace.
pub struct Launcher {
    programs: Programs,
    kubeconfig: PathBuf,
    namespace: Option<String>,
    flags: [Vec<OsString>; 5],
    log_directory: PathBuf,
    largest_file: Option<u64>,
}

impl Launcher {
    /// A launcher of `program` (built from `src/bin/controller.rs`). Controllers keep their files below `home` and watch
    /// `namespace`, or everything.
    pub fn new(
        program: &Path,
        home: &Path,
        kubeconfig: &Path,
        namespace: Option<&str>,
    ) -> anyhow::Result<Self> {
        Self::of(Programs::One(program.to_owned()), home, kubeconfig, namespace)
    }

    /// The same for the controllers as they are shipped, each the program of its name in a directory.
    pub fn shipped(
        directory: &Path,
        home: &Path,
        kubeconfig: &Path,
        namespace: Option<&str>,
    ) -> anyhow::Result<Self> {
        for name in NAMES {
            let program = directory.join(name);
            anyhow::ensure!(
                program.exists(),
                "{} is missing: cargo build --release --bins",
                program.display()
            );
        }
        Self::of(Programs::Each(directory.to_owned()), home, kubeconfig, namespace)
    }

    fn of(
        programs: Programs,
        home: &Path,
        kubeconfig: &Path,
        namespace: Option<&str>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(home)?;
        Ok(Self {
            programs,
            kubeconfig: kubeconfig.to_owned(),
            namespace: namespace.map(str::to_owned),
            flags: controllers::flags(home)?,
            log_directory: home.to_owned(),
            largest_file: None,
        })
    }

    /// The value of a flag that the controller `name` is started with.
    pub fn flag(&self, name: &str, flag: &str) -> anyhow::Result<&str> {
        let index = NAMES.iter().position(|known| *known == name).with_context(|| format!("no {name}"))?;
        let mut values = self.flags[index]
            .iter()
            .filter_map(|given| given.to_str()?.strip_prefix(flag)?.strip_prefix('='));
        values.next_back().with_context(|| format!("{name} is started without {flag}"))
    }

    /// Makes writes fail in processes started from now on once a file would exceed this many KiB, like a full disk does.
    pub fn limit_files(&mut self, kibibytes: Option<u64>) {
        self.largest_file = kibibytes;
    }

    /// Starts the controller `name`, with further flags.
    pub fn start(&self, name: &str, more: &[&str]) -> anyhow::Result<Process> {
        let index = NAMES.iter().position(|known| *known == name).with_context(|| format!("no {name}"))?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_directory.join(format!("{name}.log")))?;
        let mut command = self.command(name);
        command
            .args(&self.flags[index])
            .args(["--metrics-addr=0", "--health-addr=0"])
            .args(more)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUNTIME_NAMESPACE", self.namespace.as_deref().unwrap_or("flux-system"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if self.namespace.is_some() {
            command.arg("--watch-all-namespaces=false");
        }
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name: name.to_owned(), child })
    }

    fn command(&self, name: &str) -> Command {
        let (program, first) = match &self.programs {
            Programs::One(program) => (program.clone(), Some(name)),
            Programs::Each(directory) => (directory.join(name), None),
        };
        let mut command = match self.largest_file {
            None => Command::new(program),
            // A write beyond the limit fails with an error instead of ending the process when the signal is ignored.
            Some(kibibytes) => {
                let mut shell = Command::new("sh");
                let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
                shell.arg("-c").arg(limit).arg(program);
                shell
            }
        };
        command.args(first);
        command
    }
}

/// A controller that runs; dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time in seconds, user and system.
    pub cpu_seconds: f64,
    /// Resident memory now, in KiB.
    pub resident_kib: u64,
    /// Resident memory at its highest, in KiB.
    pub peak_kib: u64,
}

impl Process {
    /// The controller's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it without warning, as `kill -9` and a lost node do.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub fn terminate(mut self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args([OsStr::new("-TERM"), OsStr::new(&id)]).status()?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// What it has used, from `/proc`.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let directory = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(directory.join("status"))?;
        let kib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let stat = std::fs::read_to_string(directory.join("stat"))?;
        let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat without a name")?;
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Usage { cpu_seconds: ticks as f64 / 100.0, resident_kib: kib("VmRSS:"), peak_kib: kib("VmHWM:") })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
