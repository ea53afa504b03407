//! `namespace`.

use super::{Transform, TransformError};
use crate::error::Error;
use crate::fieldspec::{Create, FieldError, FieldSpec, FieldSpecError};
use crate::id::Gvk;
use crate::node::{self, NodeError};
use crate::resource::Resource;
use crate::resources::{Resources, id_key};
use crate::schema::Schemas;
use fluxide_goyaml::node::{Kind, Node, tag};
use std::collections::HashMap;
use std::sync::LazyLock;

const HELM_GENERATED: &str = "internal.config.kubernetes.io/helm-generated";

static METADATA_NAMESPACE: LazyLock<FieldSpec> =
    LazyLock::new(|| FieldSpec::new(Gvk::default(), "metadata/namespace", true));

/// Which subjects of role bindings are moved along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SubjectMode {
    /// Those called `default`, whatever their kind.
    #[default]
    DefaultOnly,
    /// All service accounts.
    AllServiceAccounts,
    /// None.
    None,
}

impl SubjectMode {
    pub(crate) fn parse(text: &str) -> Result<SubjectMode, TransformError> {
        match text {
            "" | "defaultOnly" => Ok(SubjectMode::DefaultOnly),
            "allServiceAccounts" => Ok(SubjectMode::AllServiceAccounts),
            "none" => Ok(SubjectMode::None),
            other => Err(TransformError::SubjectMode(other.to_owned())),
        }
    }
}

/// Moves resources to a namespace, and what names the namespace along with them.
pub(crate) struct NamespaceTransformer {
    pub(crate) namespace: String,
    pub(crate) fields: Vec<FieldSpec>,
    pub(crate) unset_only: bool,
    pub(crate) subjects: SubjectMode,
}

impl Transform for NamespaceTransformer {
    fn transform(&self, resources: &mut Resources, _: &Schemas) -> Result<(), Error> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        let mut ids: HashMap<String, usize> = HashMap::new();
        for resource in resources.iter() {
            *ids.entry(id_key(resource)).or_default() += 1;
        }
        let count = resources.len();
        resources.allowance.spend_each(count, 2 * self.namespace.len())?;
        for at in 0..count {
            let resource = &mut resources.items_mut()[at];
            if resource.is_deleted() || resource.annotation(HELM_GENERATED) == Some("true") {
                continue;
            }
            if let Some(count) = ids.get_mut(&id_key(resource)) {
                *count -= 1;
            }
            resource.store_previous_id()?;
            self.apply(resource)?;
            let count = ids.entry(id_key(resource)).or_default();
            *count += 1;
            if *count != 1 {
                return Err(conflict(resources, at)?.into());
            }
        }
        Ok(())
    }
}

impl NamespaceTransformer {
    /// Moves one resource.
    pub(super) fn apply(&self, resource: &mut Resource) -> Result<(), Error> {
        let create = Create::Kind(Kind::Scalar, tag::STR);
        if !resource.is_cluster_scoped() {
            METADATA_NAMESPACE
                .apply(resource, Create::Kind(Kind::Scalar, ""), &mut |node| self.set(node))
                .map_err(TransformError::from)?;
        }
        let binding = is_binding(resource.kind());
        if binding {
            self.set_subjects(&mut resource.node)?;
        }
        let core_v1 = resource.api_version() == "v1";
        for field in &self.fields {
            let skipped = field.path == "metadata/namespace"
                || (field.path == "metadata/name" && !core_v1)
                || (binding && is_binding(&field.gvk.kind) && field.path == "subjects/namespace");
            if !skipped {
                field.apply(resource, create, &mut |node| self.set(node)).map_err(field_error)?;
            }
        }
        Ok(())
    }

    fn set(&self, node: &mut Node) -> Result<(), FieldSpecError> {
        if self.unset_only && node.kind == Kind::Scalar && !node::is_null(node) && !node.value.is_empty() {
            return Ok(());
        }
        Ok(node::set_scalar(node, Node::string(&self.namespace))?)
    }

    fn set_subjects(&self, object: &mut Node) -> Result<(), Error> {
        let wrong = |err: String| TransformError::Subjects(err);
        let (field, value) = match self.subjects {
            SubjectMode::None => return Ok(()),
            SubjectMode::DefaultOnly => ("name", "default"),
            SubjectMode::AllServiceAccounts => ("kind", "ServiceAccount"),
        };
        let Some(subjects) = object.get_mut("subjects").filter(|subjects| !node::is_null(subjects)) else {
            return Ok(());
        };
        node::expect_kind(subjects, Kind::Sequence).map_err(|err| wrong(err.to_string()))?;
        for subject in &mut subjects.content {
            let looked_up = node::lookup(subject, &[field]).and_then(|found| {
                found.map_or(Ok(()), |found| node::expect_kind(found, Kind::Scalar)).map(|()| found)
            });
            let looked_up = looked_up.map_err(|err| {
                wrong(format!("looking up {field} on (cluster)role binding subject: {err}"))
            })?;
            if looked_up.is_some_and(|found| found.kind == Kind::Scalar && found.value == value) {
                self.set_subject_namespace(subject).map_err(|err| wrong(err.to_string()))?;
            }
        }
        Ok(())
    }

    fn set_subject_namespace(&self, subject: &mut Node) -> Result<(), FieldSpecError> {
        if subject.get("namespace").is_none() {
            subject.content.push(Node::string("namespace"));
            subject.content.push(Node::scalar("", ""));
        }
        match subject.get_mut("namespace") {
            Some(namespace) => self.set(namespace),
            None => Ok(()),
        }
    }
}

fn is_binding(kind: &str) -> bool {
    kind == "RoleBinding" || kind == "ClusterRoleBinding"
}

fn field_error(err: FieldError) -> TransformError {
    match &*err.source {
        FieldSpecError::Node(NodeError::WrongKind { actual, .. }) if *actual != "ScalarNode" => {
            TransformError::NamespaceFieldKind(err)
        }
        _ => TransformError::NamespaceField(err),
    }
}

fn conflict(resources: &Resources, at: usize) -> Result<TransformError, Error> {
    let mut shown = Vec::new();
    let Some(key) = resources.iter().nth(at).map(id_key) else {
        return Ok(TransformError::NamespaceConflict(String::new()));
    };
    for resource in resources.iter().filter(|resource| id_key(resource) == key) {
        let node = crate::annotations::with_remembered(resource)?;
        shown.push(crate::yaml::node_to_json_text(&node).unwrap_or_else(|err| format!("<{err}>")));
    }
    Ok(TransformError::NamespaceConflict(shown.join(" ")))
}
