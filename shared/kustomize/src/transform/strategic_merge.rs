//! `patchesStrategicMerge`, and how a strategic merge patch is applied to one resource.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::merge::strategic_merge;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schemas;

/// Applies patches, each to the one resource that has its id.
pub(crate) struct StrategicMergeTransformer {
    pub(crate) patches: Vec<Resource>,
}

impl Transform for StrategicMergeTransformer {
    fn transform(&self, resources: &mut Resources, schemas: &Schemas) -> Result<(), Error> {
        for patch in &self.patches {
            let at = find_target(resources, patch)?;
            apply_to_selected(resources, &[at], patch, schemas)?;
        }
        Ok(())
    }
}

/// The position of the one resource that has the id of a patch.
pub(super) fn find_target(resources: &Resources, patch: &Resource) -> Result<usize, TransformError> {
    let id = patch.original_id();
    match resources.positions_of(&id).as_slice() {
        [at] => Ok(*at),
        found => {
            let count = if found.is_empty() { "no" } else { "multiple" };
            Err(TransformError::NotUnique { count, id: id.to_string() })
        }
    }
}

/// Applies a patch to resources that a target has selected: the patch's own identity does not matter.
pub(super) fn apply_to_selected(
    resources: &mut Resources,
    selected: &[usize],
    patch: &Resource,
    schemas: &Schemas,
) -> Result<(), Error> {
    for at in selected {
        let resource = &mut resources.items_mut()[*at];
        let mut patch = patch.clone();
        // Labels and annotations of such a patch become texts, so that null does not delete them.
        let (labels, annotations) = (patch.labels(), patch.annotations());
        patch.set_labels(labels)?;
        patch.set_annotations(annotations)?;
        let name = patch.name().to_owned();
        patch.set_name(&name)?;
        let namespace = patch.namespace().to_owned();
        patch.set_namespace(&namespace)?;
        let kind = patch.kind().to_owned();
        patch.set_api_version(resource.api_version())?;
        patch.set_kind(&kind)?;
        apply(resource, patch, schemas)?;
    }
    let remaining: Vec<Resource> =
        resources.take().into_iter().filter(|resource| !resource.is_deleted()).collect();
    resources.append_all(remaining)
}

/// Merges a patch; kind, name and namespace stay unless the patch may change them.
pub(super) fn apply(resource: &mut Resource, patch: Resource, schemas: &Schemas) -> Result<(), Error> {
    let (name, namespace, kind) =
        (resource.name().to_owned(), resource.namespace().to_owned(), resource.kind().to_owned());
    let (keeps_name, keeps_kind) = (!patch.memory.allow_name_change, !patch.memory.allow_kind_change);
    if !keeps_name || !keeps_kind {
        resource.store_previous_id()?;
    }
    if crate::annotations::erases(&patch.node) {
        resource.memory = Default::default();
    }
    if !strategic_merge(&mut resource.node, patch.node, schemas)? {
        resource.delete();
    }
    if resource.is_deleted() {
        return Ok(());
    }
    if keeps_kind {
        resource.set_kind(&kind)?;
    }
    if keeps_name {
        resource.set_name(&name)?;
    }
    resource.set_namespace(&namespace)
}
