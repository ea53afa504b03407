//! The build's own annotations: read from input that carries them, shown to JSON patches, removed at the end.

use crate::error::Error;
use crate::node;
use crate::resource::{Behavior, INTERNAL_PREFIX, Memory, ORIGIN, PreviousId, Resource, TRANSFORMATIONS};
use fluxide_goyaml::node::{Kind, Node};
use std::collections::BTreeMap;

const PREVIOUS_KINDS: &str = "internal.config.kubernetes.io/previousKinds";
const PREVIOUS_NAMES: &str = "internal.config.kubernetes.io/previousNames";
const PREVIOUS_NAMESPACES: &str = "internal.config.kubernetes.io/previousNamespaces";
const PREFIXES: &str = "internal.config.kubernetes.io/prefixes";
const SUFFIXES: &str = "internal.config.kubernetes.io/suffixes";
const BEHAVIOR: &str = "internal.config.kubernetes.io/generatorBehavior";
const NEEDS_HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";
const ALLOW_NAME_CHANGE: &str = "internal.config.kubernetes.io/allowNameChange";
const ALLOW_KIND_CHANGE: &str = "internal.config.kubernetes.io/allowKindChange";

/// Annotations of other stages of kustomize's pipeline, never part of a result.
const TRANSIENT: [&str; 10] = [
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "internal.config.kubernetes.io/helm-generated",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
];

/// Moves what is remembered from annotations of the input into [`Memory`].
pub(crate) fn absorb(resource: &mut Resource) -> Result<(), Error> {
    let Some(annotations) = annotations_mut(&mut resource.node) else { return Ok(()) };
    if !annotations.pairs().any(|(key, _)| key.value.starts_with(INTERNAL_PREFIX)) {
        return Ok(());
    }
    let mut take = |key: &str| annotations.remove(key).map(|value| value.value.into_string());
    let names = take(PREVIOUS_NAMES);
    let kinds = take(PREVIOUS_KINDS);
    let namespaces = take(PREVIOUS_NAMESPACES);
    let list = |text: Option<String>| -> Vec<String> {
        text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let mut memory = Memory {
        prefixes: list(take(PREFIXES)),
        suffixes: list(take(SUFFIXES)),
        behavior: take(BEHAVIOR).map(|text| Behavior::parse(&text)),
        needs_hash: take(NEEDS_HASH).as_deref() == Some("enabled"),
        allow_name_change: take(ALLOW_NAME_CHANGE).as_deref() == Some("enabled"),
        allow_kind_change: take(ALLOW_KIND_CHANGE).as_deref() == Some("enabled"),
        ..Memory::default()
    };
    if let Some(names) = names {
        let text = |text: Option<String>| list(Some(text.unwrap_or_default()));
        let (names, kinds, namespaces) = (list(Some(names)), text(kinds), text(namespaces));
        if names.len() != kinds.len() || names.len() != namespaces.len() {
            return Err(Error::PreviousIds { id: resource.current_id().to_string() });
        }
        memory.previous = names
            .into_iter()
            .zip(kinds)
            .zip(namespaces)
            .map(|((name, kind), namespace)| PreviousId { kind, name, namespace })
            .collect();
    } else {
        // Ids of a resource without a name.
        let ids = list(kinds).into_iter().zip(list(namespaces));
        let unnamed = |(kind, namespace)| PreviousId { kind, name: String::new(), namespace };
        memory.previous = ids.map(unnamed).collect();
    }
    resource.memory = memory;
    Ok(())
}

/// Everything remembered, as the annotations kustomize keeps it in.
pub(crate) fn remembered(memory: &Memory) -> Vec<(&'static str, String)> {
    let mut result = Vec::new();
    let previous =
        |part: fn(&PreviousId) -> &str| memory.previous.iter().map(part).collect::<Vec<_>>().join(",");
    if let Some(behavior) = memory.behavior {
        result.push((BEHAVIOR, behavior.name().to_owned()));
    }
    if memory.needs_hash {
        result.push((NEEDS_HASH, "enabled".to_owned()));
    }
    if !memory.prefixes.is_empty() {
        result.push((PREFIXES, memory.prefixes.join(",")));
    }
    if !memory.previous.is_empty() {
        result.push((PREVIOUS_KINDS, previous(|id| &id.kind)));
        if memory.previous.iter().all(|id| !id.name.is_empty()) {
            result.push((PREVIOUS_NAMES, previous(|id| &id.name)));
        }
        result.push((PREVIOUS_NAMESPACES, previous(|id| &id.namespace)));
    }
    if !memory.suffixes.is_empty() {
        result.push((SUFFIXES, memory.suffixes.join(",")));
    }
    result
}

/// The resource with the annotations that kustomize would show, for error messages and JSON patches.
pub(crate) fn with_remembered(resource: &Resource) -> Result<Node, Error> {
    let remembered = remembered(&resource.memory);
    let mut copy = resource.clone();
    if !remembered.is_empty() {
        copy.clear_empty_annotations();
    }
    for (key, value) in remembered {
        copy.annotate(key, &value)?;
    }
    Ok(copy.node)
}

/// Removes the remembered annotations that [`with_remembered`] added.
pub(crate) fn without_remembered(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|key, _| !key.starts_with(INTERNAL_PREFIX) || TRANSIENT.contains(&key.as_str()));
    annotations
}

/// Removes what must not be in a result, and makes every annotation a string.
pub(crate) fn finish(
    resource: &mut Resource,
    keep_origin: bool,
    keep_transformations: bool,
) -> Result<(), Error> {
    let mut annotations = resource.annotations();
    let ours = [
        PREVIOUS_KINDS,
        PREVIOUS_NAMES,
        PREVIOUS_NAMESPACES,
        PREFIXES,
        SUFFIXES,
        BEHAVIOR,
        NEEDS_HASH,
        ALLOW_NAME_CHANGE,
        ALLOW_KIND_CHANGE,
    ];
    annotations.retain(|key, _| {
        let key = key.as_str();
        !(ours.contains(&key)
            || TRANSIENT.contains(&key)
            || (key == ORIGIN && !keep_origin)
            || (key == TRANSFORMATIONS && !keep_transformations))
    });
    resource.set_annotations(annotations)
}

/// Whether a patch removes all annotations, and what kustomize remembers in them along with it.
pub(crate) fn erases(patch: &Node) -> bool {
    let replaces = |node: &Node| node.get("$patch").is_some_and(|value| value.value != "merge");
    // A patch that replaces the whole resource does nothing.
    let Some(metadata) = patch.get("metadata").filter(|_| !replaces(patch)) else { return false };
    if node::is_null(metadata) || replaces(metadata) {
        return true;
    }
    metadata.get("annotations").is_some_and(|node| node::is_null(node) || replaces(node))
}

fn annotations_mut(node: &mut Node) -> Option<&mut Node> {
    node.get_mut("metadata")?.get_mut("annotations").filter(|node| node.kind == Kind::Mapping)
}
