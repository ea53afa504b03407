//! `replicas`.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::fieldspec::{Create, FieldSpec};
use crate::kustomization::Replica;
use crate::node;
use crate::resources::Resources;
use crate::schema::Schemas;
use fluxide_goyaml::node::{Kind, Node, tag};

/// Sets the number of replicas of the workloads of a name.
pub(crate) struct ReplicaTransformer {
    pub(crate) replica: Replica,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Transform for ReplicaTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        let mut found = false;
        for field in &self.fields {
            for resource in resources.iter_mut().filter(|resource| !resource.is_deleted()) {
                let wanted =
                    resource.any_id(|id| id.name == self.replica.name && id.gvk.is_selected(&field.gvk));
                if !wanted {
                    continue;
                }
                found = true;
                field
                    .apply(resource, Create::Kind(Kind::Scalar, tag::INT), &mut |node| {
                        Ok(node::set_scalar(node, Node::int(self.replica.count))?)
                    })
                    .map_err(TransformError::from)?;
            }
        }
        if found {
            return Ok(());
        }
        let kinds: Vec<String> = self.fields.iter().map(|field| field.gvk.to_string()).collect();
        let name = self.replica.name.clone();
        Err(TransformError::NoReplicas { name, kinds: kinds.join(" ") }.into())
    }
}
