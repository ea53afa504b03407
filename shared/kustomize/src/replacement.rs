//! `replacements`: values of fields copied into other fields.

mod path;
mod structured;

use crate::error::Error;
use crate::id::{Gvk, ResourceId};
use crate::kustomization::decode::{At, Decode};
use crate::kustomization::{FieldOptions, ReplacementField, ReplacementSource, ReplacementTarget};
use crate::loader::Loader;
use crate::node::{self, NodeError, split_field_path};
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schemas;
use crate::selector::Matcher;
use crate::transform::Transform;
use crate::{annotations, twins, yaml};
use fluxide_goyaml::node::{Kind, Node};
use path::{PathError, visit};
use serde_json::Value;
use std::borrow::Cow;
use thiserror::Error;

const DEFAULT_PATH: &str = "metadata.name";

/// Why a replacement fails.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReplacementError {
    /// An entry with a file and more.
    #[error("cannot specify both path and inline replacement")]
    PathAndInline,
    /// A file that holds something else than replacements.
    #[error("unsupported replacement type encountered within replacement path: {0}")]
    File(&'static str),
    /// A replacement without source or targets.
    #[error("replacements must specify a source and at least one target")]
    Incomplete,
    /// A replacement with two sources.
    #[error("value and resource selectors are mutually exclusive")]
    TwoSources,
    /// A source that no resource fits.
    #[error("nothing selected by {0}")]
    NoSource(String),
    /// A source that several resources fit.
    #[error("multiple matches for selector {0}")]
    SeveralSources(String),
    /// A source field that is not there.
    #[error("fieldPath `{path}` is missing for replacement source {source_id}")]
    NoSourceField {
        /// The field.
        path: String,
        /// The source.
        source_id: String,
    },
    /// A source field that cannot be looked up.
    #[error("error looking up replacement source: {0}")]
    SourceField(NodeError),
    /// A delimiter for something that is no text.
    #[error("delimiter option can only be used with scalar nodes")]
    DelimiterNeedsScalar,
    /// A part of a text that is not there.
    #[error("options.index {index} is out of bounds for value {value}")]
    Index {
        /// Which part.
        index: i64,
        /// The text.
        value: String,
    },
    /// A target without `select`.
    #[error("target must specify resources to select")]
    NoSelect,
    /// A target field that is not there.
    #[error("{0}")]
    NoTargetField(String),
    /// A target field that cannot be reached.
    #[error("{what}: {problem}")]
    TargetField {
        /// What was tried.
        what: String,
        /// Why it failed.
        problem: String,
    },
}

/// Performs replacements in order; later ones see what earlier ones did.
pub(crate) struct ReplacementTransformer {
    replacements: Vec<ReplacementField>,
}

impl ReplacementTransformer {
    /// Loads the replacements that are in files.
    pub(crate) fn new(
        fields: &[ReplacementField],
        loader: &Loader<'_>,
    ) -> Result<ReplacementTransformer, Error> {
        let mut replacements = Vec::new();
        for field in fields {
            if field.path.is_empty() {
                replacements.push(field.clone());
                continue;
            }
            if field.source.is_some() || field.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
                return Err(ReplacementError::PathAndInline.into());
            }
            let content = loader.load(&field.path)?;
            let value = yaml::to_json(&content).map_err(|err| Error::Yaml(err.to_string()))?;
            let at = At::lenient("Replacement");
            match value {
                Value::Array(_) => replacements.extend(Vec::<ReplacementField>::decode(value, &at)?),
                Value::Object(_) => replacements.push(ReplacementField::decode(value, &at)?),
                Value::Null => return Err(ReplacementError::File("invalid").into()),
                Value::String(_) => return Err(ReplacementError::File("string").into()),
                Value::Bool(_) => return Err(ReplacementError::File("bool").into()),
                Value::Number(_) => return Err(ReplacementError::File("float64").into()),
            }
        }
        Ok(ReplacementTransformer { replacements })
    }
}

impl Transform for ReplacementTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        for replacement in &self.replacements {
            let Some(targets) = &replacement.targets else { return Err(ReplacementError::Incomplete.into()) };
            let mut source = match (&replacement.source, &replacement.source_value) {
                (None, None) => return Err(ReplacementError::Incomplete.into()),
                (Some(_), Some(_)) => return Err(ReplacementError::TwoSources.into()),
                (None, Some(text)) => Source { value: node::untagged(text), place: None },
                (Some(source), None) => find_source(resources, source)?,
            };
            for target in targets {
                let target = target.as_ref().ok_or(ReplacementError::NoSelect)?;
                apply(resources, &mut source, target)?;
            }
        }
        Ok(())
    }
}

/// What is copied.
struct Source {
    value: Node,
    /// Where it is, unless it is only a part of what is there: later targets see what earlier ones have written.
    place: Option<Place>,
}

struct Place {
    resource: usize,
    path: Vec<String>,
}

impl Source {
    /// Looks again after a resource was written to.
    fn refresh(&mut self, written: usize, resource: &Resource) -> Result<(), Error> {
        let Some(place) = self.place.as_ref().filter(|place| place.resource == written) else {
            return Ok(());
        };
        let object = source_object(resource, &place.path)?;
        if let Ok(Some(value)) = node::lookup(&object, &place.path) {
            self.value = value.clone();
            twins::separate(&mut self.value);
        }
        Ok(())
    }
}

fn find_source(resources: &Resources, source: &ReplacementSource) -> Result<Source, Error> {
    let selector = ResourceId {
        gvk: Gvk { group: source.group.clone(), version: source.version.clone(), kind: source.kind.clone() },
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        cluster_scoped: false,
    };
    let selects = |resource: &Resource| ids_of(resource).iter().any(|id| id.is_selected_by(&selector));
    let mut found = resources.iter().enumerate().filter(|(_, resource)| selects(resource));
    let (at, resource) = match (found.next(), found.next()) {
        (Some(found), None) => found,
        (None, _) => return Err(ReplacementError::NoSource(describe(&selector, source)).into()),
        _ => return Err(ReplacementError::SeveralSources(describe(&selector, source)).into()),
    };
    let path = if source.field_path.is_empty() { DEFAULT_PATH } else { &source.field_path };
    let steps = split_field_path(path);
    let object = source_object(resource, &steps)?;
    let value = node::lookup(&object, &steps)
        .map_err(ReplacementError::SourceField)?
        .filter(|value| !node::is_null_or_empty(value))
        .ok_or_else(|| ReplacementError::NoSourceField {
            path: path.to_owned(),
            source_id: selector.to_string(),
        })?;
    let mut copy = value.clone();
    twins::separate(&mut copy);
    let Some(options) = source.options.as_ref().filter(|options| !options.delimiter.is_empty()) else {
        return Ok(Source { value: copy, place: Some(Place { resource: at, path: steps }) });
    };
    if value.kind != Kind::Scalar {
        return Err(ReplacementError::DelimiterNeedsScalar.into());
    }
    let parts: Vec<&str> = value.value.split(&options.delimiter).collect();
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|index| parts.get(index))
        .ok_or_else(|| ReplacementError::Index { index: options.index, value: value.value.to_string() })?;
    copy.value = (*part).into();
    Ok(Source { value: copy, place: None })
}

/// The object that a path is looked up in: what kustomize remembers in annotations is copied with them.
fn source_object<'r>(resource: &'r Resource, steps: &[String]) -> Result<Cow<'r, Node>, Error> {
    let in_annotations = steps.len() > 2 && steps[0] == "metadata" && steps[1] == "annotations";
    if in_annotations || holds_annotations(steps) {
        return Ok(Cow::Owned(annotations::with_remembered(resource)?));
    }
    Ok(Cow::Borrowed(&resource.node))
}

/// Whether a path leads to the annotations of an object, or to what they are in.
fn holds_annotations(steps: &[String]) -> bool {
    let mut steps = steps.iter().map(String::as_str);
    steps.next() == Some("metadata")
        && matches!((steps.next(), steps.next()), (None | Some("annotations"), None))
}

/// The current id and the previous ones, namespaces as they are written.
fn ids_of(resource: &Resource) -> Vec<ResourceId> {
    std::iter::once(resource.plain_id()).chain(resource.previous_ids()).collect()
}

fn describe(id: &ResourceId, source: &ReplacementSource) -> String {
    let mut text = id.to_string();
    if !source.field_path.is_empty() {
        text = format!("{text}:{}", source.field_path);
    }
    match &source.options {
        Some(options) if !options.delimiter.is_empty() || options.create => {
            format!("{text}:{}({}), create={}", options.delimiter, options.index, options.create)
        }
        _ => text,
    }
}

fn apply(resources: &mut Resources, source: &mut Source, target: &ReplacementTarget) -> Result<(), Error> {
    let select = target.select.as_ref().ok_or(ReplacementError::NoSelect)?;
    let select = Matcher::new(select)?;
    let mut rejects = Vec::new();
    for reject in target.reject.iter().flatten().flatten() {
        rejects.push(Matcher::new(reject)?);
    }
    let default_path = [DEFAULT_PATH.to_owned()];
    let paths = target.field_paths.as_deref().filter(|paths| !paths.is_empty()).unwrap_or(&default_path);
    let mut allowance = resources.allowance;
    for (at, resource) in resources.iter_mut().enumerate() {
        let ids = ids_of(resource);
        let rejected = || {
            rejects.iter().any(|reject| {
                (reject.has_labels() && reject.matches_labels(resource))
                    || (reject.has_id() && ids.iter().any(|id| reject.matches_id(id)))
            })
        };
        if !ids.iter().any(|id| select.matches_id(id)) || !select.matches_labels(resource) || rejected() {
            continue;
        }
        for path in paths {
            // A path with a wildcard writes to many places, of which no node has more than the object has.
            let places = if path.contains('*') { node_count(&resource.node) } else { 1 };
            allowance.spend_each(places, tree_size(&source.value))?;
            let options = target.options.as_ref();
            if source.place.as_ref().is_some_and(|place| place.resource == at) {
                write_own(resource, source, path, options)?;
            } else {
                write_to(resource, &source.value, path, options)?;
            }
            resource.spread_twins();
            source.refresh(at, resource)?;
        }
    }
    resources.allowance = allowance;
    Ok(())
}

/// What a copy takes, about.
fn tree_size(node: &Node) -> usize {
    128 + node.value.len() + node.content.iter().map(tree_size).sum::<usize>()
}

fn node_count(node: &Node) -> usize {
    1 + node.content.iter().map(node_count).sum::<usize>()
}

/// Writes to a resource; what kustomize remembers in annotations goes with them.
fn write_to(
    resource: &mut Resource,
    value: &Node,
    path: &str,
    options: Option<&FieldOptions>,
) -> Result<(), Error> {
    if !holds_annotations(&split_field_path(path)) {
        return Ok(write(&mut resource.node, value, path, options)?);
    }
    resource.node = annotations::with_remembered(resource)?;
    resource.memory = Default::default();
    write(&mut resource.node, value, path, options)?;
    annotations::absorb(resource)
}

fn write(
    object: &mut Node,
    value: &Node,
    path: &str,
    options: Option<&FieldOptions>,
) -> Result<(), ReplacementError> {
    let create = options.is_some_and(|options| options.create).then_some(value.kind);
    let steps = split_field_path(path);
    if structured::write(object, value, &steps, create) {
        return Ok(());
    }
    let mut failed = None;
    let found = visit(object, &steps, create, &mut |field, _| {
        set(field, value, options).map_err(|err| {
            failed = Some(err);
            PathError::Stopped
        })
    });
    match (found, failed) {
        (_, Some(err)) => Err(err),
        (found, None) => check_found(found, path, create),
    }
}

fn check_found(
    found: Result<usize, PathError>,
    path: &str,
    create: Option<Kind>,
) -> Result<(), ReplacementError> {
    let what = if create.is_some() {
        format!("unable to find or create field {} in replacement target", yaml::quote(path))
    } else {
        format!("unable to find field {} in replacement target", yaml::quote(path))
    };
    match found {
        Ok(0) => Err(ReplacementError::NoTargetField(what)),
        Ok(_) => Ok(()),
        Err(err) => Err(ReplacementError::TargetField { what, problem: err.to_string() }),
    }
}

/// Writes to the resource that the value comes from: what is created and written on the way shows in the value.
fn write_own(
    resource: &mut Resource,
    source: &mut Source,
    path: &str,
    options: Option<&FieldOptions>,
) -> Result<(), Error> {
    let Some(place) = &source.place else { return Ok(()) };
    let in_annotations = holds_annotations(&place.path) || holds_annotations(&split_field_path(path));
    if in_annotations {
        resource.node = annotations::with_remembered(resource)?;
        resource.memory = Default::default();
    }
    write_within(&mut resource.node, source, path, options)?;
    if in_annotations { annotations::absorb(resource) } else { Ok(()) }
}

fn write_within(
    object: &mut Node,
    source: &mut Source,
    path: &str,
    options: Option<&FieldOptions>,
) -> Result<(), ReplacementError> {
    let Some(source_place) = source.place.as_ref().and_then(|place| place_of(object, &place.path)) else {
        source.place = None;
        return write(object, &source.value, path, options);
    };
    let create = options.is_some_and(|options| options.create).then_some(source.value.kind);
    let steps = split_field_path(path);
    if structured::write(object, &source.value, &steps, create) {
        return Ok(());
    }
    let mut targets = Vec::new();
    let found = visit(object, &steps, create, &mut |_, place| {
        targets.extend(place.map(<[usize]>::to_vec));
        Ok(())
    });
    check_found(found, path, create)?;
    for target in targets {
        if let Some(value) = path::node_at(object, &source_place).filter(|_| source.place.is_some()) {
            source.value = value.clone();
            twins::separate(&mut source.value);
        }
        if let Some(field) = path::node_at(object, &target) {
            set(field, &source.value, options)?;
        }
        if target.len() < source_place.len() && source_place.starts_with(&target) {
            // The value is not in the object any more.
            source.place = None;
        }
    }
    // Whatever the path to it says by now, it is the same field.
    if let Some(value) = path::node_at(object, &source_place).filter(|_| source.place.is_some()) {
        source.value = value.clone();
        twins::separate(&mut source.value);
    }
    Ok(())
}

/// Where a path leads to.
fn place_of(object: &Node, path: &[String]) -> Option<Vec<usize>> {
    fn find(node: &Node, wanted: &Node, place: &mut Vec<usize>) -> bool {
        if std::ptr::eq(node, wanted) {
            return true;
        }
        for (at, child) in node.content.iter().enumerate() {
            place.push(at);
            if find(child, wanted, place) {
                return true;
            }
            place.pop();
        }
        false
    }
    let wanted = node::lookup(object, path).ok()??;
    let mut place = Vec::new();
    find(object, wanted, &mut place).then_some(place)
}

/// A scalar keeps its type and style and takes only the text; anything else is replaced as a whole.
fn set(field: &mut Node, value: &Node, options: Option<&FieldOptions>) -> Result<(), ReplacementError> {
    let mut text = value.value.clone();
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        if field.kind != Kind::Scalar {
            return Err(ReplacementError::DelimiterNeedsScalar);
        }
        let value = yaml::text_of(Some(value));
        let mut parts: Vec<&str> = field.value.split(&options.delimiter).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, value),
            Ok(index) if index >= parts.len() => parts.push(value),
            Ok(index) => parts[index] = value,
        }
        text = parts.join(&options.delimiter).into();
    }
    if field.kind == Kind::Scalar {
        field.value = text;
        twins::note_write(field);
    } else {
        *field = value.clone();
    }
    Ok(())
}
