//! The suffix of generated ConfigMaps and Secrets.

use super::Transform;
use crate::error::Error;
use crate::generate::name_hash;
use crate::resources::Resources;
use crate::schema::Schemas;

/// Appends the hash of the content to the names of resources that want it.
pub(crate) struct HashTransformer;

impl Transform for HashTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        for resource in resources.iter_mut().filter(|resource| resource.memory.needs_hash) {
            let hash = name_hash(&resource.node)?;
            resource.store_previous_id()?;
            let name = format!("{}-{hash}", resource.name());
            resource.set_name(&name)?;
        }
        Ok(())
    }
}
