//! `fluxide build kustomization`.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use fluxide_goyaml::sigs;
use kube::ResourceExt as _;

use super::local::{Builder, LocalOptions};
use crate::connection::ConnectionOptions;
use crate::parse_bool;

/// What to build, and with which cluster.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    local: LocalOptions,
    /// Ask no cluster.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = parse_bool)]
    dry_run: bool,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// Prints what was built as a stream of YAML documents.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let timeout = options.connection.timeout();
    match tokio::time::timeout(timeout, build(&options)).await {
        Ok(Ok(text)) => print(&text),
        Ok(Err(error)) => Err(error),
        Err(_) => anyhow::bail!("the build took longer than {timeout:?}: raise --timeout"),
    }
}

async fn build(options: &Options) -> anyhow::Result<String> {
    let client = if options.dry_run { None } else { Some(options.connection.client().await?) };
    let builder = Builder::new(&options.local, client)?;
    let local = builder.find(&options.local, &options.connection.namespace, false).await?;
    let own = (local.kustomization.namespace().unwrap_or_default(), local.kustomization.name_any());
    let mut objects = builder.build(&local).await?;
    if options.local.recursive {
        let mut seen = BTreeSet::from([own]);
        let mut waiting = builder.children(&objects, &mut seen).await?;
        while !waiting.is_empty() {
            let mut next = Vec::new();
            for child in waiting {
                let built = builder.build(&child).await?;
                next.extend(builder.children(&built, &mut seen).await?);
                objects.extend(built);
            }
            waiting = next;
        }
    }
    let mut text = String::new();
    for object in objects {
        text.push_str(&sigs::to_yaml(&object.into_value().into())?);
        text.push_str("---\n");
    }
    Ok(text)
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
