//! The custom resource definitions, made from the API types.
//!
//! Schemas come from the types; what the types cannot say is added here: the versions that are
//! served beside the stored one, and the few rules in [`adapt`].

mod adapt;

use fluxide_helm_api::HelmRelease;
use fluxide_image_automation_api::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use fluxide_kustomize_api::Kustomization;
use fluxide_notification_api::{Alert, Provider, Receiver};
use fluxide_source_api::{
    ArtifactGenerator, Bucket, ExternalArtifact, GitRepository, HelmChart, HelmRepository, OCIRepository,
};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::Value;

/// The controllers, in the order they are installed.
pub const CONTROLLERS: &[&str] = &[
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
    "image-automation-controller",
];

/// Why the definitions cannot be made; never with the types as they are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A type yields a definition that is not JSON.
    #[error("cannot turn a custom resource definition into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A definition cannot be written as YAML.
    #[error("cannot write a custom resource definition as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// A definition and where it belongs.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The controller that owns the kind.
    pub controller: &'static str,
    /// The deployment that reconciles the kind: the controller, but for the kinds that
    /// image-automation-controller reconciles under the name image-reflector-controller.
    pub component: &'static str,
    /// Name of the definition: `<plural>.<group>`.
    pub name: String,
    /// The definition as it goes to the API server.
    pub manifest: Value,
}

impl Definition {
    /// Name of the file the definition is written to: `<group>_<plural>.yaml`.
    pub fn file_name(&self) -> String {
        match self.name.split_once('.') {
            Some((plural, group)) => format!("{group}_{plural}.yaml"),
            None => format!("{}.yaml", self.name),
        }
    }
}

/// The deployments the controllers are installed as.
pub const COMPONENTS: &[&str] = &[
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
    "image-reflector-controller",
    "image-automation-controller",
];

/// All definitions, with the controllers they belong to.
///
/// # Errors
/// See [`Error`].
pub fn definitions() -> Result<Vec<Definition>, Error> {
    const SOURCE: &str = "source-controller";
    const KUSTOMIZE: &str = "kustomize-controller";
    const HELM: &str = "helm-controller";
    const NOTIFICATION: &str = "notification-controller";
    const REFLECTOR: &str = "image-reflector-controller";
    const IMAGE: &str = "image-automation-controller";
    Ok(vec![
        definition::<GitRepository>(SOURCE, &["v1beta2"])?,
        definition::<OCIRepository>(SOURCE, &["v1beta2"])?,
        definition::<HelmRepository>(SOURCE, &["v1beta2"])?,
        definition::<HelmChart>(SOURCE, &["v1beta2"])?,
        definition::<Bucket>(SOURCE, &["v1beta2"])?,
        definition::<ExternalArtifact>(SOURCE, &[])?,
        definition::<ArtifactGenerator>(SOURCE, &[])?,
        definition::<Kustomization>(KUSTOMIZE, &["v1beta2"])?,
        definition::<HelmRelease>(HELM, &["v2beta2", "v2beta1"])?,
        definition::<Provider>(NOTIFICATION, &["v1beta2"])?,
        definition::<Alert>(NOTIFICATION, &["v1beta2"])?,
        definition::<Receiver>(NOTIFICATION, &["v1beta2"])?,
        Definition { component: REFLECTOR, ..definition::<ImageRepository>(IMAGE, &["v1beta2"])? },
        Definition { component: REFLECTOR, ..definition::<ImagePolicy>(IMAGE, &["v1beta2"])? },
        definition::<ImageUpdateAutomation>(IMAGE, &["v1beta2"])?,
    ])
}

/// All definitions as JSON.
///
/// # Errors
/// See [`Error`].
pub fn crds() -> Result<Vec<Value>, Error> {
    Ok(definitions()?.into_iter().map(|definition| definition.manifest).collect())
}

/// The definitions that belong to one of [`CONTROLLERS`], as JSON; none for another name.
///
/// # Errors
/// See [`Error`].
pub fn crds_for(controller: &str) -> Result<Vec<Value>, Error> {
    let owned = definitions()?.into_iter().filter(|definition| definition.controller == controller);
    Ok(owned.map(|definition| definition.manifest).collect())
}

/// The files of `config/crd` and their content, by path relative to it.
///
/// # Errors
/// See [`Error`].
pub fn files() -> Result<Vec<(String, String)>, Error> {
    let definitions = definitions()?;
    let mut files = Vec::new();
    for component in COMPONENTS {
        let mut names = Vec::new();
        for definition in definitions.iter().filter(|it| it.component == *component) {
            names.push(definition.file_name());
            let yaml = serde_yaml::to_string(&definition.manifest)?;
            files.push((format!("{component}/{}", definition.file_name()), yaml));
        }
        let mut kustomization =
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n".to_owned();
        names.sort();
        for name in names {
            kustomization.push_str(&format!("- {name}\n"));
        }
        files.push((format!("{component}/kustomization.yaml"), kustomization));
    }
    Ok(files)
}

/// The definition of a kind. `older` versions are served with the schema of the stored one.
fn definition<K: CustomResourceExt>(controller: &'static str, older: &[&str]) -> Result<Definition, Error> {
    let crd = K::crd();
    let name = crd.name_any();
    let mut manifest = serde_json::to_value(crd)?;
    adapt::adapt(&name, &mut manifest);
    adapt::serve_older_versions(&mut manifest, older);
    Ok(Definition { controller, component: controller, name, manifest })
}
