//! The built-in transformers that the fields of a kustomization ask for, in the order in which they act.

use super::Session;
use super::accumulate::{Step, Target};
use crate::config::TransformerConfig;
use crate::error::Error;
use crate::fieldspec::{ConflictingFieldSpecs, FieldSpec, merge_all, merge_one};
use crate::id::Gvk;
use crate::kustomization::{Label, PatchArgs};
use crate::plugin::strategic_merge;
use crate::replacement::ReplacementTransformer;
use crate::transform::{
    AffixTransformer, AnnotationsTransformer, ImageTransformer, JsonPatchTransformer, LabelTransformer,
    NamespaceTransformer, PatchTransformer, ReplicaTransformer, Side, SubjectMode, Transform, TransformError,
    describe_patch,
};

impl Target<'_> {
    pub(super) fn builtin_transformers(
        &self,
        session: &Session<'_>,
        config: &TransformerConfig,
    ) -> Result<Vec<Step>, Error> {
        let kustomization = &self.kustomization;
        let mut steps = Vec::new();
        let mut add = |kind: &str, transformer: Box<dyn Transform>| {
            let origin = self.origin.as_ref().map(|origin| origin.builtin(self.file, kind));
            steps.push(Step { transformer, origin });
        };
        if let Some(paths) = kustomization.patches_strategic_merge.as_ref().filter(|paths| !paths.is_empty())
        {
            let kind = "PatchStrategicMergeTransformer";
            let transformer = strategic_merge(paths, "", &self.loader, &session.schemas)
                .map_err(|err| trouble(kind, &paths_config(paths), err))?;
            add(kind, Box::new(transformer));
        }
        for args in kustomization.patches.iter().flatten() {
            let kind = "PatchTransformer";
            let shown = describe_patch(args, "patch");
            let transformer = PatchTransformer::new(args, &shown, &self.loader, &session.schemas)
                .map_err(|err| trouble(kind, &shown, err))?;
            add(kind, Box::new(transformer));
        }
        if !kustomization.namespace.is_empty() {
            let transformer = NamespaceTransformer {
                namespace: kustomization.namespace.clone(),
                fields: config.namespace.clone(),
                unset_only: false,
                subjects: SubjectMode::default(),
            };
            add("NamespaceTransformer", Box::new(transformer));
        }
        for (side, text, fields, kind) in [
            (Side::Prefix, &kustomization.name_prefix, &config.name_prefix, "PrefixTransformer"),
            (Side::Suffix, &kustomization.name_suffix, &config.name_suffix, "SuffixTransformer"),
        ] {
            if !text.is_empty() {
                add(kind, Box::new(AffixTransformer { side, text: text.clone(), fields: fields.clone() }));
            }
        }
        for transformer in self.label_transformers(config)? {
            add("LabelTransformer", Box::new(transformer));
        }
        if let Some(annotations) = kustomization.common_annotations.as_ref().filter(|map| !map.is_empty()) {
            let fields = config.common_annotations.clone();
            let transformer = AnnotationsTransformer { annotations: annotations.clone(), fields };
            add("AnnotationsTransformer", Box::new(transformer));
        }
        for args in kustomization.patches_json6902.iter().flatten() {
            let kind = "PatchJson6902Transformer";
            let args = PatchArgs { options: None, ..args.clone() };
            let transformer = JsonPatchTransformer::new(&args, &self.loader)
                .map_err(|err| trouble(kind, &describe_patch(&args, "jsonOp"), err))?;
            add(kind, Box::new(transformer));
        }
        for replica in kustomization.replicas.iter().flatten() {
            let fields = config.replicas.clone();
            add("ReplicaCountTransformer", Box::new(ReplicaTransformer { replica: replica.clone(), fields }));
        }
        for image in kustomization.images.iter().flatten() {
            let transformer = ImageTransformer::new(image.clone(), config.images.clone())?;
            add("ImageTagTransformer", Box::new(transformer));
        }
        if let Some(fields) = kustomization.replacements.as_ref().filter(|fields| !fields.is_empty()) {
            add("ReplacementTransformer", Box::new(ReplacementTransformer::new(fields, &self.loader)?));
        }
        Ok(steps)
    }

    /// One transformer for each entry of `labels`, and one for `commonLabels` whenever there is either.
    fn label_transformers(&self, config: &TransformerConfig) -> Result<Vec<LabelTransformer>, Error> {
        let entries = self.kustomization.labels.as_deref().unwrap_or_default();
        let common = self.kustomization.common_labels.clone().unwrap_or_default();
        let mut transformers = Vec::new();
        if entries.is_empty() && common.is_empty() {
            return Ok(transformers);
        }
        for entry in entries {
            let fields = label_fields(entry, config)?;
            transformers.push(LabelTransformer { labels: entry.pairs.clone().unwrap_or_default(), fields });
        }
        transformers.push(LabelTransformer { labels: common, fields: config.common_labels.clone() });
        Ok(transformers)
    }
}

fn label_fields(entry: &Label, config: &TransformerConfig) -> Result<Vec<FieldSpec>, Error> {
    let failed = |what: &str, err: ConflictingFieldSpecs| {
        Error::from(TransformError::Value(format!("failed to merge {what}: {err}")))
    };
    let mut fields = entry.fields.clone().unwrap_or_default();
    merge_all(&mut fields, &config.labels).map_err(|err| failed("labels", err))?;
    if entry.include_selectors {
        merge_all(&mut fields, &config.common_labels).map_err(|err| failed("labels", err))?;
        return Ok(fields);
    }
    if entry.include_templates {
        merge_all(&mut fields, &config.template_labels).map_err(|err| failed("template fieldSpec", err))?;
    }
    let metadata = FieldSpec::new(Gvk::default(), "metadata/labels", true);
    merge_one(&mut fields, &metadata).map_err(|err| failed("labels", err))?;
    Ok(fields)
}

fn trouble(kind: &str, config: &str, err: Error) -> Error {
    err.context(format!("trouble configuring builtin {kind} with config: `\n{config}`"))
}

fn paths_config(paths: &[String]) -> String {
    crate::yaml::from_json(&serde_json::json!({ "paths": paths }))
}
