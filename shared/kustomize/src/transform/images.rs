//! `images`.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::fieldspec::{Create, FieldSpec};
use crate::kustomization::Image;
use crate::node::{self, NodeError};
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::selector::compile;
use fluxide_goyaml::node::{Kind, Node};
use regex::Regex;
use std::cell::Cell;
use std::collections::HashSet;

/// Changes name, tag or digest of an image wherever it is used.
pub(crate) struct ImageTransformer {
    image: Image,
    fields: Vec<FieldSpec>,
    name: Name,
    /// Bytes written so far.
    added: Cell<usize>,
}

impl ImageTransformer {
    pub(crate) fn new(image: Image, fields: Vec<FieldSpec>) -> Result<ImageTransformer, TransformError> {
        Ok(ImageTransformer { name: Name::new(&image.name)?, image, fields, added: Cell::new(0) })
    }

    /// Every list called `containers` or `initContainers`, wherever it is.
    fn walk(&self, node: &mut Node) -> Result<(), NodeError> {
        match node.kind {
            Kind::Mapping => {
                let mut seen = HashSet::new();
                for (key, value) in node.pairs_mut() {
                    if !matches!(value.kind, Kind::Mapping | Kind::Sequence)
                        || !seen.insert(key.value.as_str())
                    {
                        continue;
                    }
                    self.walk(value)?;
                    if matches!(key.value.as_str(), "containers" | "initContainers") {
                        self.set_in_containers(value)?;
                    }
                }
                Ok(())
            }
            Kind::Sequence => node.content.iter_mut().try_for_each(|item| self.walk(item)),
            _ => Ok(()),
        }
    }

    fn set_in_containers(&self, list: &mut Node) -> Result<(), NodeError> {
        if list.kind != Kind::Sequence {
            return Ok(());
        }
        for container in &mut list.content {
            node::expect_kind(container, Kind::Mapping)?;
            if let Some(image) = container.get_mut("image") {
                self.set(image)?;
            }
        }
        Ok(())
    }

    fn set(&self, node: &mut Node) -> Result<(), NodeError> {
        node::expect_kind(node, Kind::Scalar)?;
        if !self.name.matches(&node.value) {
            return Ok(());
        }
        let (name, tag, digest) = split(&node.value);
        let image = &self.image;
        let (tag, digest) = match (!image.new_tag.is_empty(), !image.digest.is_empty()) {
            (true, true) => (image.new_tag.clone(), image.digest.as_str()),
            (true, false) => (image.new_tag.clone(), ""),
            (false, true) => (String::new(), image.digest.as_str()),
            (false, false) if !image.tag_suffix.is_empty() => (format!("{tag}{}", image.tag_suffix), ""),
            (false, false) => (tag.to_owned(), digest),
        };
        let mut value = if image.new_name.is_empty() { name.to_owned() } else { image.new_name.clone() };
        if !tag.is_empty() {
            value = format!("{value}:{tag}");
        }
        if !digest.is_empty() {
            value = format!("{value}@{digest}");
        }
        if self.added.get() <= MOST_ADDED {
            self.added.set(self.added.get().saturating_add(value.len()));
            node::set_scalar(node, node::untagged(value))?;
        }
        Ok(())
    }
}

/// When one entry of `images` has written this much, it stops, and fails.
const MOST_ADDED: usize = 128 << 20;

impl Transform for ImageTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        for resource in resources.iter_mut().filter(|r| r.kind() != "CustomResourceDefinition") {
            self.walk(&mut resource.node)?;
        }
        // kustomize goes over its table after the walk above, so a tag suffix is added twice to ordinary pods.
        for resource in resources.iter_mut().filter(|r| r.kind() != "CustomResourceDefinition") {
            for field in &self.fields {
                field
                    .apply(resource, Create::Never, &mut |node| Ok(self.set(node)?))
                    .map_err(TransformError::from)?;
            }
        }
        if self.added.get() > MOST_ADDED {
            return Err(Error::Limit {
                what: "the text that an entry of images adds",
                limit: MOST_ADDED as u64,
            });
        }
        resources.allowance.spend(self.added.replace(0))
    }
}

/// The name of an image, which kustomize takes for a regular expression: `.` stands for any character.
enum Name {
    Plain(String),
    Regex(Regex),
}

impl Name {
    fn new(name: &str) -> Result<Name, TransformError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.:".contains(&byte);
        if name.bytes().all(plain) {
            return Ok(Name::Plain(name.to_owned()));
        }
        let pattern = format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$");
        compile(&pattern)
            .map(Name::Regex)
            .map_err(|err| TransformError::ImageName { name: name.to_owned(), problem: err.to_string() })
    }

    fn matches(&self, image: &str) -> bool {
        match self {
            Name::Regex(regex) => regex.is_match(image),
            Name::Plain(name) => {
                let mut rest = image.chars();
                let same = name
                    .chars()
                    .all(|wanted| rest.next().is_some_and(|c| c == wanted || (wanted == '.' && c != '\n')));
                same && is_tag_and_digest(rest.as_str())
            }
        }
    }
}

fn is_tag_and_digest(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.{}-".contains(&byte);
    let rest = match text.strip_prefix(':') {
        Some(tag) => &tag[tag.bytes().position(|byte| !allowed(byte)).unwrap_or(tag.len())..],
        None => text,
    };
    rest.is_empty() || rest.strip_prefix("@sha256:").is_some_and(|digest| digest.bytes().all(allowed))
}

/// Name, tag and digest; a port of the registry is no tag.
fn split(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').unwrap_or(0);
    let at = image[start..].find('@').map(|at| start + at);
    let colon = image[start..].find(':').map(|at| start + at);
    match (colon, at) {
        (None, None) => (image, "", ""),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
        (Some(colon), Some(at)) if colon < at => (&image[..colon], &image[colon + 1..at], &image[at + 1..]),
        (_, Some(at)) => (&image[..at], "", &image[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_images() {
        assert_eq!(split("host:5000/a/b:1@sha256:x"), ("host:5000/a/b", "1", "sha256:x"));
        assert_eq!(split("nginx"), ("nginx", "", ""));
        assert_eq!(split("a@sha256:b"), ("a", "", "sha256:b"));
    }

    #[test]
    fn a_plain_name_matches_as_its_expression_would() {
        for (name, image, expected) in [
            ("nginx", "nginx:1", true),
            ("nginx", "nginx", true),
            ("nginx", "nginx2", false),
            ("docker.io/a", "docker-io/a@sha256:12", true),
            ("a", "a:b@sha256:c@d", false),
            ("a", "a@sha512:b", false),
        ] {
            assert_eq!(Name::new(name).unwrap().matches(image), expected, "{name} {image}");
            let regex = Name::new(&format!("(?:{name})")).unwrap();
            assert_eq!(regex.matches(image), expected, "{name} {image} as expression");
        }
    }
}
