//! `commonAnnotations`.

use super::{Transform, labels::set_entries};
use crate::error::Error;
use crate::fieldspec::FieldSpec;
use crate::resources::Resources;
use crate::schema::Schemas;
use std::collections::BTreeMap;

/// Sets annotations wherever the field specs say.
pub(crate) struct AnnotationsTransformer {
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Transform for AnnotationsTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        set_entries(resources, &self.annotations, &self.fields)
    }
}
