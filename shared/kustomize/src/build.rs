//! The build: accumulating a kustomization and what it refers to, then hashes, references, variables and order.

mod accumulate;
mod transformers;

use crate::error::Error;
use crate::fs::FileSystem;
use crate::kustomization::Kustomization;
use crate::loader::{Budget, Loader};
use crate::nameref::fix_name_references;
use crate::options::{Mode, Options};
use crate::origin::Origin;
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::transform::{HashTransformer, LabelTransformer, Transform};
use crate::{annotations, fieldspec::FieldSpec, id::Gvk, yaml};
use accumulate::{Accumulator, Target};

/// The label that `buildMetadata: [managedByLabel]` asks for.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kustomize-v5.8.1");

/// What is common to all kustomizations of a build.
struct Session<'a> {
    options: &'a Options<'a>,
    schemas: Schemas,
    warnings: Vec<String>,
}

impl Session<'_> {
    fn warn(&mut self, warnings: Vec<String>) {
        if let Some(warn) = self.options.warn {
            warnings.iter().for_each(|warning| warn(warning));
        }
        self.warnings.extend(warnings);
    }
}

/// Builds the kustomization in a directory.
pub(crate) fn run(fs: &dyn FileSystem, directory: &str, options: &Options<'_>) -> Result<Resources, Error> {
    let budget = Budget::new(options.limits.total_bytes);
    let loader = Loader::top(fs, directory, options, &budget)?;
    let mut session = Session { options, schemas: Schemas::default(), warnings: Vec::new() };
    let mut top = Target::load(&mut session, loader)?;
    top.choose_schema(&mut session)?;
    if !top.kustomization.build_metadata.iter().flatten().collect::<Vec<_>>().is_empty() {
        top.origin = Some(Origin::default());
    }
    let mut accumulated = top.accumulate(&mut session, Accumulator::default())?;
    let mut resources = finish(&session, &top.kustomization, &mut accumulated)?;
    resources.set_warnings(session.warnings);
    Ok(resources)
}

fn finish(
    session: &Session<'_>,
    kustomization: &Kustomization,
    accumulated: &mut Accumulator,
) -> Result<Resources, Error> {
    let mut resources = std::mem::take(&mut accumulated.resources);
    HashTransformer.transform(&mut resources, &session.schemas)?;
    let config = accumulated.config.get();
    fix_name_references(&mut resources, &config)?;
    accumulated.vars.resolve(&mut resources, &config.var_reference)?;
    resources.items_mut().retain(|resource| !resource.is_deleted());
    for resource in resources.iter() {
        if crate::reader::check_object(resource.node()).is_err() {
            crate::reader::check_object(&annotations::with_remembered(resource)?)?;
        }
    }
    resources.items_mut().retain(|resource| !resource.is_local_config());
    crate::sort::sort(&mut resources, kustomization.sort_options.as_ref(), session.options.default_order())?;
    let wants = |option: &str| kustomization.build_metadata.iter().flatten().any(|wanted| wanted == option);
    if session.options.managed_by_label || wants("managedByLabel") {
        let label = LabelTransformer {
            labels: [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into(),
            fields: vec![FieldSpec::new(Gvk::default(), "metadata/labels", true)],
        };
        label.transform(&mut resources, &session.schemas)?;
    }
    let (origins, transformations) = (wants("originAnnotations"), wants("transformerAnnotations"));
    for resource in resources.iter_mut() {
        annotations::finish(resource, origins, transformations)?;
    }
    Ok(resources)
}

impl Target<'_> {
    /// Takes the `openapi` field into account.
    fn choose_schema(&self, session: &mut Session<'_>) -> Result<(), Error> {
        let Some(openapi) = &self.kustomization.openapi else { return Ok(()) };
        let document = match openapi.get("path") {
            Some(path) => {
                let content = self.loader.load(path)?;
                Some(yaml::to_json(&content).map_err(|err| Error::Yaml(err.to_string()))?)
            }
            None => None,
        };
        let extend = session.options.mode == Mode::Flux;
        let version = openapi.get("version").map(String::as_str);
        Ok(session.schemas.choose(version, document.as_ref(), extend)?)
    }
}
