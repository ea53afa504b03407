//! `fluxide test`: tries parts of a running setup.

use std::process::ExitCode;

use anyhow::Context;
use fluxide_notification_controller::trial::{self, Trial};
use fluxide_runtime::Key;

/// What to try.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// Send one event through an Alert and say what its provider answered.
    Alert(AlertOptions),
}

/// Which alert, and with what.
#[derive(Debug, clap::Args)]
pub struct AlertOptions {
    /// Name of the Alert.
    name: String,
    /// Namespace of the Alert.
    #[arg(short, long, default_value = "flux-system")]
    namespace: String,
    /// The message of the event.
    #[arg(long, default_value = "This is a test.")]
    message: String,
    /// The severity of the event.
    #[arg(long, default_value = "info", value_parser = ["info", "error"])]
    severity: String,
    /// Metadata of the event, as annotations of an object would give it.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
}

/// Tries it; fails when the provider does not have the message.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let Subject::Alert(options) = options.subject;
    fluxide_runtime::tls::install_provider();
    let client = fluxide_runtime::client::connect("fluxide").await?;
    let alert = Key::new(options.namespace, options.name);
    let trial = Trial {
        message: options.message,
        severity: options.severity,
        metadata: options.metadata.into_iter().collect(),
    };
    let report = trial::run(&client, &alert, &trial).await?;
    for exchange in &report.exchanges {
        let body = exchange.body.lines().next().unwrap_or_default();
        println!("► {} {} answered {} {body}", exchange.method, exchange.server, exchange.status);
    }
    let (provider, kind, elapsed) = (&report.provider, &report.provider_type, report.elapsed);
    match report.result {
        Ok(()) => {
            println!("✔ provider {provider} ({kind}) accepted the message after {} ms", elapsed.as_millis());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("✗ provider {provider} ({kind}) after {} ms: {error}", elapsed.as_millis());
            Ok(ExitCode::FAILURE)
        }
    }
}

fn pair(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').context("it must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
