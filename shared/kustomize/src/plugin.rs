//! Built-in generators and transformers that are configured by objects, in `generators`, `transformers` and
//! `validators`.

use crate::error::Error;
use crate::fieldspec::FieldSpec;
use crate::generate::{Generated, generate};
use crate::kustomization::decode::{At, Decode, decode_struct};
use crate::kustomization::{
    GeneratorArgs, Image, ObjectMeta, PatchArgs, PatchOptions, ReplacementField, Replica, Selector,
};
use crate::loader::Loader;
use crate::reader::read_objects;
use crate::replacement::ReplacementTransformer;
use crate::resource::Resource;
use crate::schema::Schemas;
use crate::transform::{
    AffixTransformer, AnnotationsTransformer, HashTransformer, IamPolicyArgs, ImageTransformer,
    JsonPatchTransformer, LabelTransformer, NamespaceTransformer, PatchTransformer, ReplicaTransformer, Side,
    StrategicMergeTransformer, SubjectMode, Transform, TransformError, ValueAddArgs, ValueAddTransformer,
    generate_iam_policy,
};
use crate::yaml;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a plugin cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PluginError {
    /// `apiVersion: builtin` with a kind that does not exist.
    #[error("unable to load builtin {0}")]
    Unknown(String),
    /// Any other apiVersion.
    #[error("external plugins disabled; unable to load external plugin '{0}'")]
    External(String),
    /// A transformer among generators.
    #[error("plugin {0} not a generator")]
    NotAGenerator(String),
    /// A generator among transformers.
    #[error("plugin {0} not a transformer")]
    NotATransformer(String),
    /// Helm charts.
    #[error("must specify --enable-helm")]
    Helm,
    /// A transformer without `fieldSpecs`.
    #[error("fieldSpecs is not expected to be nil")]
    NoFieldSpecs,
    /// A validator that changes something.
    #[error("validator shouldn't modify the resource map: {0}")]
    ValidatorChanges(String),
}

const GENERATORS: [&str; 4] =
    ["ConfigMapGenerator", "IAMPolicyGenerator", "SecretGenerator", "HelmChartInflationGenerator"];

const TRANSFORMERS: [&str; 14] = [
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "SuffixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "ValueAddTransformer",
];

/// A generator that was configured by an object.
pub(crate) enum PluginGenerator {
    /// A ConfigMap or a Secret.
    Pairs(Generated, Box<GeneratorArgs>),
    /// An account for Google's IAM.
    IamPolicy(IamPolicyArgs),
}

impl PluginGenerator {
    pub(crate) fn generate(self, loader: &Loader<'_>, schemas: &Schemas) -> Result<Resource, Error> {
        match self {
            PluginGenerator::Pairs(kind, args) => generate(kind, &args, None, loader),
            PluginGenerator::IamPolicy(args) => {
                Ok(Resource::new(generate_iam_policy(&args)?, schemas.custom_scopes()))
            }
        }
    }
}

/// The generator that a configuration describes.
pub(crate) fn load_generator(
    config: &Resource,
    loader: &Loader<'_>,
    schemas: &Schemas,
) -> Result<PluginGenerator, Error> {
    refuse_unknown(config)?;
    let id = config.original_id().to_string();
    let fails = |err: Error| err.context(format!("plugin {id} fails configuration"));
    if !GENERATORS.contains(&config.kind()) {
        // A transformer is configured before it is found to be none of the generators.
        configure(config, loader, schemas).map_err(fails)?;
        return Err(PluginError::NotAGenerator(id).into());
    }
    let value = config.to_json()?;
    let at = At::lenient(config.kind());
    let node = match config.kind() {
        "HelmChartInflationGenerator" => return Err(fails(PluginError::Helm.into())),
        "IAMPolicyGenerator" => {
            let args = IamPolicyArgs::decode(value, &at).map_err(|err| fails(err.into()))?;
            return Ok(PluginGenerator::IamPolicy(args));
        }
        kind => {
            if kind == "SecretGenerator" {
                Generated::Secret
            } else {
                Generated::ConfigMap
            }
        }
    };
    let metadata = metadata(&value).map_err(fails)?;
    let mut args = GeneratorArgs::decode(value, &at).map_err(|err| fails(err.into()))?;
    args.complete();
    if args.name.is_empty() {
        args.name = metadata.name;
    }
    if args.namespace.is_empty() {
        args.namespace = metadata.namespace;
    }
    Ok(PluginGenerator::Pairs(node, Box::new(args)))
}

/// The transformer that a configuration describes.
pub(crate) fn load_transformer(
    config: &Resource,
    loader: &Loader<'_>,
    schemas: &Schemas,
) -> Result<Box<dyn Transform>, Error> {
    refuse_unknown(config)?;
    let id = config.original_id().to_string();
    if GENERATORS.contains(&config.kind()) {
        return Err(PluginError::NotATransformer(id).into());
    }
    configure(config, loader, schemas).map_err(|err| err.context(format!("plugin {id} fails configuration")))
}

fn refuse_unknown(config: &Resource) -> Result<(), PluginError> {
    if config.api_version() != "builtin" {
        return Err(PluginError::External(config.original_id().gvk.kind));
    }
    if GENERATORS.contains(&config.kind()) || TRANSFORMERS.contains(&config.kind()) {
        return Ok(());
    }
    Err(PluginError::Unknown(config.gvk().to_string()))
}

fn metadata(value: &Value) -> Result<ObjectMeta, Error> {
    match value.get("metadata") {
        Some(metadata) if !metadata.is_null() => {
            Ok(ObjectMeta::decode(metadata.clone(), &At::lenient("ObjectMeta"))?)
        }
        _ => Ok(ObjectMeta::default()),
    }
}

/// Every field that any transformer's configuration may have.
#[derive(Clone, Debug, Default)]
struct TransformerArgs {
    field_specs: Option<Vec<FieldSpec>>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    prefix: String,
    suffix: String,
    unset_only: bool,
    set_role_binding_subjects: String,
    image_tag: Image,
    replica: Replica,
    path: String,
    json_op: String,
    target: Option<Selector>,
    options: Option<PatchOptions>,
    paths: Option<Vec<String>>,
    patch: String,
    patches: String,
    replacements: Option<Vec<ReplacementField>>,
}

decode_struct!(TransformerArgs {
    "fieldSpecs" => field_specs,
    "labels" => labels,
    "annotations" => annotations,
    "prefix" => prefix,
    "suffix" => suffix,
    "unsetOnly" => unset_only,
    "setRoleBindingSubjects" => set_role_binding_subjects,
    "imageTag" => image_tag,
    "replica" => replica,
    "path" => path,
    "jsonOp" => json_op,
    "target" => target,
    "options" => options,
    "paths" => paths,
    "patch" => patch,
    "patches" => patches,
    "replacements" => replacements,
});

fn configure(config: &Resource, loader: &Loader<'_>, schemas: &Schemas) -> Result<Box<dyn Transform>, Error> {
    let mut value = config.to_json()?;
    let kind = config.kind();
    if kind == "ValueAddTransformer" {
        return value_add(value, loader);
    }
    let metadata = metadata(&value)?;
    keep_only(&mut value, fields_of(kind));
    let args = TransformerArgs::decode(value, &At::lenient(kind))?;
    let fields = args.field_specs.clone().unwrap_or_default();
    let required = || args.field_specs.clone().ok_or(PluginError::NoFieldSpecs);
    Ok(match kind {
        "AnnotationsTransformer" => {
            Box::new(AnnotationsTransformer { annotations: args.annotations.unwrap_or_default(), fields })
        }
        "LabelTransformer" => Box::new(LabelTransformer { labels: args.labels.unwrap_or_default(), fields }),
        "HashTransformer" => Box::new(HashTransformer),
        "ImageTagTransformer" => Box::new(ImageTransformer::new(args.image_tag, fields)?),
        "NamespaceTransformer" => Box::new(NamespaceTransformer {
            namespace: metadata.namespace,
            fields,
            unset_only: args.unset_only,
            subjects: SubjectMode::parse(&args.set_role_binding_subjects)?,
        }),
        "PatchJson6902Transformer" => Box::new(JsonPatchTransformer::new(
            &PatchArgs { path: args.path, patch: args.json_op, target: args.target, options: None },
            loader,
        )?),
        "PatchStrategicMergeTransformer" => {
            Box::new(strategic_merge(&args.paths.unwrap_or_default(), &args.patches, loader, schemas)?)
        }
        "PatchTransformer" => {
            let shown = config.to_yaml()?;
            let patch =
                PatchArgs { path: args.path, patch: args.patch, target: args.target, options: args.options };
            Box::new(PatchTransformer::new(&patch, &shown, loader, schemas)?)
        }
        "PrefixTransformer" => {
            Box::new(AffixTransformer { side: Side::Prefix, text: args.prefix.clone(), fields: required()? })
        }
        "SuffixTransformer" => {
            Box::new(AffixTransformer { side: Side::Suffix, text: args.suffix.clone(), fields: required()? })
        }
        "PrefixSuffixTransformer" => {
            let prefix =
                AffixTransformer { side: Side::Prefix, text: args.prefix.clone(), fields: required()? };
            let suffix =
                AffixTransformer { side: Side::Suffix, text: args.suffix.clone(), fields: required()? };
            Box::new(Both(prefix, suffix))
        }
        "ReplacementTransformer" => {
            Box::new(ReplacementTransformer::new(&args.replacements.unwrap_or_default(), loader)?)
        }
        "ReplicaCountTransformer" => Box::new(ReplicaTransformer { replica: args.replica, fields }),
        _ => return Err(PluginError::Unknown(config.gvk().to_string()).into()),
    })
}

/// Removes fields of other transformers, which this one ignores whatever their type.
fn keep_only(value: &mut Value, fields: &[&str]) {
    if let Value::Object(map) = value {
        let kept: Map<String, Value> = std::mem::take(map)
            .into_iter()
            .filter(|(name, _)| fields.iter().any(|field| field.eq_ignore_ascii_case(name)))
            .collect();
        *map = kept;
    }
}

fn fields_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "AnnotationsTransformer" => &["annotations", "fieldSpecs"],
        "LabelTransformer" => &["labels", "fieldSpecs"],
        "ImageTagTransformer" => &["imageTag", "fieldSpecs"],
        "NamespaceTransformer" => &["fieldSpecs", "unsetOnly", "setRoleBindingSubjects"],
        "PatchJson6902Transformer" => &["path", "jsonOp", "target"],
        "PatchStrategicMergeTransformer" => &["paths", "patches"],
        "PatchTransformer" => &["path", "patch", "target", "options"],
        "PrefixTransformer" => &["prefix", "fieldSpecs"],
        "SuffixTransformer" => &["suffix", "fieldSpecs"],
        "PrefixSuffixTransformer" => &["prefix", "suffix", "fieldSpecs"],
        "ReplacementTransformer" => &["replacements"],
        "ReplicaCountTransformer" => &["replica", "fieldSpecs"],
        _ => &[],
    }
}

fn value_add(value: Value, loader: &Loader<'_>) -> Result<Box<dyn Transform>, Error> {
    let at = At::lenient("ValueAddTransformer");
    let mut args = ValueAddArgs::decode(value, &at)?;
    if !args.target_file_path.is_empty() {
        let content = loader.load(&args.target_file_path)?;
        let value = yaml::to_json(&content).map_err(|err| Error::Yaml(err.to_string()))?;
        if !value.is_null() {
            let more = ValueAddArgs::decode(value, &at)?;
            args.targets.get_or_insert_default().extend(more.targets.unwrap_or_default());
        }
    }
    Ok(Box::new(ValueAddTransformer::new(args, loader.root())?))
}

/// Loads strategic merge patches: each path is a text with patches, or else a file of them.
pub(crate) fn strategic_merge(
    paths: &[String],
    inline: &str,
    loader: &Loader<'_>,
    schemas: &Schemas,
) -> Result<StrategicMergeTransformer, Error> {
    if paths.is_empty() && inline.is_empty() {
        return Err(TransformError::NoStrategicMerge.into());
    }
    let mut objects = Vec::new();
    for path in paths {
        match read_objects(path.as_bytes()) {
            Ok(found) => objects.extend(found),
            Err(_) => {
                let content = loader.load(path)?;
                let found = read_objects(&content);
                objects.extend(found.map_err(|source| match source.is_malformed() {
                    true => Error::Malformed { path: path.clone(), source },
                    false => source.into(),
                })?);
            }
        }
    }
    if !inline.is_empty() {
        objects.extend(read_objects(inline.as_bytes())?);
    }
    if objects.is_empty() {
        let described = format!("files=[{}], Patch={inline}", paths.join(" "));
        return Err(TransformError::EmptyPatch(described).into());
    }
    let patches = objects.into_iter().map(|object| Resource::new(object, schemas.custom_scopes())).collect();
    Ok(StrategicMergeTransformer { patches })
}

/// Two transformers, one after the other.
struct Both<A, B>(A, B);

impl<A: Transform, B: Transform> Transform for Both<A, B> {
    fn transform(&self, resources: &mut crate::resources::Resources, schemas: &Schemas) -> Result<(), Error> {
        self.0.transform(resources, schemas)?;
        self.1.transform(resources, schemas)
    }
}
