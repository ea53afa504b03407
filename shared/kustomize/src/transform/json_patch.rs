//! `patchesJson6902`, and how a JSON patch is applied to one resource.

use super::{Transform, TransformError};
use crate::annotations::{with_remembered, without_remembered};
use crate::error::Error;
use crate::jsonpatch::JsonPatch;
use crate::kustomization::PatchArgs;
use crate::loader::Loader;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::selector::Matcher;
use crate::yaml;
use fluxide_goyaml::node::Node;
use serde_json::Value;

/// Applies a JSON patch to the resources that a target selects.
pub(crate) struct JsonPatchTransformer {
    patch: JsonPatch,
    target: Matcher,
}

impl JsonPatchTransformer {
    pub(crate) fn new(args: &PatchArgs, loader: &Loader<'_>) -> Result<JsonPatchTransformer, Error> {
        let target = args.target.clone().unwrap_or_default();
        if target.name.is_empty() {
            return Err(TransformError::NoTargetName.into());
        }
        let text = match (args.path.as_str(), args.patch.as_str()) {
            ("", "") => return Err(TransformError::NoJsonPatch.into()),
            ("", patch) => patch.to_owned(),
            (path, "") => {
                let content = loader.load(path)?;
                if content.is_empty() {
                    return Err(TransformError::EmptyPatchFile(path.to_owned()).into());
                }
                String::from_utf8_lossy(&content).into_owned()
            }
            _ => return Err(TransformError::JsonPatchAndPath.into()),
        };
        let patch = JsonPatch::parse(&text)?;
        if patch.is_empty() {
            let described = format!("file={}, JsonOp={text}", args.path);
            return Err(TransformError::EmptyPatch(described).into());
        }
        Ok(JsonPatchTransformer { patch, target: Matcher::new(&target)? })
    }
}

impl Transform for JsonPatchTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        for resource in resources.iter_mut().filter(|resource| self.target.selects(resource)) {
            apply(resource, &self.patch)?;
        }
        Ok(())
    }
}

/// Applies a patch. It sees the annotations in which kustomize remembers things, so that `/metadata/annotations`
/// exists when it would there.
pub(super) fn apply(resource: &mut Resource, patch: &JsonPatch) -> Result<(), Error> {
    let mut document = to_json(&with_remembered(resource)?)?;
    patch.apply(&mut document)?;
    resource.twins = Default::default();
    resource.node = match document {
        object @ Value::Object(_) => yaml::reread(object),
        Value::Null => Node::empty_mapping(),
        other => return Err(TransformError::NotAnObject(yaml::json_type(&other)).into()),
    };
    let annotations = without_remembered(resource.annotations());
    resource.set_annotations(annotations)
}

fn to_json(node: &Node) -> Result<Value, Error> {
    yaml::node_to_json(node).map_err(|err| TransformError::Value(err.to_string()).into())
}
