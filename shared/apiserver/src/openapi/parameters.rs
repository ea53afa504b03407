//! The parameters of operations, with their descriptions as published for Kubernetes 1.36.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const PUBLISHED: &str = include_str!("../../data/kubernetes-1.36-parameters.json");

/// A parameter of the path or the query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parameter {
    pub name: String,
    /// `path` or `query`.
    pub place: &'static str,
    pub kind: &'static str,
    pub description: String,
}

impl Parameter {
    fn in_path(name: &str, description: String) -> Self {
        Parameter { name: name.to_owned(), place: "path", kind: "string", description }
    }

    /// The name of an object of this kind.
    pub fn name_of(kind: &str) -> Self {
        Self::in_path("name", format!("name of the {kind}"))
    }

    /// The namespace of an object.
    pub fn namespace() -> Self {
        Self::in_path("namespace", "object name and auth scope, such as for teams and projects".to_owned())
    }

    /// The rest of the path of a connection.
    pub fn path() -> Self {
        Self::in_path("path", "path to the resource".to_owned())
    }
}

#[derive(Deserialize, Default)]
struct Published {
    common: BTreeMap<String, Facts>,
    /// Those of the options of connections and logs, by the kind of the options.
    kinds: BTreeMap<String, BTreeMap<String, Facts>>,
}

#[derive(Deserialize)]
struct Facts {
    description: String,
    r#type: String,
}

/// The data is part of the program: unreadable data leaves parameters without descriptions, which the tests notice.
static ALL: LazyLock<Published> = LazyLock::new(|| serde_json::from_str(PUBLISHED).unwrap_or_default());

fn query(name: &str, facts: &'static Facts) -> Parameter {
    Parameter {
        name: name.to_owned(),
        place: "query",
        kind: &facts.r#type,
        description: facts.description.clone(),
    }
}

/// A parameter of the query that many operations have.
pub(super) fn named(name: &str) -> Parameter {
    match ALL.common.get(name) {
        Some(facts) => query(name, facts),
        None => {
            Parameter { name: name.to_owned(), place: "query", kind: "string", description: String::new() }
        }
    }
}

/// The field manager of a patch, of which its description says more.
pub(super) fn patching_manager() -> Parameter {
    Parameter { name: "fieldManager".to_owned(), ..named("fieldManager of patches") }
}

/// The parameters that stand for the options of this kind.
pub(super) fn of_kind(kind: &str) -> impl Iterator<Item = Parameter> {
    ALL.kinds.get(kind).into_iter().flatten().map(|(name, facts)| query(name, facts))
}
