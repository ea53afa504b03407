//! `namePrefix` and `nameSuffix`.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::fieldspec::{Create, FieldSpec, FieldSpecError};
use crate::node;
use crate::resources::Resources;
use crate::schema::Schemas;
use fluxide_goyaml::node::{Kind, tag};

/// Where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the name.
    Prefix,
    /// After the name.
    Suffix,
}

/// Adds a text to names.
pub(crate) struct AffixTransformer {
    pub(crate) side: Side,
    pub(crate) text: String,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Transform for AffixTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        let mut allowance = resources.allowance;
        for resource in resources.iter_mut() {
            let original = resource.original_id();
            let kind = original.gvk.kind.as_str();
            let keeps_name = kind == "CustomResourceDefinition"
                || kind == "Namespace"
                || (kind == "APIService" && original.gvk.group == "apiregistration.k8s.io");
            if keeps_name {
                continue;
            }
            for field in self.fields.iter().filter(|field| original.gvk.is_selected(&field.gvk)) {
                if field.path == "metadata/name" && !self.text.is_empty() {
                    let memory = &mut resource.memory;
                    match self.side {
                        Side::Prefix => memory.prefixes.push(self.text.clone()),
                        Side::Suffix => memory.suffixes.push(self.text.clone()),
                    }
                    resource.store_previous_id()?;
                }
                field
                    .apply(resource, Create::Kind(Kind::Scalar, tag::STR), &mut |name| {
                        // The name is remembered as well as changed.
                        let bytes = 2 * self.text.len() + name.value.len();
                        allowance.spend(bytes).map_err(|err| FieldSpecError::Set(err.to_string()))?;
                        let value = match self.side {
                            Side::Prefix => format!("{}{}", self.text, name.value),
                            Side::Suffix => format!("{}{}", name.value, self.text),
                        };
                        Ok(node::set_scalar(name, node::untagged(value))?)
                    })
                    .map_err(TransformError::from)?;
            }
        }
        resources.allowance = allowance;
        Ok(())
    }
}
