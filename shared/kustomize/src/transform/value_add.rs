//! The ValueAddTransformer plugin: writes one value into many fields.

use super::{NamespaceTransformer, SubjectMode, Transform, TransformError};
use crate::error::Error;
use crate::fs::parent;
use crate::kustomization::Selector;
use crate::kustomization::decode::decode_struct;
use crate::node;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::selector::Matcher;
use fluxide_goyaml::node::Kind;

/// The plugin's configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueAddArgs {
    pub(crate) value: String,
    pub(crate) targets: Option<Vec<ValueAddTarget>>,
    pub(crate) target_file_path: String,
}

decode_struct!(ValueAddArgs {
    "value" => value,
    "targets" => targets,
    "targetFilePath" => target_file_path,
});

/// Fields of the resources that a selector selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueAddTarget {
    selector: Option<Selector>,
    field_path: String,
    file_path_position: i64,
}

decode_struct!(ValueAddTarget {
    "selector" => selector,
    "fieldPath" => field_path,
    "filePathPosition" => file_path_position,
});

/// Writes a value into fields, or into a part of paths that fields hold.
pub(crate) struct ValueAddTransformer {
    value: String,
    targets: Vec<(Option<Matcher>, ValueAddTarget)>,
}

impl ValueAddTransformer {
    /// `root` is the directory whose name is the value when none is given.
    pub(crate) fn new(args: ValueAddArgs, root: &str) -> Result<ValueAddTransformer, Error> {
        let value = match args.value.trim() {
            "" => root[parent(root).len()..].trim_start_matches('/').to_owned(),
            value => value.to_owned(),
        };
        let mut targets = Vec::new();
        for target in args.targets.unwrap_or_default() {
            if target.field_path.is_empty() {
                return Err(wrong("fieldPath cannot be empty".into()));
            }
            if target.file_path_position < 0 {
                let position = target.file_path_position;
                return Err(wrong(format!("value of FilePathPosition ({position}) cannot be negative")));
            }
            let matcher = target.selector.as_ref().map(Matcher::new).transpose()?;
            targets.push((matcher, target));
        }
        if targets.is_empty() {
            return Err(wrong("must specify at least one target".into()));
        }
        Ok(ValueAddTransformer { value, targets })
    }

    fn apply(&self, resource: &mut Resource, target: &ValueAddTarget) -> Result<(), Error> {
        if target.field_path == "metadata/namespace" {
            let namespace = NamespaceTransformer {
                namespace: self.value.clone(),
                fields: Vec::new(),
                unset_only: false,
                subjects: SubjectMode::default(),
            };
            return namespace.apply(resource);
        }
        let mut path: Vec<String> = Vec::new();
        for part in target.field_path.split('/') {
            match path.last_mut() {
                Some(last) if last.ends_with('\\') => {
                    last.pop();
                    last.push('/');
                    last.push_str(part);
                }
                _ => path.push(part.to_owned()),
            }
        }
        let Some(field) = node::lookup_create(&mut resource.node, &path, Kind::Scalar)? else {
            return Ok(());
        };
        node::expect_kind(field, Kind::Scalar)?;
        let value = match usize::try_from(target.file_path_position) {
            Ok(position) if position > 0 => insert_part(&field.value, position - 1, &self.value),
            _ => self.value.clone(),
        };
        Ok(node::set_scalar(field, node::untagged(value))?)
    }
}

impl Transform for ValueAddTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        for (matcher, target) in &self.targets {
            for resource in resources.iter_mut() {
                if matcher.as_ref().is_none_or(|matcher| matcher.selects(resource)) {
                    self.apply(resource, target)?;
                }
            }
        }
        Ok(())
    }
}

/// Inserts a part into a path, counting from 0; a position beyond the end appends.
fn insert_part(path: &str, position: usize, part: &str) -> String {
    if part.is_empty() {
        return path.to_owned();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}

fn wrong(text: String) -> Error {
    TransformError::Value(text).into()
}

#[cfg(test)]
mod tests {
    use super::insert_part;

    #[test]
    fn inserts_parts() {
        assert_eq!(insert_part("a/b", 0, "x"), "x/a/b");
        assert_eq!(insert_part("/a/b", 1, "x"), "/a/x/b");
        assert_eq!(insert_part("a", 9, "x"), "a/x");
        assert_eq!(insert_part("", 0, "x"), "x");
    }
}
