//! The process of a controller: flags, logs, signals, exit codes. A controller's `main` is one call.

use crate::{
    client,
    log::{self, Encoding, LogLayer},
    manager,
    options::{self, CommonOptions, Profile},
    scratch::Scratch,
    throttle,
    traces::{self, Traces},
};
use clap::Parser;
use kube::Client;
use std::{ffi::OsString, future::Future, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{filter::filter_fn, prelude::*};

/// The command line of one controller: the flags of all and its own.
pub trait ControllerOptions: Parser {
    /// The flags that every controller has.
    fn common(&self) -> &CommonOptions;

    /// Whether its own flags are valid and go together. It is asked before anything else happens.
    fn check(&self) -> Result<(), manager::Error>;
}

/// Runs a controller until it is told to end.
///
/// Reads the flags, installs the log and, if asked for, traces, connects to the cluster and calls
/// `run`. The token it gets is cancelled by SIGTERM or SIGINT; a second signal ends at once.
/// Exit codes: 0 after a graceful end, 1 after a failure, 2 for wrong flags.
pub fn main<O, F, R>(profile: &Profile, run: F) -> ExitCode
where
    O: ControllerOptions,
    F: FnOnce(O, Client, CancellationToken) -> R,
    R: Future<Output = Result<(), manager::Error>>,
{
    main_with(profile, std::env::args_os(), run)
}

/// As [`main`], with a command line of the caller's; its first argument is the program's name.
pub fn main_with<O, F, R>(
    profile: &Profile,
    arguments: impl IntoIterator<Item = OsString>,
    run: F,
) -> ExitCode
where
    O: ControllerOptions,
    F: FnOnce(O, Client, CancellationToken) -> R,
    R: Future<Output = Result<(), manager::Error>>,
{
    let options: O = match options::parse_from(profile, arguments) {
        Ok(options) => options,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("unable to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let traces = match install(profile, options.common()) {
            Ok(traces) => traces,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        for (flag, value, known) in [
            ("--log-encoding", &options.common().log_encoding, &options::LOG_ENCODINGS[..]),
            ("--log-level", &options.common().log_level, &options::LOG_LEVELS[..]),
        ] {
            // Manifests that Flux accepts must not stop a controller.
            if !known.contains(&value.as_str()) {
                tracing::info!(logger = "setup", flag, value, using = known[0], "unknown value of a flag");
            }
        }
        let limits = (options.common().kube_api_qps, options.common().kube_api_burst);
        let checked =
            options.common().check(profile).map_err(manager::Error::from).and_then(|()| options.check());
        // Outlives the controller, and goes away before the process ends.
        let scratch = match Scratch::install(profile.name) {
            Ok(scratch) => scratch,
            Err(error) => {
                tracing::error!(logger = "setup", error = %error, "unable to create the directory for temporary files");
                return ExitCode::FAILURE;
            }
        };
        let ended = match checked {
            Ok(()) => controlled(profile, limits, options, run).await,
            Err(error) => Err(error),
        };
        let code = match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(logger = "setup", error = %error, "problem running manager");
                ExitCode::FAILURE
            }
        };
        drop(scratch);
        if let Some(traces) = traces {
            traces.shutdown().await;
        }
        code
    });
    // Blocking work that is still running must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn controlled<O, F, R>(
    profile: &Profile,
    (rate, burst): (f64, u32),
    options: O,
    run: F,
) -> Result<(), manager::Error>
where
    F: FnOnce(O, Client, CancellationToken) -> R,
    R: Future<Output = Result<(), manager::Error>>,
{
    let shutdown = CancellationToken::new();
    tokio::spawn(signals(shutdown.clone()));
    let client = client::connect(profile.name).await?;
    let client = if client::has_priority_and_fairness(&client).await {
        client
    } else {
        throttle::throttled(client, rate, burst)
    };
    run(options, client, shutdown).await
}

/// Cancels the token at the first signal, ends the process at the second.
async fn signals(shutdown: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut received = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    received().await;
    shutdown.cancel();
    received().await;
    std::process::exit(1);
}

/// Installs the log and traces of this process.
fn install(profile: &Profile, options: &CommonOptions) -> Result<Option<Traces>, traces::Error> {
    let encoding = if options.log_encoding == "console" { Encoding::Console } else { Encoding::Json };
    let level = options.log_level.clone();
    let log = LogLayer::new(encoding, log::to_stderr)
        .with_filter(filter_fn(move |metadata| log::enabled(&level, metadata)));
    let (traces, tracer) = if options.otlp_endpoint.is_empty() {
        (None, None)
    } else {
        let (traces, tracer) = traces::start(profile.name, &options.otlp_endpoint)?;
        (Some(traces), Some(tracer))
    };
    let otlp = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(filter_fn(|metadata| log::enabled("info", metadata)))
    });
    tracing_subscriber::registry().with(log).with(otlp).init();
    Ok(traces)
}
