//! Files of `configurations` and `crds`: more field specs for the transformers.

use crate::config::{ConfigError, NameReference, TransformerConfig};
use crate::error::Error;
use crate::fieldspec::{FieldSpec, merge_one};
use crate::id::Gvk;
use crate::kustomization::decode::{At, Decode, DecodeError, decode_struct};
use crate::loader::Loader;
use crate::yaml;
use serde_json::{Map, Value};

/// The built-in tables with those of the files merged in.
pub(crate) fn load(paths: &[String], loader: &Loader<'_>) -> Result<TransformerConfig, Error> {
    let mut merged = TransformerConfig::default();
    for path in paths {
        let content = loader.load(path)?;
        merged.merge(&parse(&content)?)?;
    }
    Ok(merged)
}

fn parse(content: &[u8]) -> Result<TransformerConfig, Error> {
    let value = yaml::to_json_strict(content).map_err(|err| Error::Yaml(err.to_string()))?;
    let map = match value {
        Value::Null => return Ok(TransformerConfig::default()),
        Value::Object(map) => map,
        other => {
            return Err(At::root("TransformerConfig").wrong(&other, "types.TransformerConfig".into()).into());
        }
    };
    let root = At::root_of_scalars("TransformerConfig");
    let mut config = TransformerConfig::default();
    for (name, value) in map {
        if name.eq_ignore_ascii_case("nameReference") {
            if !value.is_null() {
                config.name_reference = Vec::<NameReference>::decode(value, &root.field("nameReference"))?;
            }
            continue;
        }
        let Some(canonical) = TransformerConfig::table_name(&name) else {
            return Err(DecodeError::UnknownField(name).into());
        };
        let Some(table) = config.table_mut(canonical).filter(|_| !value.is_null()) else { continue };
        *table = Vec::<FieldSpec>::decode(value, &root.field(canonical))?;
        table.sort_by_cached_key(|spec| spec.gvk.sort_key());
    }
    config.name_reference.sort_by_cached_key(|reference| reference.target.sort_key());
    Ok(config)
}

#[derive(Clone, Debug, Default)]
struct NameReferenceArgs {
    group: String,
    version: String,
    kind: String,
    field_specs: Option<Vec<FieldSpec>>,
}

decode_struct!(NameReferenceArgs {
    "group" => group,
    "version" => version,
    "kind" => kind,
    "fieldSpecs" => field_specs,
});

impl Decode for NameReference {
    fn decode(value: Value, at: &At<'_>) -> Result<NameReference, DecodeError> {
        let args = NameReferenceArgs::decode(value, at)?;
        Ok(NameReference {
            target: Gvk { group: args.group, version: args.version, kind: args.kind },
            referrers: args.field_specs.unwrap_or_default(),
        })
    }

    fn type_name() -> String {
        "builtinconfig.NameBackReferences".into()
    }

    fn zero() -> NameReference {
        NameReference { target: Gvk::default(), referrers: Vec::new() }
    }
}

/// How far definitions may lead. Few of them that refer to each other can be a tree of any size.
const MAX_STEPS: u64 = 20_000_000;

/// How deep one definition may be in others.
const MAX_DEPTH: usize = 200;

/// The field specs that OpenAPI definitions ask for with kustomize's extensions.
pub(crate) fn load_crds(paths: &[String], loader: &Loader<'_>) -> Result<TransformerConfig, Error> {
    let mut merged = TransformerConfig::default();
    let mut steps = MAX_STEPS;
    for path in paths {
        let content = loader.load(path)?;
        let value = yaml::to_json(&content).map_err(|err| {
            Error::Yaml(err.to_string()).context(format!("unable to parse open API definition from '{path}'"))
        })?;
        let Value::Object(definitions) = value else { continue };
        for (name, definition) in &definitions {
            let Some(properties) = properties(definition) else { continue };
            if !["kind", "apiVersion", "metadata"].iter().all(|field| properties.contains_key(*field)) {
                continue;
            }
            let kind = name.rsplit('.').next().unwrap_or_default();
            let mut walk = CrdWalk {
                definitions: &definitions,
                gvk: Gvk { kind: kind.to_owned(), ..Gvk::default() },
                config: TransformerConfig::default(),
                visiting: Vec::new(),
                steps,
            };
            walk.visit(name, &mut Vec::new())?;
            steps = walk.steps;
            merged.merge(&walk.config)?;
        }
    }
    Ok(merged)
}

fn properties(definition: &Value) -> Option<&Map<String, Value>> {
    let schema = definition.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("schema"))?.1;
    schema.get("properties")?.as_object()
}

struct CrdWalk<'a> {
    definitions: &'a Map<String, Value>,
    gvk: Gvk,
    config: TransformerConfig,
    /// The definitions on the way here, so that one that refers to itself ends.
    visiting: Vec<String>,
    /// How many more steps may be made.
    steps: u64,
}

impl CrdWalk<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = self.steps.checked_sub(1 + steps as u64).ok_or(Error::Limit {
            what: "the fields that the definitions of CRDs lead to",
            limit: MAX_STEPS,
        })?;
        Ok(())
    }

    fn visit(&mut self, name: &str, path: &mut Vec<String>) -> Result<(), Error> {
        if self.visiting.iter().any(|visiting| visiting == name) {
            return Ok(());
        }
        let definitions = self.definitions;
        let Some(properties) = definitions.get(name).and_then(properties) else { return Ok(()) };
        self.spend(self.visiting.len())?;
        if self.visiting.len() >= MAX_DEPTH {
            let limit = MAX_DEPTH as u64;
            return Err(Error::Limit { what: "the depth of the definitions of CRDs", limit });
        }
        self.visiting.push(name.to_owned());
        for (field, property) in properties {
            path.push(field.clone());
            self.visit_property(property, path)?;
            path.pop();
        }
        self.visiting.pop();
        Ok(())
    }

    fn visit_property(&mut self, property: &Value, path: &mut Vec<String>) -> Result<(), Error> {
        self.spend(0)?;
        let extension = |name: &str| property.get(name).and_then(Value::as_str);
        for (name, table) in [
            ("x-kubernetes-annotation", "commonAnnotations"),
            ("x-kubernetes-label-selector", "commonLabels"),
            ("x-kubernetes-identity", "namePrefix"),
        ] {
            if extension(name).is_some() {
                let spec = FieldSpec::new(self.gvk.clone(), path.join("/"), false);
                let length = self.config.table_mut(table).map_or(0, |table| table.len());
                self.spend(length)?;
                if let Some(table) = self.config.table_mut(table) {
                    merge_one(table, &spec).map_err(|source| ConfigError::new("CRD", source))?;
                }
            }
        }
        let version = extension("x-kubernetes-object-ref-api-version");
        if let (Some(version), Some(kind)) = (version, extension("x-kubernetes-object-ref-kind")) {
            let key = extension("x-kubernetes-object-ref-name-key").unwrap_or("name");
            let path = format!("{}/{key}", path.join("/"));
            let known: usize = self.config.name_reference.iter().map(|known| known.referrers.len()).sum();
            self.spend(known)?;
            let mut config = TransformerConfig::default();
            config.name_reference.push(NameReference {
                target: Gvk { group: String::new(), version: version.to_owned(), kind: kind.to_owned() },
                referrers: vec![FieldSpec::new(self.gvk.clone(), path, false)],
            });
            self.config.merge(&config)?;
        }
        match property.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.visit(reference, path),
            None => Ok(()),
        }
    }
}
