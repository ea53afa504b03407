//! Loads the API server the way a busy cluster does, and prints how it kept up.
//!
//! ```sh
//! cargo bench -p fluxide-apiserver --bench load
//! cargo bench -p fluxide-apiserver --bench load -- --kubeconfig FILE --pid KUBE_APISERVER_PID --pid ETCD_PID
//! ```
//!
//! The load: 20,000 ConfigMaps of 4 kB in 100 namespaces, 1,000 watches, and 500 writes a second for a minute. Of the
//! watches, 4 follow everything, 96 a label over all namespaces, and the others a namespace each. Every watch counts what
//! it was shown, so that a lost or repeated event fails the run. The server is a process of its own. With a kubeconfig the
//! same load then goes to that server, and both are printed side by side.

mod client;
mod load;
mod process;

use std::path::PathBuf;

use clap::Parser;
use fluxide_apiserver::command;

use client::{Error, Target};
use load::{Figures, Load};
use process::Embedded;

/// What to load, and how much.
#[derive(Parser)]
struct Arguments {
    /// Load the server of this kubeconfig too, after the embedded one; the user needs a token.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A process of that server, for its memory and processor time. May be repeated.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Leave out the embedded server.
    #[arg(long, requires = "kubeconfig")]
    only_kubeconfig: bool,
    /// How many objects.
    #[arg(long, default_value_t = 20_000)]
    objects: usize,
    /// How many watches.
    #[arg(long, default_value_t = 1000)]
    watches: usize,
    /// How many writes a second.
    #[arg(long, default_value_t = 500)]
    writes: u64,
    /// How long to write, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run the server alone, as the benchmark's own process of it.
    #[arg(long, hide = true)]
    serve: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    if arguments.serve {
        let options = command::Options { kubeconfig: arguments.kubeconfig, ..command::Options::default() };
        return Ok(command::run(options).await?);
    }
    let Arguments { objects, watches, writes, seconds, .. } = arguments;
    let load = Load { objects, watches, writes_per_second: writes, seconds };
    println!(
        "{objects} objects of {} bytes, {watches} watches, {writes} writes/s for {seconds} s",
        load::OBJECT_BYTES
    );
    let mut columns = Vec::new();
    if !arguments.only_kubeconfig {
        let server = Embedded::start().await?;
        let target = Target::of_kubeconfig(&server.kubeconfig()?)?;
        columns.push(("embedded", load.run(target, &[server.pid()]).await?));
        print(&columns);
    }
    if let Some(path) = &arguments.kubeconfig {
        let target = Target::of_kubeconfig(&std::fs::read_to_string(path)?)?;
        columns.push(("kubeconfig", load.run(target, &arguments.pid).await?));
        print(&columns);
    }
    match columns.iter().find(|(_, figures)| !figures.complete()) {
        Some((name, _)) => {
            Err(format!("{name}: some watches did not see every event once and in order").into())
        }
        None => Ok(()),
    }
}

/// A line for each figure, with the ratio of the second server to the first.
fn print(columns: &[(&str, Figures)]) {
    print!("{:<44}", "");
    for (name, _) in columns {
        print!("{name:>14}");
    }
    println!("{}", if columns.len() == 2 { "         ratio" } else { "" });
    let Some((_, first)) = columns.first() else { return };
    for (row, (label, _)) in first.rows().iter().enumerate() {
        print!("{label:<44}");
        let values: Vec<f64> = columns.iter().map(|(_, figures)| figures.rows()[row].1).collect();
        for value in &values {
            print!("{value:>14.1}");
        }
        match values.as_slice() {
            [one, other] if *one > 0.0 => println!("{:>14.2}", other / one),
            _ => println!(),
        }
    }
}
