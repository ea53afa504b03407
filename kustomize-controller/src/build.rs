//! Builds the manifests of a Kustomization: generate, build, substitute, and split into objects.

use std::sync::Arc;

use fluxide_apply::Object;
use fluxide_artifact::UnpackedDir;
use fluxide_artifact::ignore::IgnoreRules;
use fluxide_goyaml::sigs;
use fluxide_kms::{AccountReference, Services, VaultLogins};
use fluxide_kustomize::{FileSystem as _, FsError, RemoteLoader};
use fluxide_kustomize_api::{Kustomization, KustomizationSpec};
use fluxide_meta::condition::reasons;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::artifact_fs::{ArtifactFs, clean};
use crate::decrypt::{self, Decryptor, Found, Keys, ResourceError, SourceError};
use crate::reconciler::KustomizationReconciler;
use crate::remote_bases::{NoRemoteBases, RemoteBases};
use crate::stop::Stop;
use crate::substitute::{self, Variables};
use crate::{generate, options};

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The objects, in build order.
    pub objects: Vec<Object>,
    /// Digest of the manifests as YAML: the same digest, the same objects.
    pub digest: String,
    /// What the user should know although the build succeeded.
    pub warnings: Vec<String>,
}

/// Why the manifests cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not in the artifact.
    #[error("kustomization path not found: stat {path}: {reason}")]
    Path {
        /// The directory in the artifact.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// The artifact cannot be read.
    #[error("failed to open artifact: {0}")]
    Artifact(#[from] FsError),
    /// There is no kustomization.yaml to build.
    #[error("{0}")]
    Generate(#[from] generate::Error),
    /// The kustomization does not build.
    #[error("kustomize build failed: {0}")]
    Build(Box<fluxide_kustomize::Error>),
    /// An object of the build is incomplete.
    #[error(
        "failed to decode Kubernetes apiVersion, kind and name from a built object (apiVersion '{api_version}', kind '{kind}', name '{name}')"
    )]
    Incomplete {
        /// Its apiVersion.
        api_version: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The files of the build cannot be decrypted.
    #[error("error decrypting sources: {0}")]
    Sources(Box<SourceError>),
    /// An object of the build cannot be decrypted.
    #[error("decryption failed for '{object}': {source}")]
    Decrypt {
        /// Which object.
        object: String,
        /// Why.
        source: Box<ResourceError>,
    },
    /// The variables of an object cannot be replaced.
    #[error("post build failed for '{object}': {source}")]
    Substitute {
        /// Which object.
        object: String,
        /// Why.
        source: substitute::Error,
    },
    /// The manifests do not make a stream of objects.
    #[error("failed to read the built manifests: {0}")]
    Stream(String),
}

impl From<fluxide_kustomize::Error> for Error {
    fn from(error: fluxide_kustomize::Error) -> Self {
        Self::Build(Box::new(error))
    }
}

/// Builds the manifests of a Kustomization from its unpacked artifact.
pub(crate) async fn build(
    reconciler: &KustomizationReconciler,
    object: &Kustomization,
    client: &kube::Client,
    directory: Arc<UnpackedDir>,
) -> Result<Built, Stop> {
    let variables = match &object.spec.post_build {
        Some(post_build) => {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            Some(Variables::load(post_build, client, namespace).await)
        }
        None => None,
    };
    let decryptor = decryptor(reconciler, object, client).await?;
    let spec = object.spec.clone();
    let strict = reconciler.settings.gates.enabled(options::STRICT_SUBSTITUTIONS);
    let no_remote_bases = reconciler.settings.no_remote_bases;
    let remote = RemoteBases::new(tokio::runtime::Handle::current(), reconciler.http.clone());
    let task = tokio::task::spawn_blocking(move || {
        let remote: &dyn RemoteLoader = if no_remote_bases { &NoRemoteBases } else { &remote };
        let inputs = Inputs {
            variables,
            strict,
            decryptor,
            remote: Some(remote),
            ignored: IgnoreRules::for_bucket(None, None),
        };
        build_with(directory.path(), &spec, inputs)
    });
    let built = match task.await {
        Ok(built) => built,
        Err(error) => {
            return Err(Stop::failed(reasons::BUILD_FAILED, format!("the build was aborted: {error}")));
        }
    };
    let built = built.map_err(|error| match error {
        error @ Error::Path { .. } => Stop::failed(reasons::ARTIFACT_FAILED, error),
        error => Stop::failed(reasons::BUILD_FAILED, error),
    })?;
    for warning in &built.warnings {
        tracing::warn!("{warning}");
    }
    Ok(built)
}

/// What decrypts for a Kustomization, if it wants that.
async fn decryptor(
    reconciler: &KustomizationReconciler,
    object: &Kustomization,
    client: &kube::Client,
) -> Result<Option<Decryptor>, Stop> {
    let Some(decryption) = &object.spec.decryption else { return Ok(None) };
    let settings = &reconciler.settings;
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let found = match &decryption.secret_ref {
        Some(reference) => decrypt::load_keys(client, namespace, &reference.name, false).await,
        None if settings.sops_age_secret.is_empty() => Ok(Found::default()),
        None => {
            decrypt::load_keys(client, &settings.runtime_namespace, &settings.sops_age_secret, true).await
        }
    };
    let found = found.map_err(|error| Stop::failed(reasons::BUILD_FAILED, error))?;
    let account = decryption.service_account_name.as_deref().unwrap_or_default();
    let account = if account.is_empty() { &settings.default_decryption_account } else { account };
    let services = fluxide_kms::Settings {
        credentials: found.credentials,
        account: (!account.is_empty()).then(|| AccountReference {
            client: client.clone(),
            namespace: namespace.to_owned(),
            name: account.to_owned(),
        }),
        vault_logins: (!settings.sops_vault_config_map.is_empty()).then(|| VaultLogins {
            client: client.clone(),
            namespace: settings.runtime_namespace.clone(),
            name: settings.sops_vault_config_map.clone(),
        }),
        tokens: reconciler.tokens.clone(),
        observer: Some(reconciler.observe_tokens(object)),
        ..fluxide_kms::Settings::default()
    };
    let services = Services::new(tokio::runtime::Handle::current(), services);
    Ok(Some(Decryptor::new(Box::new(Keys::new(found.keyring, services)))))
}

/// What a build takes besides the files and the spec.
pub struct Inputs<'a> {
    /// Values for variables. That they could not be read is an error only if they are needed.
    pub variables: Option<Result<Variables, substitute::Error>>,
    /// Whether unknown variables are errors.
    pub strict: bool,
    /// What opens encrypted files; without it they stay as they are.
    pub decryptor: Option<Decryptor>,
    /// What fetches remote bases; without it there are none.
    pub remote: Option<&'a dyn RemoteLoader>,
    /// Manifests to leave out where there is no kustomization.yaml, by their paths below the directory.
    pub ignored: IgnoreRules,
}

/// The directory that a spec means, as a path in the artifact.
pub fn find(artifact: &std::path::Path, spec: &KustomizationSpec) -> Result<String, Error> {
    let files = ArtifactFs::new(artifact)?;
    let path = clean(spec.path.as_deref().unwrap_or_default());
    match files.resolve(&path) {
        Ok(resolved) if resolved.is_dir => Ok(path),
        Ok(_) => Err(Error::Path { path, reason: "not a directory" }),
        Err(FsError::Resolve { .. }) => Err(Error::Path { path, reason: "no such file or directory" }),
        Err(error) => Err(error.into()),
    }
}

/// Builds the manifests of an unpacked artifact as a Kustomization's spec says.
pub fn build_with(
    artifact: &std::path::Path,
    spec: &KustomizationSpec,
    inputs: Inputs<'_>,
) -> Result<Built, Error> {
    let Inputs { mut variables, strict, mut decryptor, remote, ignored } = inputs;
    let path = find(artifact, spec)?;
    let mut files = ArtifactFs::new(artifact)?;
    let is_empty = generate::generate_without(&mut files, &path, spec, &ignored)?;
    let mut warnings = Vec::new();
    if is_empty {
        warnings.push(format!(
            "no manifests found in '{path}': the build is empty, everything that was applied before is pruned"
        ));
    }
    if let Some(decryptor) = &mut decryptor {
        decryptor.decrypt_sources(&mut files, &path).map_err(|error| Error::Sources(Box::new(error)))?;
    }
    let options = fluxide_kustomize::Options { remote, ..fluxide_kustomize::Options::flux() };
    let resources = fluxide_kustomize::build(&files, &path, &options)?;
    warnings.extend(resources.warnings().iter().cloned());

    let mut stream = Sha256::new();
    let mut objects = Vec::with_capacity(resources.len());
    for (index, resource) in resources.iter().enumerate() {
        check_complete(resource)?;
        let mut plain = Plain { value: resource.to_json()?, yaml: None };
        if let Some(decryptor) = &mut decryptor {
            let decrypted = decryptor.decrypt_resource(&plain.value);
            let failed = |source| Error::Decrypt { object: printed_id(resource), source: Box::new(source) };
            if let Some(value) = decrypted.map_err(failed)? {
                plain.yaml = Some(to_yaml(&value)?);
                plain.value = value;
            }
        }
        let substituted = match &variables {
            None => None,
            Some(_) if substitute::is_disabled(&plain.value) => None,
            Some(Ok(variables)) => substitute_resource(resource, &plain, variables, strict)?,
            Some(Err(_)) => match variables.take() {
                Some(Err(source)) => return Err(Error::Substitute { object: printed_id(resource), source }),
                _ => None,
            },
        };
        let (value, yaml) = match (substituted, plain) {
            (Some(substituted), _) => substituted,
            (None, Plain { value, yaml: Some(yaml) }) => (value, yaml),
            (None, Plain { value, yaml: None }) => (value, resource.to_yaml()?),
        };
        if index > 0 {
            stream.update("---\n");
        }
        stream.update(&yaml);
        collect(value, &mut objects);
    }
    let digest = format!("sha256:{}", hex::encode(stream.finalize()));
    Ok(Built { objects, digest, warnings })
}

fn check_complete(resource: &fluxide_kustomize::Resource) -> Result<(), Error> {
    let (api_version, kind, name) = (resource.api_version(), resource.kind(), resource.name());
    if api_version.is_empty() || kind.is_empty() || name.is_empty() {
        return Err(Error::Incomplete {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// An object after its decryption.
struct Plain {
    value: Value,
    /// Its YAML, when that is not what the build printed.
    yaml: Option<String>,
}

fn to_yaml(value: &Value) -> Result<String, Error> {
    sigs::to_yaml(&value.into()).map_err(|error| Error::Stream(error.to_string()))
}

/// Replaces the variables of one resource; `None` when there is nothing to replace in it.
fn substitute_resource(
    resource: &fluxide_kustomize::Resource,
    plain: &Plain,
    variables: &Variables,
    strict: bool,
) -> Result<Option<(Value, String)>, Error> {
    let failed = |source| Error::Substitute { object: printed_id(resource), source };
    if !variables.apply_to(&plain.value) {
        return Ok(None);
    }
    let yaml = match &plain.yaml {
        Some(yaml) => yaml.clone(),
        None => resource.to_yaml()?,
    };
    let text = variables.substitute(&yaml, strict).map_err(failed)?;
    let value = sigs::from_yaml(text.as_bytes())
        .map_err(|error| failed(substitute::Error::NotYaml(error.to_string())))?;
    let yaml =
        sigs::to_yaml(&value).map_err(|error| failed(substitute::Error::NotYaml(error.to_string())))?;
    Ok(Some((Value::from(value), yaml)))
}

/// How kustomize prints the identity of a resource: `Kind.version.group/name`.
fn printed_id(resource: &fluxide_kustomize::Resource) -> String {
    let (group, version) = fluxide_apply::object::split_api_version(resource.api_version());
    let group = if group.is_empty() { "[noGrp]" } else { group };
    format!("{}.{version}.{group}/{}", resource.kind(), resource.name())
}

/// Adds an object, or the items of a list; what is no object for a cluster is dropped.
fn collect(value: Value, objects: &mut Vec<Object>) {
    let Some(mut object) = Object::new(value) else { return };
    if let Some(Value::Array(items)) = object.fields_mut().get_mut("items") {
        let items = std::mem::take(items);
        objects.extend(items.into_iter().filter_map(Object::new));
        return;
    }
    let is_complete =
        !object.api_version().is_empty() && !object.kind().is_empty() && !object.name().is_empty();
    let is_kustomization = object.kind() == "Kustomization" && object.group() == "kustomize.config.k8s.io";
    if is_complete && !is_kustomization {
        objects.push(object);
    }
}
