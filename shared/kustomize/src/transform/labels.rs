//! `labels` and `commonLabels`.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::fieldspec::{Create, FieldSpec, FieldSpecError};
use crate::node;
use crate::resources::Resources;
use crate::schema::Schemas;
use fluxide_goyaml::node::{Kind, Node, tag};
use std::collections::BTreeMap;

/// Sets labels wherever the field specs say: on objects, templates, selectors.
pub(crate) struct LabelTransformer {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Transform for LabelTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        set_entries(resources, &self.labels, &self.fields)
    }
}

/// Sets all entries in every mapping that the field specs lead to.
pub(super) fn set_entries(
    resources: &mut Resources,
    entries: &BTreeMap<String, String>,
    fields: &[FieldSpec],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut allowance = resources.allowance;
    for resource in resources.iter_mut() {
        let first_twin = resource.twins.take(entries.len());
        let mut places = 0;
        for field in fields {
            field
                .apply(resource, Create::Kind(Kind::Mapping, tag::MAP), &mut |map| {
                    allowance.spend(bytes).map_err(|err| FieldSpecError::Set(err.to_string()))?;
                    places += 1;
                    for ((key, value), twin) in entries.iter().zip(first_twin..) {
                        let mut value = Node::string(value);
                        // Only what is new here is in several places; what was here takes the text alone.
                        if map.position(key).is_none() {
                            value.set_twin(twin);
                        }
                        node::set_field(map, key, value)?;
                    }
                    Ok(())
                })
                .map_err(TransformError::from)?;
        }
        resource.twins.exist |= places > 1;
    }
    resources.allowance = allowance;
    Ok(())
}
