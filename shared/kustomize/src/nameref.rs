//! Name references: when a resource was renamed, those that name it are told.

use crate::config::{NameReference, TransformerConfig};
use crate::error::Error;
use crate::fieldspec::{Create, FieldError, FieldSpec, FieldSpecError};
use crate::id::{Gvk, NO_NAMESPACE, ResourceId};
use crate::node;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::transform::TransformError;
use fluxide_goyaml::node::{Kind, Node};
use std::collections::{HashMap, HashSet};

/// Updates every field of every resource that names a renamed one.
pub(crate) fn fix_name_references(
    resources: &mut Resources,
    config: &TransformerConfig,
) -> Result<(), Error> {
    let candidates = Candidates::new(resources);
    let mut applicable: HashMap<Gvk, Vec<(&NameReference, &FieldSpec)>> = HashMap::new();
    let mut at = 0;
    while let Some(resource) = resources.iter().nth(at) {
        let original = resource.original_id().gvk;
        let specs = applicable.entry(original).or_insert_with_key(|gvk| {
            config
                .name_reference
                .iter()
                .flat_map(|reference| reference.referrers.iter().map(move |spec| (reference, spec)))
                .filter(|(_, spec)| gvk.is_selected(&spec.gvk))
                .collect()
        });
        if !specs.is_empty() {
            let referrer = Referrer::new(resource)?;
            let resource = &mut resources.items_mut()[at];
            for (reference, spec) in specs.iter() {
                let update = Update { reference, spec, referrer: &referrer, candidates: &candidates };
                spec.apply_to_any(resource, Create::Never, &mut |node| update.set(node))
                    .map_err(|err| update.failed(err, resource))?;
            }
        }
        at += 1;
    }
    Ok(())
}

/// What is asked of the resources that may be referred to.
struct Candidates {
    all: Vec<Candidate>,
    by_previous_name: HashMap<String, Vec<usize>>,
}

struct Candidate {
    kind: String,
    name: String,
    namespace: String,
    effective_namespace: String,
    original_namespace: String,
    previous: Vec<ResourceId>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    id: String,
}

impl Candidates {
    fn new(resources: &Resources) -> Candidates {
        let mut by_previous_name: HashMap<String, Vec<usize>> = HashMap::new();
        let all: Vec<Candidate> = resources.iter().map(Candidate::new).collect();
        for (at, candidate) in all.iter().enumerate() {
            let names: HashSet<&str> = candidate.previous.iter().map(|id| id.name.as_str()).collect();
            for name in names {
                by_previous_name.entry(name.to_owned()).or_default().push(at);
            }
        }
        Candidates { all, by_previous_name }
    }
}

impl Candidate {
    fn new(resource: &Resource) -> Candidate {
        let renamed = !resource.memory.previous.is_empty();
        Candidate {
            kind: resource.kind().to_owned(),
            name: resource.name().to_owned(),
            namespace: resource.namespace().to_owned(),
            effective_namespace: resource.effective_namespace().to_owned(),
            original_namespace: match resource.memory.previous.first() {
                Some(previous) if previous.namespace.is_empty() => "default".to_owned(),
                Some(previous) => previous.namespace.clone(),
                None => resource.effective_namespace().to_owned(),
            },
            previous: resource.previous_ids().collect(),
            prefixes: resource.memory.prefixes.clone(),
            suffixes: resource.memory.suffixes.clone(),
            id: if renamed { resource.current_id().to_string() } else { String::new() },
        }
    }

    fn is_cluster_scoped(&self) -> bool {
        self.effective_namespace == NO_NAMESPACE
    }
}

/// What is asked of the resource that refers.
struct Referrer {
    effective_namespace: String,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    role_ref: Option<Gvk>,
    subject_namespaces: HashSet<String>,
}

impl Referrer {
    fn new(resource: &Resource) -> Result<Referrer, Error> {
        Ok(Referrer {
            effective_namespace: resource.effective_namespace().to_owned(),
            prefixes: resource.memory.prefixes.clone(),
            suffixes: resource.memory.suffixes.clone(),
            role_ref: role_ref(resource),
            subject_namespaces: subject_namespaces(resource)?,
        })
    }

    fn is_cluster_scoped(&self) -> bool {
        self.effective_namespace == NO_NAMESPACE
    }

    /// Whether a resource may be referred to at all.
    fn reaches(&self, candidate: &Candidate) -> bool {
        self.is_cluster_scoped()
            || candidate.is_cluster_scoped()
            || candidate.effective_namespace == self.effective_namespace
            || self.subject_namespaces.contains(&candidate.namespace)
    }
}

fn role_ref(resource: &Resource) -> Option<Gvk> {
    let role_ref = resource.node.get("roleRef")?;
    let text = |field: &str| role_ref.get(field).map(|node| node.value.to_string());
    Some(Gvk { group: text("apiGroup")?, version: String::new(), kind: text("kind")? })
}

/// The namespaces of the service accounts that a RoleBinding is about.
fn subject_namespaces(resource: &Resource) -> Result<HashSet<String>, Error> {
    let mut namespaces = HashSet::new();
    if resource.kind() != "RoleBinding" {
        return Ok(namespaces);
    }
    for subject in resource.node.get("subjects").map(Node::items).unwrap_or_default() {
        let Some(namespace) = subject.get("namespace") else { continue };
        if subject.get_text("kind") != Some("ServiceAccount") {
            continue;
        }
        if !node::is_string(namespace) {
            let id = resource.current_id();
            let text = format!("Invalid Input: namespace is blank for resource \"{id}\"\n");
            return Err(TransformError::Value(text).into());
        }
        namespaces.insert(namespace.value.to_string());
    }
    Ok(namespaces)
}

/// One field spec at work on one referrer.
struct Update<'a> {
    reference: &'a NameReference,
    spec: &'a FieldSpec,
    referrer: &'a Referrer,
    candidates: &'a Candidates,
}

impl Update<'_> {
    fn set(&self, field: &mut Node) -> Result<(), FieldSpecError> {
        if node::is_null(field) {
            return Ok(());
        }
        match field.kind {
            Kind::Scalar => self.set_scalar(field),
            Kind::Mapping => self.set_mapping(field),
            Kind::Sequence => {
                for item in field.content.iter_mut().filter(|item| !node::is_null(item)) {
                    match item.kind {
                        Kind::Scalar => self.set_scalar(item)?,
                        Kind::Mapping => self.set_mapping(item)?,
                        _ => {
                            let text = "is expected to be either a string or a map of string";
                            let shown = crate::yaml::encode(item);
                            return Err(FieldSpecError::Set(format!("{} {text}", shown.trim_end())));
                        }
                    }
                }
                Ok(())
            }
            _ => Err(FieldSpecError::Set("node must be a scalar, sequence or map".into())),
        }
    }

    fn set_scalar(&self, field: &mut Node) -> Result<(), FieldSpecError> {
        let same = |a: &Candidate, b: &Candidate| a.name == b.name;
        let Some(referral) = self.select(&field.value, |_| true, same)? else { return Ok(()) };
        if referral.name != field.value && !referral.name.is_empty() {
            node::set_scalar(field, node::untagged(&referral.name))?;
        }
        Ok(())
    }

    fn set_mapping(&self, field: &mut Node) -> Result<(), FieldSpecError> {
        let Some(name) = field.get("name").map(|name| name.value.clone()) else {
            return Err(FieldSpecError::Set("path config error; no 'name' field in node".into()));
        };
        let namespace = field.get("namespace").map(|namespace| namespace.value.clone());
        let by_original = namespace.as_ref().is_some_and(|namespace| {
            namespace != NO_NAMESPACE
                && self
                    .candidates
                    .all
                    .iter()
                    .any(|c| c.original_namespace == *namespace && self.referrer.reaches(c))
        });
        let in_namespace = |candidate: &Candidate| match &namespace {
            None => true,
            Some(namespace) if namespace == NO_NAMESPACE => false,
            Some(namespace) if by_original => candidate.original_namespace == *namespace,
            Some(namespace) => candidate.effective_namespace == *namespace,
        };
        let same = |a: &Candidate, b: &Candidate| a.name == b.name && a.namespace == b.namespace;
        let Some(referral) = self.select(&name, in_namespace, same)? else { return Ok(()) };
        if referral.name == name && referral.namespace.is_empty() {
            return Ok(());
        }
        node::set_field(field, "name", node::untagged(&referral.name))?;
        if !referral.namespace.is_empty() {
            node::set_field(field, "namespace", node::untagged(&referral.namespace))?;
        }
        Ok(())
    }

    fn select(
        &self,
        old_name: &str,
        in_namespace: impl Fn(&Candidate) -> bool,
        same: impl Fn(&Candidate, &Candidate) -> bool,
    ) -> Result<Option<&Candidate>, FieldSpecError> {
        let Some(renamed) = self.candidates.by_previous_name.get(old_name) else { return Ok(None) };
        let is_role_ref = self.spec.path.ends_with("roleRef/name");
        let role_ref = self.referrer.role_ref.as_ref().filter(|_| is_role_ref);
        let mut found: Vec<&Candidate> = renamed
            .iter()
            .map(|at| &self.candidates.all[*at])
            .filter(|candidate| {
                self.referrer.reaches(candidate)
                    && in_namespace(candidate)
                    && candidate.previous.iter().any(|id| id.gvk.is_selected(&self.reference.target))
                    && role_ref.is_none_or(|gvk| candidate.previous.iter().any(|id| id.gvk.is_selected(gvk)))
                    && self.is_in_reach_by_kind(candidate)
            })
            .collect();
        if found.len() != 1 {
            found.retain(|candidate| self.same_affixes(candidate, true));
            if found.len() > 1 {
                found.retain(|candidate| self.same_affixes(candidate, false));
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [first, rest @ ..] if rest.iter().all(|other| same(first, other)) => Ok(Some(first)),
            several => {
                let ids: Vec<&str> = several.iter().map(|candidate| candidate.id.as_str()).collect();
                Err(FieldSpecError::Set(format!("found multiple possible referrals: {}", ids.join(", "))))
            }
        }
    }

    /// A namespaced resource refers to its own namespace, except to service accounts.
    fn is_in_reach_by_kind(&self, candidate: &Candidate) -> bool {
        self.referrer.is_cluster_scoped()
            || candidate.is_cluster_scoped()
            || candidate.kind == "ServiceAccount"
            || candidate.effective_namespace == self.referrer.effective_namespace
    }

    fn same_affixes(&self, candidate: &Candidate, empty_fits_all: bool) -> bool {
        let same = |a: &[String], b: &[String]| {
            (empty_fits_all && (a.is_empty() || b.is_empty())) || same_ending(a, b)
        };
        same(&self.referrer.prefixes, &candidate.prefixes)
            && same(&self.referrer.suffixes, &candidate.suffixes)
    }

    fn failed(&self, err: FieldError, resource: &Resource) -> Error {
        let context =
            format!("updating name reference in '{}' field of '{}'", self.spec.path, resource.current_id());
        Error::from(TransformError::from(err)).context(context)
    }
}

/// Whether the shorter list is how the longer one ends; an empty list is only how an empty one ends.
fn same_ending(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() { long.is_empty() } else { long.ends_with(short) }
}
