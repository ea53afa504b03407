//! `patches`: a patch of either kind, for one resource or for those that a target selects.

use super::{Transform, TransformError, json_patch, strategic_merge};
use crate::error::Error;
use crate::jsonpatch::JsonPatch;
use crate::kustomization::{PatchArgs, Selector};
use crate::loader::Loader;
use crate::reader::read_objects;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::selector::Matcher;
use crate::yaml;
use serde_json::{Map, Value};

/// Applies what one entry of `patches` holds.
pub(crate) struct PatchTransformer {
    patch: Patch,
    target: Option<Selector>,
    source: String,
    /// What a copy of it takes, about: nodes are larger than their text.
    size: usize,
}

enum Patch {
    Strategic(Vec<Resource>),
    Json(JsonPatch),
}

impl PatchTransformer {
    /// Loads and reads the patch. `config` is what errors show of the entry.
    pub(crate) fn new(
        args: &PatchArgs,
        config: &str,
        loader: &Loader<'_>,
        schemas: &Schemas,
    ) -> Result<PatchTransformer, Error> {
        let inline = args.patch.trim();
        let (text, source) = match (inline, args.path.as_str()) {
            ("", "") => return Err(TransformError::NoPatch(config.to_owned()).into()),
            (patch, "") => (patch.as_bytes().to_vec(), format!("[patch: {}]", yaml::quote(patch))),
            ("", path) => {
                let content = loader.load(path).map_err(|err| TransformError::PatchFile {
                    path: path.to_owned(),
                    problem: err.to_string(),
                })?;
                (content, format!("[path: {}]", yaml::quote(path)))
            }
            _ => return Err(TransformError::PatchAndPath(config.to_owned()).into()),
        };
        let patch = match read_objects(&text) {
            Ok(objects) => {
                let mut patches = Vec::with_capacity(objects.len());
                for object in objects {
                    let mut patch = Resource::new(object, schemas.custom_scopes());
                    crate::annotations::absorb(&mut patch)?;
                    let options = args.options.unwrap_or_default();
                    patch.memory.allow_name_change |= options.allow_name_change;
                    patch.memory.allow_kind_change |= options.allow_kind_change;
                    if options.allow_name_change || options.allow_kind_change {
                        // kustomize notes the options in the annotations, which become texts then.
                        let annotations = patch.annotations();
                        patch.set_annotations(annotations)?;
                    }
                    patches.push(patch);
                }
                Patch::Strategic(patches)
            }
            Err(_) => match JsonPatch::parse(&String::from_utf8_lossy(&text)) {
                Ok(patch) => Patch::Json(patch),
                Err(_) => return Err(TransformError::UnknownPatch(source).into()),
            },
        };
        Ok(PatchTransformer { patch, target: args.target.clone(), source, size: 8 * text.len() })
    }

    fn merge(&self, patches: &[Resource], resources: &mut Resources, schemas: &Schemas) -> Result<(), Error> {
        let Some(target) = &self.target else {
            for patch in patches {
                let at = strategic_merge::find_target(resources, patch).map_err(|err| {
                    let id = yaml::quote(&patch.original_id().to_string());
                    Error::from(err).context(format!("no resource matches strategic merge patch {id}"))
                })?;
                strategic_merge::apply(&mut resources.items_mut()[at], patch.clone(), schemas)?;
            }
            return Ok(());
        };
        match patches {
            [] => Ok(()),
            [patch] => {
                let selected = self.select(target, resources)?;
                resources.allowance.spend_each(selected.len(), self.size)?;
                strategic_merge::apply_to_selected(resources, &selected, patch, schemas)
            }
            _ => Err(TransformError::SeveralPatches(self.source.clone()).into()),
        }
    }

    fn select(&self, target: &Selector, resources: &Resources) -> Result<Vec<usize>, Error> {
        let matcher = Matcher::new(target)?;
        Ok(resources
            .iter()
            .enumerate()
            .filter(|(_, resource)| matcher.selects(resource))
            .map(|(at, _)| at)
            .collect())
    }
}

impl Transform for PatchTransformer {
    fn transform(&self, resources: &mut Resources, schemas: &Schemas) -> Result<(), Error> {
        match &self.patch {
            Patch::Strategic(patches) => self.merge(patches, resources, schemas),
            Patch::Json(patch) if patch.is_empty() => Ok(()),
            Patch::Json(patch) => {
                let Some(target) = &self.target else {
                    return Err(TransformError::NoTarget(self.source.clone()).into());
                };
                let selected = self.select(target, resources)?;
                resources.allowance.spend_each(selected.len(), self.size)?;
                for at in selected {
                    let resource = &mut resources.items_mut()[at];
                    resource.store_previous_id()?;
                    json_patch::apply(resource, patch)?;
                }
                Ok(())
            }
        }
    }
}

/// What errors show of an entry of `patches`.
pub(crate) fn describe(args: &PatchArgs, patch_field: &str) -> String {
    let mut map = Map::new();
    let mut text = |name: &str, value: &str| {
        if !value.is_empty() {
            map.insert(name.to_owned(), value.into());
        }
    };
    text("path", &args.path);
    text(patch_field, &args.patch);
    if let Some(target) = &args.target {
        let mut selector = Map::new();
        for (name, value) in [
            ("group", &target.group),
            ("version", &target.version),
            ("kind", &target.kind),
            ("name", &target.name),
            ("namespace", &target.namespace),
            ("annotationSelector", &target.annotation_selector),
            ("labelSelector", &target.label_selector),
        ] {
            if !value.is_empty() {
                selector.insert(name.to_owned(), value.as_str().into());
            }
        }
        map.insert("target".to_owned(), Value::Object(selector));
    }
    if let Some(options) = args.options {
        let mut flags = Map::new();
        if options.allow_name_change {
            flags.insert("allowNameChange".to_owned(), true.into());
        }
        if options.allow_kind_change {
            flags.insert("allowKindChange".to_owned(), true.into());
        }
        map.insert("options".to_owned(), Value::Object(flags));
    }
    yaml::from_json(&Value::Object(map))
}
