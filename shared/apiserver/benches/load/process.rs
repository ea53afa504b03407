//! The embedded server as a process, and what a process takes.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::Error;

/// This program run again as the server; killed with this value.
pub struct Embedded {
    process: Child,
    home: tempfile::TempDir,
}

impl Embedded {
    /// Starts it and waits until it serves.
    pub async fn start() -> Result<Self, Error> {
        let home = tempfile::tempdir()?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg("--kubeconfig")
            .arg(home.path().join("kubeconfig"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let ready = BufReader::new(output).lines().next_line().await?;
        ready.ok_or("the server did not start")?;
        Ok(Self { process, home })
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> std::io::Result<String> {
        std::fs::read_to_string(self.home.path().join("kubeconfig"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }
}

/// What processes take together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Resident memory.
    pub resident_mib: f64,
    /// The most it ever was.
    pub peak_mib: f64,
    /// Processor time so far.
    pub cpu_seconds: f64,
}

/// Reads it from /proc; processes that are not there take nothing.
pub fn usage(pids: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for pid in pids {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mebibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default()
                / 1024.0
        };
        sum.resident_mib += mebibytes("VmRSS:");
        sum.peak_mib += mebibytes("VmHWM:");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold spaces, in hundredths of a second.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        sum.cpu_seconds += ticks / 100.0;
    }
    sum
}
