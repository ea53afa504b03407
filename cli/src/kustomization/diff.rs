//! `fluxide diff kustomization`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use fluxide_apply::apply::Action;
use fluxide_apply::cluster::Cluster;
use fluxide_apply::preview::{self, Preview};
use fluxide_apply::{Entry, Object, ObjectId, inventory, normalize, order};
use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_controller::reconciler::FIELD_MANAGER;
use fluxide_kustomize_controller::{ignore_rules, owner};
use kube::ResourceExt as _;
use serde_json::Value;

use super::local::{Builder, Local, LocalOptions, is_kustomization};
use super::{mask, report};
use crate::connection::ConnectionOptions;
use crate::parse_bool;

/// The exit code when the differences cannot be found out.
const FAILURE: u8 = 2;

/// What to compare with which cluster.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    local: LocalOptions,
    /// With --kustomization-file: the Kustomization need not be in the cluster yet.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = parse_bool)]
    ignore_not_found: bool,
    /// Accepted for flux's sake: there is no progress bar.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = parse_bool, hide = true)]
    progress_bar: Option<bool>,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// Prints what would change.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let timeout = options.connection.timeout();
    let found = match tokio::time::timeout(timeout, compare(&options)).await {
        Ok(found) => found,
        Err(_) => Err(anyhow::anyhow!("the comparison took longer than {timeout:?}: raise --timeout")),
    };
    match found {
        Ok(differences) => {
            print!("{}", differences.text);
            if !differences.errors.is_empty() {
                eprintln!("✗ {}", differences.errors.join("\n"));
                return Ok(ExitCode::from(FAILURE));
            }
            if differences.has_changes {
                eprintln!("⚠️ identified at least one change, exiting with non-zero exit code");
                return Ok(ExitCode::FAILURE);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("✗ {}", crate::message(&error));
            Ok(ExitCode::from(FAILURE))
        }
    }
}

/// What was found.
#[derive(Default)]
struct Differences {
    text: String,
    has_changes: bool,
    errors: Vec<String>,
}

async fn compare(options: &Options) -> anyhow::Result<Differences> {
    let client = options.connection.client().await?;
    let cluster = Cluster::new(client.clone());
    let builder = Builder::new(&options.local, Some(client))?;
    let local = builder.find(&options.local, &options.connection.namespace, options.ignore_not_found).await?;
    let own = (local.kustomization.namespace().unwrap_or_default(), local.kustomization.name_any());
    let mut comparison = Comparison {
        builder: &builder,
        cluster: &cluster,
        recursive: options.local.recursive,
        seen: BTreeSet::from([own]),
    };
    comparison.kustomization(&local).await
}

struct Comparison<'a> {
    builder: &'a Builder,
    cluster: &'a Cluster,
    recursive: bool,
    seen: BTreeSet<(String, String)>,
}

impl Comparison<'_> {
    async fn kustomization(&mut self, local: &Local) -> anyhow::Result<Differences> {
        let kustomization = &local.kustomization;
        let objects = self.builder.build(local).await?;
        let options = preview::Options {
            owner: owner(kustomization),
            field_manager: FIELD_MANAGER.to_owned(),
            force: kustomization.spec.force,
            ignore: ignore_rules(kustomization)?,
        };
        let mut found = Differences::default();
        let mut entries = Vec::new();
        for object in objects {
            let mut payload = object.clone();
            normalize::normalize(&mut payload);
            let previewed = match preview::preview(self.cluster, payload, &options).await {
                Ok(previewed) => previewed,
                Err(error) => {
                    found.errors.push(error.to_string());
                    continue;
                }
            };
            found.add(&object, &previewed);
            let is_new = previewed.action == Action::Created;
            entries.push(previewed.entry);
            if self.recursive && is_kustomization(&object) && !is_new {
                self.child(&object, &mut found).await;
            }
        }
        if kustomization.spec.prune && found.errors.is_empty() {
            found.add_stale(kustomization, &entries)?;
        }
        Ok(found)
    }

    /// Goes on with a Kustomization among the objects.
    async fn child(&mut self, object: &Object, found: &mut Differences) {
        let subject = object.subject();
        let children = match self.builder.children(std::slice::from_ref(object), &mut self.seen).await {
            Ok(children) => children,
            Err(error) => {
                found.errors.push(crate::message(&error));
                return;
            }
        };
        for child in children {
            if child.kustomization.spec.kube_config.is_some() {
                let line = format!("⚠️ {subject} skipped: diff not supported for remote clusters\n");
                found.text.push_str(&line);
                continue;
            }
            match Box::pin(self.kustomization(&child)).await {
                Ok(inner) => {
                    if inner.has_changes {
                        found.has_changes = true;
                        found.text.push_str(&format!("📁 {subject} changed\n"));
                        found.text.push_str(&inner.text);
                    }
                    found.errors.extend(inner.errors);
                }
                Err(error) => found.errors.push(crate::message(&error)),
            }
        }
    }
}

impl Differences {
    fn add(&mut self, object: &Object, previewed: &Preview) {
        let subject = previewed.entry.id.subject();
        match (previewed.action, &previewed.change) {
            (Action::Skipped, _) => self.text.push_str(&format!("► {subject} skipped\n")),
            (Action::Created, _) => {
                self.has_changes = true;
                self.text.push_str(&format!("► {subject} created\n"));
            }
            (Action::Configured, Some((live, merged))) => {
                if mask::is_masked(object) && keys(live) == keys(merged) {
                    return;
                }
                self.has_changes = true;
                self.text.push_str(&format!("► {subject} drifted\n"));
                let value = |object: &Object| Value::Object(object.fields().clone());
                self.text.push_str(&report::report(&value(live), &value(merged)));
            }
            _ => {}
        }
    }

    /// Adds what would be pruned.
    fn add_stale(&mut self, kustomization: &Kustomization, entries: &[Entry]) -> anyhow::Result<()> {
        let recorded = kustomization.status.as_ref().and_then(|status| status.inventory.as_ref());
        let mut old = Vec::new();
        for entry in recorded.into_iter().flat_map(|inventory| &inventory.entries) {
            let id = ObjectId::parse(&entry.id).context("the inventory of the Kustomization is broken")?;
            old.push(Entry { id, version: entry.version.clone() });
        }
        let mut stale = inventory::stale(&old, entries);
        order::sort_for_deletion(&mut stale);
        for entry in stale.iter().rev() {
            self.has_changes = true;
            self.text.push_str(&format!("► {} deleted\n", entry.id.subject()));
        }
        Ok(())
    }
}

/// The keys in the data of a Secret.
fn keys(object: &Object) -> Option<Vec<&String>> {
    Some(object.fields().get("data")?.as_object()?.keys().collect())
}
