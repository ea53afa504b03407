//! Looks up the source of a Kustomization and its artifact.

use fluxide_kustomize_api::Kustomization;
use fluxide_kustomize_api::kustomization::{SourceKind, SourceReference};
use fluxide_meta::Artifact;
use fluxide_runtime::Store;
use fluxide_source_api::{Bucket, ExternalArtifact, GitRepository, OCIRepository};
use kube::ResourceExt as _;

/// Live copies of all sources.
#[derive(Clone)]
pub struct Sources {
    /// All GitRepositories.
    pub git_repositories: Store<GitRepository>,
    /// All OCIRepositories.
    pub oci_repositories: Store<OCIRepository>,
    /// All Buckets.
    pub buckets: Store<Bucket>,
    /// All ExternalArtifacts, when the feature gate allows them.
    pub external_artifacts: Option<Store<ExternalArtifact>>,
    /// Whether sources of other namespaces are refused.
    pub no_cross_namespace_refs: bool,
    /// For looking beside the live copies, when the feature gate `DirectSourceFetch` asks for it.
    pub direct: Option<kube::Client>,
}

/// Why a Kustomization has no source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reference is not allowed.
    #[error("{0}")]
    AccessDenied(String),
    /// There is no such source.
    #[error("{kind}.source.toolkit.fluxcd.io \"{name}\" not found")]
    NotFound {
        /// Kind of the source.
        kind: String,
        /// Name of the source.
        name: String,
    },
    /// The source could not be read.
    #[error("unable to get source '{namespace}/{name}': {source}")]
    Unreadable {
        /// Namespace of the source.
        namespace: String,
        /// Name of the source.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

impl Sources {
    /// The artifact of a Kustomization's source, `None` while the source has none.
    pub async fn artifact(&self, kustomization: &Kustomization) -> Result<Option<Artifact>, Error> {
        let reference = &kustomization.spec.source_ref;
        let own = kustomization.namespace().unwrap_or_default();
        let namespace = reference.namespace_or(&own);
        let denied = |why: &str| {
            Error::AccessDenied(format!(
                "can't access '{}/{namespace}/{}', {why}",
                reference.kind, reference.name
            ))
        };
        if self.no_cross_namespace_refs && namespace != own {
            return Err(denied("cross-namespace references have been blocked"));
        }
        match &reference.kind {
            SourceKind::GitRepository => {
                let status = |source: &GitRepository| source.status.as_ref()?.artifact.clone();
                self.look_up(&self.git_repositories, reference, namespace, status).await
            }
            SourceKind::OciRepository => {
                let status = |source: &OCIRepository| source.status.as_ref()?.artifact.clone();
                self.look_up(&self.oci_repositories, reference, namespace, status).await
            }
            SourceKind::Bucket => {
                let status = |source: &Bucket| source.status.as_ref()?.artifact.clone();
                self.look_up(&self.buckets, reference, namespace, status).await
            }
            SourceKind::ExternalArtifact => {
                let store = self
                    .external_artifacts
                    .as_ref()
                    .ok_or_else(|| denied("ExternalArtifact feature gate is disabled"))?;
                let status = |source: &ExternalArtifact| source.status.as_ref()?.artifact.clone();
                self.look_up(store, reference, namespace, status).await
            }
            SourceKind::Other(kind) => Err(Error::AccessDenied(format!(
                "source kind '{kind}' is not supported, use one of {}",
                SourceKind::VALUES.join(", ")
            ))),
        }
    }

    /// The revision that a source offers now.
    pub fn current_revision(&self, kind: &str, namespace: &str, name: &str) -> Option<String> {
        let artifact = match kind {
            "GitRepository" => self.git_repositories.find(namespace, name)?.status.as_ref()?.artifact.clone(),
            "OCIRepository" => self.oci_repositories.find(namespace, name)?.status.as_ref()?.artifact.clone(),
            "Bucket" => self.buckets.find(namespace, name)?.status.as_ref()?.artifact.clone(),
            "ExternalArtifact" => {
                let store = self.external_artifacts.as_ref()?;
                store.find(namespace, name)?.status.as_ref()?.artifact.clone()
            }
            _ => None,
        };
        artifact.map(|artifact| artifact.revision)
    }

    async fn look_up<K>(
        &self,
        store: &Store<K>,
        reference: &SourceReference,
        namespace: &str,
        artifact: impl Fn(&K) -> Option<Artifact>,
    ) -> Result<Option<Artifact>, Error>
    where
        K: fluxide_runtime::Watched,
    {
        let not_found = || Error::NotFound { kind: reference.kind.to_string(), name: reference.name.clone() };
        let Some(client) = &self.direct else {
            let source = store.find(namespace, &reference.name).ok_or_else(not_found)?;
            return Ok(artifact(&source));
        };
        let api = kube::Api::<K>::namespaced(client.clone(), namespace);
        match api.get_opt(&reference.name).await {
            Ok(source) => Ok(artifact(&source.ok_or_else(not_found)?)),
            Err(source) => Err(Error::Unreadable {
                namespace: namespace.to_owned(),
                name: reference.name.clone(),
                source,
            }),
        }
    }
}
