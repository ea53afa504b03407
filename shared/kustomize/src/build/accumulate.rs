//! One kustomization: its resources, generators, components, transformers, validators and variables, in this order.

use super::Session;
use crate::config::{ConfigError, SharedConfig, TransformerConfig};
use crate::error::Error;
use crate::generate::{Generated, generate};
use crate::kustomization::{COMPONENT, Kustomization};
use crate::loader::Loader;
use crate::origin::{Origin, add_transformation};
use crate::plugin::{PluginError, PluginGenerator, load_generator, load_transformer};
use crate::reader::read_objects;
use crate::resource::{ORIGIN, Resource};
use crate::resources::{Resources, id_key};
use crate::transform::Transform;
use crate::vars::{self, Vars};
use crate::{annotations, configurations, yaml};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

const VALIDATED_BY: &str = "validated-by";

/// What has been accumulated so far.
#[derive(Default)]
pub(super) struct Accumulator {
    pub(super) resources: Resources,
    pub(super) config: SharedConfig,
    pub(super) vars: Vars,
}

impl Accumulator {
    fn merge(&mut self, other: Accumulator) -> Result<(), Error> {
        self.resources.allowance.after(other.resources.allowance)?;
        self.resources.append_all(other.resources)?;
        if let Some(config) = other.config.merged() {
            self.config.merge(&config)?;
        }
        Ok(self.vars.merge(other.vars)?)
    }
}

/// A kustomization that was loaded.
pub(super) struct Target<'a> {
    pub(super) kustomization: Kustomization,
    pub(super) loader: Loader<'a>,
    pub(super) origin: Option<Origin>,
    pub(super) file: &'static str,
}

/// A transformer with what is noted of it.
pub(super) struct Step {
    pub(super) transformer: Box<dyn Transform>,
    pub(super) origin: Option<Origin>,
}

impl<'a> Target<'a> {
    /// Loads the kustomization where the loader is.
    pub(super) fn load(session: &mut Session<'_>, loader: Loader<'a>) -> Result<Target<'a>, Error> {
        let (content, file) = loader.kustomization()?;
        let (kustomization, warnings) = Kustomization::parse(&content, loader.root())?;
        session.warn(warnings);
        Ok(Target { kustomization, loader, origin: None, file })
    }

    /// Everything the kustomization describes, added to `into`.
    pub(super) fn accumulate(
        &mut self,
        session: &mut Session<'_>,
        mut into: Accumulator,
    ) -> Result<Accumulator, Error> {
        let paths = self.kustomization.resources.clone().unwrap_or_default();
        self.accumulate_resources(session, &mut into, &paths)
            .map_err(|err| err.context("accumulating resources"))?;
        self.merge_config(&mut into)?;
        self.run_generators(session, &mut into)?;
        self.accumulate_components(session, &mut into)
            .map_err(|err| err.context("accumulating components"))?;
        self.run_transformers(session, &mut into)?;
        self.run_validators(session, &mut into)?;
        let vars = self.kustomization.vars.as_deref().unwrap_or_default();
        into.vars
            .register(vars, &mut into.resources)
            .map_err(|err| Error::from(err).context(format!("merging vars {}", vars::describe_all(vars))))?;
        Ok(into)
    }

    fn accumulate_resources(
        &mut self,
        session: &mut Session<'_>,
        into: &mut Accumulator,
        paths: &[String],
    ) -> Result<(), Error> {
        for path in paths {
            let Err(file_error) = self.accumulate_file(session, into, path) else { continue };
            if file_error.is_http_status() {
                return Err(file_error);
            }
            let loader = match self.loader.enter(path) {
                Ok(loader) => loader,
                Err(err) if file_error.is_malformed_yaml() && !err.is_timeout() => return Err(file_error),
                Err(err) => return Err(accumulation(file_error, err)),
            };
            self.accumulate_directory(session, into, path, loader, false)
                .map_err(|err| accumulation(file_error, err))?;
        }
        Ok(())
    }

    fn accumulate_file(
        &self,
        session: &Session<'_>,
        into: &mut Accumulator,
        path: &str,
    ) -> Result<(), Error> {
        let mut resources = self
            .read_file(session, path)
            .map_err(|err| err.context(format!("accumulating resources from '{path}'")))?;
        if let Some(origin) = &self.origin {
            let text = origin.enter(path).to_yaml();
            for resource in &mut resources {
                resource.set_annotation(ORIGIN, &text)?;
            }
        }
        let limit = session.options.limits.resources;
        if into.resources.len() + resources.len() > limit {
            return Err(Error::Limit { what: "number of resources", limit: limit as u64 });
        }
        into.resources
            .append_all(resources)
            .map_err(|err| err.context(format!("merging resources from '{path}'")))
    }

    fn read_file(&self, session: &Session<'_>, path: &str) -> Result<Vec<Resource>, Error> {
        let content = self.loader.load(path)?;
        let resources = self.read(session, &content).map_err(|err| match err {
            Error::Read(source) if source.is_malformed() => {
                Error::Malformed { path: path.to_owned(), source }
            }
            other => other,
        })?;
        let mut unique = Resources::default();
        unique.append_all(resources)?;
        Ok(unique.take())
    }

    fn read(&self, session: &Session<'_>, content: &[u8]) -> Result<Vec<Resource>, Error> {
        let scopes = session.schemas.custom_scopes();
        let mut resources: Vec<Resource> =
            read_objects(content)?.into_iter().map(|object| Resource::new(object, scopes.clone())).collect();
        resources.iter_mut().try_for_each(annotations::absorb)?;
        resources
            .iter()
            .for_each(|resource| session.schemas.note_type(resource.api_version(), resource.kind()));
        Ok(resources)
    }

    fn accumulate_directory(
        &mut self,
        session: &mut Session<'_>,
        into: &mut Accumulator,
        path: &str,
        loader: Loader<'a>,
        component: bool,
    ) -> Result<(), Error> {
        let root = loader.root().to_owned();
        let mut target = Target::load(session, loader)
            .map_err(|err| err.context(format!("couldn't make target for path '{root}'")))?;
        target.kustomization.build_metadata = self.kustomization.build_metadata.clone();
        target.origin = self.origin.as_ref().map(|origin| origin.enter(path));
        target.choose_schema(session)?;
        let kind = &target.kustomization.kind;
        if component && kind != COMPONENT {
            let text = format!("expected kind '{COMPONENT}' for path '{root}' but got '{kind}'");
            return Err(Error::WrongKind(text));
        }
        if !component && kind == COMPONENT {
            return Err(Error::WrongKind(format!("expected kind != '{COMPONENT}' for path '{root}'")));
        }
        let start = if component { std::mem::take(into) } else { Accumulator::default() };
        let accumulated = target
            .accumulate(session, start)
            .map_err(|err| err.context(format!("recursed accumulation of path '{root}'")))?;
        into.merge(accumulated).map_err(|err| err.context(format!("recursed merging from path '{root}'")))
    }

    fn accumulate_components(
        &mut self,
        session: &mut Session<'_>,
        into: &mut Accumulator,
    ) -> Result<(), Error> {
        for path in self.kustomization.components.clone().unwrap_or_default() {
            let loader = self
                .loader
                .enter(&path)
                .map_err(|err| Error::Component { what: "loader.New", source: Box::new(err) })?;
            self.accumulate_directory(session, into, &path, loader, true)
                .map_err(|err| Error::Component { what: "accumulateDirectory:", source: Box::new(err) })?;
        }
        Ok(())
    }

    fn merge_config(&self, into: &mut Accumulator) -> Result<(), Error> {
        let mut config = TransformerConfig::defaults();
        let configurations = self.kustomization.configurations.as_deref().unwrap_or_default();
        if !configurations.is_empty() {
            let more = configurations::load(configurations, &self.loader)?;
            Arc::make_mut(&mut config).merge(&more)?;
        }
        let merging = |err: ConfigError| Error::from(err).context("merging config");
        into.config.merge(&config).map_err(merging)?;
        let crds = self.kustomization.crds.as_deref().unwrap_or_default();
        if !crds.is_empty() {
            let more = configurations::load_crds(crds, &self.loader)
                .map_err(|err| err.context(format!("loading CRDs [{}]", crds.join(" "))))?;
            let more = Arc::new(more);
            into.config.merge(&more).map_err(merging)?;
        }
        Ok(())
    }

    fn run_generators(&mut self, session: &mut Session<'_>, into: &mut Accumulator) -> Result<(), Error> {
        self.refuse_helm()?;
        let kustomization = &self.kustomization;
        let global = kustomization.generator_options.as_ref();
        let builtin = [
            (Generated::ConfigMap, "ConfigMapGenerator", &kustomization.config_map_generator),
            (Generated::Secret, "SecretGenerator", &kustomization.secret_generator),
        ];
        // All are configured before the first one runs.
        let plugins =
            self.plugin_generators(session).map_err(|err| err.context("loading generator plugins"))?;
        for (kind, name, entries) in builtin {
            for args in entries.iter().flatten() {
                let resource = generate(kind, args, global, &self.loader)?;
                let origin = self.origin.as_ref().map(|origin| origin.builtin(self.file, name));
                absorb(into, resource, origin)?;
            }
        }
        for (plugin, origin) in plugins {
            let resource = plugin.generate(&self.loader, &session.schemas)?;
            absorb(into, resource, origin)?;
        }
        Ok(())
    }

    fn plugin_generators(
        &self,
        session: &mut Session<'_>,
    ) -> Result<Vec<(PluginGenerator, Option<Origin>)>, Error> {
        let entries = self.kustomization.generators.clone();
        let configs = self.plugin_configs(session, entries, "configuring external generator")?;
        let load = |config: &Resource| {
            let plugin = load_generator(config, &self.loader, &session.schemas)
                .map_err(|err| err.context("failed to load generator"))?;
            Ok((plugin, Origin::of_plugin(config)))
        };
        configs.iter().map(load).collect()
    }

    fn refuse_helm(&self) -> Result<(), Error> {
        let Some(chart) = self.kustomization.helm_charts.iter().flatten().next() else { return Ok(()) };
        let mut config = chart.clone();
        if let Value::Object(config) = &mut config
            && !self.kustomization.namespace.is_empty()
            && config.get("namespace").and_then(Value::as_str).is_none_or(str::is_empty)
        {
            config.insert("namespace".to_owned(), self.kustomization.namespace.clone().into());
        }
        if let (Value::Object(config), Some(Value::Object(globals))) =
            (&mut config, &self.kustomization.helm_globals)
        {
            config.extend(globals.clone());
        }
        let shown = yaml::from_json(&config);
        let context =
            format!("trouble configuring builtin HelmChartInflationGenerator with config: `\n{shown}`");
        Err(Error::from(PluginError::Helm).context(context))
    }

    /// The objects that `generators`, `transformers` or `validators` list, inline or by path. `doing` is what the error
    /// says of inline ones that cannot be together.
    fn plugin_configs(
        &self,
        session: &mut Session<'_>,
        entries: Option<Vec<String>>,
        doing: &str,
    ) -> Result<Vec<Resource>, Error> {
        let mut accumulator = Accumulator::default();
        let mut paths = Vec::new();
        for entry in entries.unwrap_or_default() {
            let Ok(mut resources) = self.read(session, entry.as_bytes()) else {
                paths.push(entry);
                continue;
            };
            if let Some(origin) = &self.origin {
                let text = origin.enter(self.file).to_yaml();
                for resource in &mut resources {
                    resource.set_annotation(ORIGIN, &text)?;
                }
            }
            accumulator.resources.append_all(resources).map_err(|err| err.context(doing))?;
        }
        let mut target = Target {
            kustomization: Kustomization {
                build_metadata: self.kustomization.build_metadata.clone(),
                ..Kustomization::default()
            },
            loader: self.loader.clone(),
            origin: self.origin.clone(),
            file: self.file,
        };
        target.accumulate_resources(session, &mut accumulator, &paths)?;
        Ok(accumulator.resources.take())
    }

    fn plugin_transformers(
        &self,
        session: &mut Session<'_>,
        entries: Option<Vec<String>>,
    ) -> Result<Vec<Step>, Error> {
        let configs = self.plugin_configs(session, entries, "configuring external transformer")?;
        let mut steps = Vec::with_capacity(configs.len());
        for config in &configs {
            let transformer = load_transformer(config, &self.loader, &session.schemas)?;
            steps.push(Step { transformer, origin: Origin::of_plugin(config) });
        }
        Ok(steps)
    }

    fn run_transformers(&mut self, session: &mut Session<'_>, into: &mut Accumulator) -> Result<(), Error> {
        let config = into.config.get();
        let mut steps = self.builtin_transformers(session, &config)?;
        steps.extend(self.plugin_transformers(session, self.kustomization.transformers.clone())?);
        for step in &steps {
            step.transformer.transform(&mut into.resources, &session.schemas)?;
            if let Some(origin) = &step.origin {
                add_transformation(&mut into.resources, origin)?;
            }
            into.resources.drop_deleted();
            into.resources.spread_twins();
        }
        Ok(())
    }

    fn run_validators(&mut self, session: &mut Session<'_>, into: &mut Accumulator) -> Result<(), Error> {
        for step in self.plugin_transformers(session, self.kustomization.validators.clone())? {
            let before = snapshot(&into.resources)?;
            step.transformer.transform(&mut into.resources, &session.schemas)?;
            let after = snapshot(&into.resources)?;
            refuse_changes(&before, &after)?;
        }
        Ok(())
    }
}

fn accumulation(file: Error, directory: Error) -> Error {
    Error::Accumulation { file: Box::new(file), directory: Box::new(directory) }
}

fn absorb(into: &mut Accumulator, mut resource: Resource, origin: Option<Origin>) -> Result<(), Error> {
    if let Some(origin) = origin.filter(|_| resource.origin().is_none()) {
        resource.set_annotation(ORIGIN, &origin.to_yaml())?;
    }
    // The struct of the generator, of which Go shows pointers here, is left out.
    into.resources.absorb(resource).map_err(|err| err.context("merging from generator"))
}

/// Resources as a validator must leave them: by id, as JSON, without the label it may set.
fn snapshot(resources: &Resources) -> Result<Vec<(String, String)>, Error> {
    let mut shown = Vec::with_capacity(resources.len());
    for resource in resources {
        let mut copy = resource.clone();
        let mut labels = copy.labels();
        if labels.remove(VALIDATED_BY).is_some() {
            copy.set_labels(labels)?;
        }
        let json = match yaml::node_to_json_text(&copy.node) {
            Ok(json) => json,
            Err(err) => format!("<{err}>"),
        };
        shown.push((id_key(resource), json));
    }
    Ok(shown)
}

fn refuse_changes(before: &[(String, String)], after: &[(String, String)]) -> Result<(), PluginError> {
    let changed = |text: String| Err(PluginError::ValidatorChanges(text));
    if before.len() != after.len() {
        return changed("lists have different number of entries".to_owned());
    }
    let after: HashMap<&str, &str> = after.iter().map(|(id, json)| (id.as_str(), json.as_str())).collect();
    for (id, json) in before {
        match after.get(id.as_str()) {
            None => return changed(format!("id in self missing from other; id: {}", id.replace('\0', " "))),
            Some(new) if new != json => {
                return changed(format!("nodes unequal: \n -- {json},\n -- {new}\n\n--\n"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
