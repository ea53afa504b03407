//! The kustomization file: its fields, how they are read, and what makes one invalid.

pub(crate) mod decode;

use crate::fieldspec::FieldSpec;
use crate::id::Gvk;
use decode::{Decode, DecodeError, decode_struct};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use thiserror::Error;

/// The names a kustomization file may have.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

const VERSION: &str = "kustomize.config.k8s.io/v1beta1";
const COMPONENT_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";
pub(crate) const COMPONENT: &str = "Component";

/// Why a kustomization file is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KustomizationError {
    /// It is not YAML.
    #[error("invalid Kustomization: {0}")]
    Syntax(String),
    /// A field is unknown or has a value of the wrong type.
    #[error("invalid Kustomization: {0}")]
    Field(#[from] DecodeError),
    /// It is not YAML, where Flux reads it.
    #[error("error converting YAML to JSON: {0}")]
    Convert(String),
    /// A field has a value of the wrong type, where Flux reads it.
    #[error("error unmarshaling JSON: while decoding JSON: {0}")]
    Unmarshal(DecodeError),
    /// It says nothing.
    #[error("kustomization.yaml is empty")]
    Empty,
    /// `kind` or `apiVersion` are wrong.
    #[error("Failed to read kustomization file under {directory}:\n{}", .problems.join("\n"))]
    WrongType {
        /// Where the file is.
        directory: String,
        /// What is wrong.
        problems: Vec<String>,
    },
}

/// The fields of a kustomization or component.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kustomization {
    pub(crate) kind: String,
    pub(crate) api_version: String,
    pub(crate) metadata: Option<ObjectMeta>,
    pub(crate) openapi: Option<BTreeMap<String, String>>,
    pub(crate) name_prefix: String,
    pub(crate) name_suffix: String,
    pub(crate) namespace: String,
    pub(crate) common_labels: Option<BTreeMap<String, String>>,
    pub(crate) labels: Option<Vec<Label>>,
    pub(crate) common_annotations: Option<BTreeMap<String, String>>,
    pub(crate) patches_strategic_merge: Option<Vec<String>>,
    pub(crate) patches_json6902: Option<Vec<PatchArgs>>,
    pub(crate) patches: Option<Vec<PatchArgs>>,
    pub(crate) images: Option<Vec<Image>>,
    pub(crate) image_tags: Option<Vec<Image>>,
    pub(crate) replacements: Option<Vec<ReplacementField>>,
    pub(crate) replicas: Option<Vec<Replica>>,
    pub(crate) vars: Option<Vec<Var>>,
    pub(crate) sort_options: Option<SortOptions>,
    pub(crate) resources: Option<Vec<String>>,
    pub(crate) components: Option<Vec<String>>,
    pub(crate) crds: Option<Vec<String>>,
    pub(crate) bases: Option<Vec<String>>,
    pub(crate) config_map_generator: Option<Vec<GeneratorArgs>>,
    pub(crate) secret_generator: Option<Vec<GeneratorArgs>>,
    pub(crate) helm_globals: Option<Value>,
    pub(crate) helm_charts: Option<Vec<Value>>,
    pub(crate) helm_chart_inflation_generator: Option<Vec<Value>>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) configurations: Option<Vec<String>>,
    pub(crate) generators: Option<Vec<String>>,
    pub(crate) transformers: Option<Vec<String>>,
    pub(crate) validators: Option<Vec<String>>,
    pub(crate) build_metadata: Option<Vec<String>>,
}

decode_struct!(Kustomization {
    "kind" => kind in "TypeMeta",
    "apiVersion" => api_version in "TypeMeta",
    "metadata" => metadata,
    "openapi" => openapi,
    "namePrefix" => name_prefix,
    "nameSuffix" => name_suffix,
    "namespace" => namespace,
    "commonLabels" => common_labels,
    "labels" => labels,
    "commonAnnotations" => common_annotations,
    "patchesStrategicMerge" => patches_strategic_merge,
    "patchesJson6902" => patches_json6902,
    "patches" => patches,
    "images" => images,
    "imageTags" => image_tags,
    "replacements" => replacements,
    "replicas" => replicas,
    "vars" => vars,
    "sortOptions" => sort_options,
    "resources" => resources,
    "components" => components,
    "crds" => crds,
    "bases" => bases,
    "configMapGenerator" => config_map_generator,
    "secretGenerator" => secret_generator,
    "helmGlobals" => helm_globals,
    "helmCharts" => helm_charts,
    "helmChartInflationGenerator" => helm_chart_inflation_generator,
    "generatorOptions" => generator_options,
    "configurations" => configurations,
    "generators" => generators,
    "transformers" => transformers,
    "validators" => validators,
    "buildMetadata" => build_metadata,
});

/// Metadata of a kustomization or of a plugin's configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectMeta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

decode_struct!(ObjectMeta {
    "name" => name,
    "namespace" => namespace,
    "labels" => labels,
    "annotations" => annotations,
});

/// An entry of `labels`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) pairs: Option<BTreeMap<String, String>>,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Option<Vec<FieldSpec>>,
}

decode_struct!(Label {
    "pairs" => pairs,
    "includeSelectors" => include_selectors,
    "includeTemplates" => include_templates,
    "fields" => fields,
});

/// An entry of `patches` or `patchesJson6902`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatchArgs {
    pub(crate) path: String,
    pub(crate) patch: String,
    pub(crate) target: Option<Selector>,
    pub(crate) options: Option<PatchOptions>,
}

decode_struct!(PatchArgs {
    "path" => path,
    "patch" => patch,
    "target" => target,
    "options" => options,
});

/// What a patch may change besides the fields it is meant for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PatchOptions {
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

decode_struct!(PatchOptions {
    "allowNameChange" => allow_name_change,
    "allowKindChange" => allow_kind_change,
});

/// Selects resources, by regular expressions or exact texts depending on where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) annotation_selector: String,
    pub(crate) label_selector: String,
}

decode_struct!(Selector {
    "group" => group in "ResId.Gvk",
    "version" => version in "ResId.Gvk",
    "kind" => kind in "ResId.Gvk",
    "name" => name in "ResId",
    "namespace" => namespace in "ResId",
    "annotationSelector" => annotation_selector,
    "labelSelector" => label_selector,
});

/// An entry of `images`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) tag_suffix: String,
    pub(crate) new_tag: String,
    pub(crate) digest: String,
}

decode_struct!(Image {
    "name" => name,
    "newName" => new_name,
    "tagSuffix" => tag_suffix,
    "newTag" => new_tag,
    "digest" => digest,
});

/// An entry of `replicas`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

decode_struct!(Replica { "name" => name, "count" => count });

/// An entry of `replacements`: a replacement, or a file with some.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplacementField {
    pub(crate) path: String,
    pub(crate) source: Option<ReplacementSource>,
    pub(crate) targets: Option<Vec<Option<ReplacementTarget>>>,
    pub(crate) source_value: Option<String>,
}

decode_struct!(ReplacementField {
    "path" => path,
    "source" => source in "Replacement",
    "targets" => targets in "Replacement",
    "sourceValue" => source_value in "Replacement",
});

/// Where a replacement takes its value from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplacementSource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) field_path: String,
    pub(crate) options: Option<FieldOptions>,
}

decode_struct!(ReplacementSource {
    "group" => group in "ResId.Gvk",
    "version" => version in "ResId.Gvk",
    "kind" => kind in "ResId.Gvk",
    "name" => name in "ResId",
    "namespace" => namespace in "ResId",
    "fieldPath" => field_path,
    "options" => options,
});

/// Where a replacement puts its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplacementTarget {
    pub(crate) select: Option<Selector>,
    pub(crate) reject: Option<Vec<Option<Selector>>>,
    pub(crate) field_paths: Option<Vec<String>>,
    pub(crate) options: Option<FieldOptions>,
}

decode_struct!(ReplacementTarget {
    "select" => select,
    "reject" => reject,
    "fieldPaths" => field_paths,
    "options" => options,
});

/// Which part of a field is meant, and whether to create it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) encoding: String,
    pub(crate) create: bool,
}

decode_struct!(FieldOptions {
    "delimiter" => delimiter,
    "index" => index,
    "encoding" => encoding,
    "create" => create,
});

/// An entry of `vars`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) objref: VarTarget,
    pub(crate) fieldref: VarField,
}

decode_struct!(Var { "name" => name, "objref" => objref, "fieldref" => fieldref });

/// The object a variable is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VarTarget {
    pub(crate) api_version: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

decode_struct!(VarTarget {
    "apiVersion" => api_version,
    "group" => group in "Gvk",
    "version" => version in "Gvk",
    "kind" => kind in "Gvk",
    "name" => name,
    "namespace" => namespace,
});

/// The field a variable is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VarField {
    pub(crate) field_path: String,
}

decode_struct!(VarField { "fieldPath" => field_path });

/// `sortOptions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct SortOptions {
    pub(crate) order: String,
    pub(crate) legacy: Option<LegacySortOptions>,
}

decode_struct!(SortOptions { "order" => order, "legacySortOptions" => legacy });

/// Which kinds come first and last.
#[derive(Clone, Debug, Default)]
pub(crate) struct LegacySortOptions {
    pub(crate) first: Option<Vec<String>>,
    pub(crate) last: Option<Vec<String>>,
}

decode_struct!(LegacySortOptions { "orderFirst" => first, "orderLast" => last });

/// An entry of `configMapGenerator` or `secretGenerator`.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeneratorArgs {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) behavior: String,
    pub(crate) literals: Option<Vec<String>>,
    pub(crate) files: Option<Vec<String>>,
    pub(crate) envs: Option<Vec<String>>,
    pub(crate) env: String,
    pub(crate) options: Option<GeneratorOptions>,
    pub(crate) secret_type: String,
}

decode_struct!(GeneratorArgs {
    "name" => name in "GeneratorArgs",
    "namespace" => namespace in "GeneratorArgs",
    "behavior" => behavior in "GeneratorArgs",
    "literals" => literals in "GeneratorArgs.KvPairSources",
    "files" => files in "GeneratorArgs.KvPairSources",
    "envs" => envs in "GeneratorArgs.KvPairSources",
    "env" => env in "GeneratorArgs.KvPairSources",
    "options" => options in "GeneratorArgs",
    "type" => secret_type,
});

/// `generatorOptions`, for all generators or one.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

decode_struct!(GeneratorOptions {
    "labels" => labels,
    "annotations" => annotations,
    "disableNameSuffixHash" => disable_name_suffix_hash,
    "immutable" => immutable,
});

/// A field spec as files write it.
#[derive(Clone, Debug, Default)]
struct FieldSpecArgs {
    group: String,
    version: String,
    kind: String,
    path: String,
    create: bool,
}

decode_struct!(FieldSpecArgs {
    "group" => group in "Gvk",
    "version" => version in "Gvk",
    "kind" => kind in "Gvk",
    "path" => path,
    "create" => create,
});

impl Decode for FieldSpec {
    fn decode(value: Value, at: &decode::At<'_>) -> Result<FieldSpec, DecodeError> {
        let args = FieldSpecArgs::decode(value, at)?;
        let gvk = Gvk { group: args.group, version: args.version, kind: args.kind };
        Ok(FieldSpec::new(gvk, args.path, args.create))
    }

    fn type_name() -> String {
        "types.FieldSpec".into()
    }

    fn zero() -> FieldSpec {
        FieldSpec::new(Gvk::default(), "", false)
    }

    fn normalize(value: Value) -> Value {
        FieldSpecArgs::normalize(value)
    }
}

/// Reads a kustomization file as Flux does before it adds to it, which is more lenient than a build: unknown fields
/// are left out, and numbers and booleans are text where text is wanted (`newTag: 1.10` is `1.1`).
pub(crate) fn read_leniently(content: &[u8]) -> Result<Map<String, Value>, KustomizationError> {
    let json = crate::yaml::to_json(content).map_err(|err| KustomizationError::Convert(err.to_string()))?;
    if !json.is_null() {
        Kustomization::decode(json.clone(), &decode::At::lenient("Kustomization"))
            .map_err(KustomizationError::Unmarshal)?;
    }
    Ok(match Kustomization::normalize(json) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    })
}

impl Kustomization {
    /// Reads and completes a kustomization file; `directory` is named in errors. The second part of the result are
    /// warnings of deprecated fields.
    pub(crate) fn parse(
        content: &[u8],
        directory: &str,
    ) -> Result<(Kustomization, Vec<String>), KustomizationError> {
        let json =
            crate::yaml::to_json(content).map_err(|err| KustomizationError::Syntax(err.to_string()))?;
        let warnings = deprecations(&json);
        let mut kustomization = match json {
            Value::Null => Kustomization::default(),
            json => Kustomization::decode(json, &decode::At::root("Kustomization"))?,
        };
        kustomization.complete();
        if kustomization.is_empty() {
            return Err(KustomizationError::Empty);
        }
        let problems = kustomization.type_problems();
        if !problems.is_empty() {
            return Err(KustomizationError::WrongType { directory: directory.to_owned(), problems });
        }
        Ok((kustomization, warnings))
    }

    /// Fills in kind and version, and moves deprecated fields to where they belong.
    fn complete(&mut self) {
        if self.kind.is_empty() {
            self.kind = "Kustomization".into();
        }
        if self.api_version.is_empty() {
            let version = if self.kind == COMPONENT { COMPONENT_VERSION } else { VERSION };
            self.api_version = version.into();
        }
        append(&mut self.resources, self.bases.take());
        append(&mut self.images, self.image_tags.take());
        let generators = [&mut self.config_map_generator, &mut self.secret_generator];
        for args in generators.into_iter().flatten().flatten() {
            args.complete();
        }
        let old = self.helm_chart_inflation_generator.take();
        append(&mut self.helm_charts, old.map(|charts| charts.into_iter().map(new_helm_chart).collect()));
    }

    fn is_empty(&self) -> bool {
        self.metadata.is_none()
            && self.openapi.is_none()
            && self.name_prefix.is_empty()
            && self.name_suffix.is_empty()
            && self.namespace.is_empty()
            && self.common_labels.is_none()
            && self.labels.is_none()
            && self.common_annotations.is_none()
            && self.patches_strategic_merge.is_none()
            && self.patches_json6902.is_none()
            && self.patches.is_none()
            && self.images.is_none()
            && self.replacements.is_none()
            && self.replicas.is_none()
            && self.vars.is_none()
            && self.sort_options.is_none()
            && self.resources.is_none()
            && self.components.is_none()
            && self.crds.is_none()
            && self.config_map_generator.is_none()
            && self.secret_generator.is_none()
            && self.helm_globals.is_none()
            && self.helm_charts.is_none()
            && self.generator_options.is_none()
            && self.configurations.is_none()
            && self.generators.is_none()
            && self.transformers.is_none()
            && self.validators.is_none()
            && self.build_metadata.is_none()
    }

    fn type_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.kind != "Kustomization" && self.kind != COMPONENT {
            problems.push("kind should be Kustomization or Component".to_owned());
        }
        let version = if self.kind == COMPONENT { COMPONENT_VERSION } else { VERSION };
        if self.api_version != version {
            problems.push(format!("apiVersion for {} should be {version}", self.kind));
        }
        problems
    }
}

impl GeneratorArgs {
    /// Moves the deprecated `env` to `envs`.
    pub(crate) fn complete(&mut self) {
        if !self.env.is_empty() {
            self.envs.get_or_insert_default().push(std::mem::take(&mut self.env));
        }
    }
}

/// The deprecated fields in use, in kustomize's words.
fn deprecations(json: &Value) -> Vec<String> {
    const DEPRECATED: [(&str, &str, &str); 6] = [
        ("bases", "resources", ""),
        ("commonLabels", "labels", ""),
        ("imageTags", "images", ""),
        ("patchesJson6902", "patches", ""),
        ("patchesStrategicMerge", "patches", ""),
        ("vars", "replacements", "[EXPERIMENTAL] "),
    ];
    let Value::Object(map) = json else { return Vec::new() };
    let used =
        |field: &str| map.iter().any(|(name, value)| name.eq_ignore_ascii_case(field) && !value.is_null());
    DEPRECATED
        .iter()
        .filter(|(field, ..)| used(field))
        .map(|(field, instead, tag)| {
            format!(
                "# Warning: '{field}' is deprecated. Please use '{instead}' instead. {tag}Run 'kustomize edit fix' \
                 to update your Kustomization automatically."
            )
        })
        .collect()
}

/// An entry of `helmChartInflationGenerator` as one of `helmCharts`.
fn new_helm_chart(old: Value) -> Value {
    let names = [
        ("chartName", "name"),
        ("chartVersion", "version"),
        ("chartRepoUrl", "repo"),
        ("values", "valuesFile"),
        ("valuesLocal", "valuesInline"),
        ("valuesMerge", "valuesMerge"),
        ("releaseName", "releaseName"),
    ];
    let field = |(old_name, name): (&str, &str)| Some((name.to_owned(), old.get(old_name)?.clone()));
    Value::Object(names.into_iter().filter_map(field).collect())
}

/// Appends as Go does: an absent list stays absent when nothing is added.
fn append<T>(list: &mut Option<Vec<T>>, more: Option<Vec<T>>) {
    if let Some(more) = more.filter(|more| !more.is_empty()) {
        list.get_or_insert_default().extend(more);
    }
}
