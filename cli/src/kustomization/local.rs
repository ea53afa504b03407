//! A Kustomization whose manifests are on this machine: finds its object, in the cluster or in files,
//! and builds as the controller would.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use fluxide_apply::{Object, metadata};
use fluxide_artifact::ignore::IgnoreRules;
use fluxide_goyaml::{sigs, stream};
use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_api::kustomization::SubstituteStrategy;
use fluxide_kustomize_controller::build::{self, Inputs};
use fluxide_kustomize_controller::owner;
use fluxide_kustomize_controller::remote_bases::RemoteBases;
use fluxide_kustomize_controller::substitute::Variables;
use kube::api::Api;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::mask;
use crate::parse_bool;

/// API group of the objects that say what to build.
const GROUP: &str = "kustomize.toolkit.fluxcd.io/";

/// Larger files hold no objects that people wrote.
const MOST_BYTES: u64 = 10 << 20;

/// Directories nested deeper are not searched.
const MOST_LEVELS: usize = 32;

/// What to build and where it is.
#[derive(Clone, Debug, clap::Args)]
pub struct LocalOptions {
    /// Name of the Kustomization.
    pub name: String,
    /// The local directory that its spec.path means.
    #[arg(long, value_name = "DIR", default_value = "")]
    pub path: String,
    /// A file with the Kustomization, to use instead of the one in the cluster.
    #[arg(long, value_name = "FILE")]
    pub kustomization_file: Option<PathBuf>,
    /// Manifests to leave out, in .gitignore format.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub ignore_paths: Vec<String>,
    /// Fail when a variable without a default has no value.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = parse_bool)]
    pub strict_substitute: bool,
    /// Go on with the Kustomizations among what was built.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = parse_bool)]
    pub recursive: bool,
    /// With --recursive: where the sources of those are, as Kind/namespace/name=DIR.
    #[arg(long, value_name = "SOURCE=DIR", value_delimiter = ',', value_parser = local_source)]
    pub local_sources: Vec<(String, PathBuf)>,
    /// Accepted for flux's sake: nothing is ever written into the directory.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = parse_bool)]
    pub in_memory_build: bool,
}

fn local_source(text: &str) -> anyhow::Result<(String, PathBuf)> {
    let (source, path) = text.split_once('=').context("it must be Kind/namespace/name=DIR")?;
    Ok((source.to_owned(), path.into()))
}

/// What builds.
pub struct Builder {
    /// The cluster; without it nothing is asked.
    pub client: Option<Client>,
    /// Manifests to leave out, in .gitignore format.
    ignored: String,
    strict: bool,
    sources: BTreeMap<String, PathBuf>,
    http: reqwest::Client,
}

/// A Kustomization with the directory of its manifests.
pub struct Local {
    /// The object.
    pub kustomization: Kustomization,
    /// Where its manifests are.
    pub path: PathBuf,
}

impl Builder {
    /// A builder for a command's options.
    pub fn new(options: &LocalOptions, client: Option<Client>) -> anyhow::Result<Self> {
        fluxide_runtime::tls::install_provider();
        Ok(Self {
            client,
            ignored: options.ignore_paths.join("\n"),
            strict: options.strict_substitute,
            sources: options.local_sources.iter().cloned().collect(),
            http: reqwest::Client::builder().user_agent("fluxide").build()?,
        })
    }

    /// The Kustomization that the options mean. Its object comes from the file, with the status that it
    /// has in the cluster, or from the cluster; and without both, from the repository that it builds.
    pub async fn find(
        &self,
        options: &LocalOptions,
        namespace: &str,
        may_be_new: bool,
    ) -> anyhow::Result<Local> {
        let path = directory(&options.path)?;
        if may_be_new && options.kustomization_file.is_none() {
            bail!("kustomization file is required when assuming new kustomizations");
        }
        let in_file = match &options.kustomization_file {
            Some(file) => Some(from_file(file, &options.name, namespace)?),
            None => None,
        };
        let mut live = None;
        if self.client.is_some() {
            live = self.live(namespace, &options.name).await?;
            if live.is_none() && !may_be_new {
                let name = &options.name;
                bail!(
                    "failed to get kustomization object: kustomizations.kustomize.toolkit.fluxcd.io \"{name}\" not found"
                );
            }
        }
        let kustomization = match (in_file, live) {
            (Some(mut local), Some(live)) => {
                local.status = live.status;
                local
            }
            (Some(local), None) => local,
            (None, Some(live)) => live,
            (None, None) => search(&root_of(&path, None), &options.name, namespace).ok_or_else(|| {
                anyhow!(
                    "dry-run mode requires a kustomization file: give it with --kustomization-file \
                     (there is no Kustomization {namespace}/{} in the repository of {})",
                    options.name,
                    path.display()
                )
            })?,
        };
        Ok(Local { kustomization, path })
    }

    async fn live(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Kustomization>> {
        let Some(client) = &self.client else { return Ok(None) };
        let api = Api::<Kustomization>::namespaced(client.clone(), namespace);
        let found = api.get_opt(name).await;
        found.map_err(|error| {
            anyhow!("failed to get kustomization object: {}", fluxide_runtime::client::message(&error))
        })
    }

    /// Builds the objects as they would be applied, in build order. What is encrypted is masked.
    pub async fn build(&self, local: &Local) -> anyhow::Result<Vec<Object>> {
        let kustomization = &local.kustomization;
        let variables = match &kustomization.spec.post_build {
            None => None,
            Some(post_build) => Some(match &self.client {
                Some(client) => {
                    Variables::load(post_build, client, &kustomization.namespace().unwrap_or_default()).await
                }
                None => Variables::new(
                    post_build.substitute.clone(),
                    post_build.substitute_strategy == Some(SubstituteStrategy::Always),
                ),
            }),
        };
        let root = root_of(&local.path, kustomization.spec.path.as_deref());
        let mut spec = kustomization.spec.clone();
        let below = local.path.strip_prefix(&root).unwrap_or(&local.path);
        spec.path = Some(below.to_str().context("the path is not text")?.to_owned());
        let remote = RemoteBases::new(tokio::runtime::Handle::current(), self.http.clone());
        let (strict, ignored) = (self.strict, IgnoreRules::for_tree(&local.path, Some(&self.ignored))?);
        let built = tokio::task::spawn_blocking(move || {
            let inputs = Inputs { variables, strict, remote: Some(&remote), ignored, decryptor: None };
            build::build_with(&root, &spec, inputs)
        });
        let built = built.await??;
        for warning in &built.warnings {
            eprintln!("⚠️ {warning}");
        }
        let owner = owner(kustomization);
        let common = kustomization.spec.common_metadata.as_ref();
        let mut objects = built.objects;
        for object in &mut objects {
            owner.label(object);
            mask::mask(object);
            if let Some(common) = common {
                metadata::set_common_metadata(object, &common.labels, &common.annotations);
            }
        }
        Ok(objects)
    }

    /// The Kustomizations among what was built that were not built yet, with the directories of their
    /// manifests.
    pub async fn children(
        &self,
        objects: &[Object],
        seen: &mut BTreeSet<(String, String)>,
    ) -> anyhow::Result<Vec<Local>> {
        let mut children = Vec::new();
        for object in objects.iter().filter(|object| is_kustomization(object)) {
            if !seen.insert((object.namespace().to_owned(), object.name().to_owned())) {
                continue;
            }
            let built = parse(Value::Object(object.fields().clone()))
                .with_context(|| format!("{} cannot be read", object.subject()))?;
            let live = self.live(object.namespace(), object.name()).await?;
            let kustomization = live.unwrap_or(built);
            children.push(Local { path: self.path_of(&kustomization)?, kustomization });
        }
        Ok(children)
    }

    fn path_of(&self, kustomization: &Kustomization) -> anyhow::Result<PathBuf> {
        let source = &kustomization.spec.source_ref;
        let own = kustomization.namespace().unwrap_or_default();
        let key = format!("{}/{}/{}", source.kind, source.namespace_or(&own), source.name);
        let name = kustomization.name_any();
        let root = self.sources.get(&key).with_context(|| {
            format!("cannot get local path for {key} of kustomization {name}: give --local-sources {key}=DIR")
        })?;
        let below = kustomization.spec.path.as_deref().unwrap_or_default().trim_start_matches(['.', '/']);
        directory(&root.join(below).to_string_lossy())
    }
}

/// Whether an object says what else to build.
pub fn is_kustomization(object: &Object) -> bool {
    object.api_version().starts_with(GROUP) && object.kind() == "Kustomization"
}

/// The real path of a directory.
fn directory(path: &str) -> anyhow::Result<PathBuf> {
    let found = Path::new(path).canonicalize().ok().filter(|path| path.is_dir());
    found.ok_or_else(|| anyhow!("invalid resource path {path:?}"))
}

/// The root of the source that a directory is in: the repository's, or what is left when `spec.path` is
/// taken off. Nothing outside of it is read, as in the cluster. If neither says it, it is the whole disk.
fn root_of(path: &Path, spec_path: Option<&str>) -> PathBuf {
    if let Some(repository) = path.ancestors().find(|ancestor| ancestor.join(".git").exists()) {
        return repository.to_owned();
    }
    let below: PathBuf = Path::new(spec_path.unwrap_or_default())
        .components()
        .filter(|component| matches!(component, std::path::Component::Normal(_)))
        .collect();
    if !below.as_os_str().is_empty() && path.ends_with(&below) {
        let depth = below.components().count();
        return path.ancestors().nth(depth).unwrap_or(path).to_owned();
    }
    PathBuf::from("/")
}

fn from_file(file: &Path, name: &str, namespace: &str) -> anyhow::Result<Kustomization> {
    if !file.is_file() {
        bail!("invalid kustomization file {:?}", file.display().to_string());
    }
    let text = std::fs::read(file)
        .with_context(|| format!("failed to read kustomization file {}", file.display()))?;
    let found = named(&text, name, namespace)
        .with_context(|| format!("failed to unmarshall kustomization file {}", file.display()))?;
    found.ok_or_else(|| {
        anyhow!(
            "failed find kustomization with name '{name}' and namespace '{namespace}' in file '{}'",
            file.display()
        )
    })
}

/// The Kustomization with a name among the documents of a file.
fn named(text: &[u8], name: &str, namespace: &str) -> anyhow::Result<Option<Kustomization>> {
    for document in stream::documents(text)? {
        let Some(object) = Object::new(sigs::from_yaml(&document)?.into()) else { continue };
        let is_here = object.namespace() == namespace || object.namespace().is_empty();
        if is_kustomization(&object) && object.name() == name && is_here {
            let mut found = parse(object.into_value())?;
            found.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Reads a Kustomization; the error says which field is wrong.
fn parse(mut value: Value) -> anyhow::Result<Kustomization> {
    // Left to the API server to default.
    if value["spec"].get("prune").is_none() && value["spec"].is_object() {
        value["spec"]["prune"] = false.into();
    }
    Ok(serde_json::from_value(value)?)
}

/// Looks for a Kustomization in the manifests of a repository.
fn search(root: &Path, name: &str, namespace: &str) -> Option<Kustomization> {
    if root == Path::new("/") {
        return None;
    }
    let mut directories = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if metadata.is_dir() && !is_hidden && depth < MOST_LEVELS {
                directories.push((path, depth + 1));
            } else if metadata.is_file()
                && metadata.len() <= MOST_BYTES
                && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
                && let Ok(text) = std::fs::read(&path)
                && let Ok(Some(found)) = named(&text, name, namespace)
            {
                return Some(found);
            }
        }
    }
    None
}
