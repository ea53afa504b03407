//! What a pass works with, made from the spec and the built objects: rules, owner, payloads, and whose
//! health counts.

use std::collections::HashSet;

use fluxide_apply::apply::{Action, ChangeSet};
use fluxide_apply::metadata::{Owner, is_encrypted_secret, set_common_metadata};
use fluxide_apply::selector::SelectorText;
use fluxide_apply::wait::Target;
use fluxide_apply::{Object, ObjectId, health, ignore};
use fluxide_kustomize_api::Kustomization;
use fluxide_meta::Selector;
use fluxide_meta::condition::reasons;
use kube::ResourceExt as _;

use crate::decrypt;
use crate::reconciler::GROUP;
use crate::stop::Stop;

/// The rules that users write into the spec, parsed.
pub(crate) struct Rules {
    pub health: health::Rules,
    pub ignore: ignore::Rules,
}

impl Rules {
    /// Parses the rules of a spec.
    pub fn of(object: &Kustomization) -> Result<Self, Stop> {
        let ignore = ignore_rules(object).map_err(|error| Stop::Terminal {
            reason: reasons::RECONCILIATION_FAILED,
            message: terminal(error),
        })?;
        Ok(Self { health: health_rules(object)?, ignore })
    }
}

fn health_rules(object: &Kustomization) -> Result<health::Rules, Stop> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let texts: Vec<health::RuleText> = object
        .spec
        .health_check_exprs
        .iter()
        .map(|check| health::RuleText {
            api_version: check.api_version.clone(),
            kind: text(&check.kind),
            when: String::new(),
            in_progress: text(&check.in_progress),
            failed: text(&check.failed),
            current: check.current.clone(),
        })
        .collect();
    health::Rules::parse(&texts)
        .map_err(|error| Stop::Terminal { reason: reasons::INVALID_CEL_EXPRESSION, message: terminal(error) })
}

/// The rules about fields that are left to others.
pub fn ignore_rules(object: &Kustomization) -> Result<ignore::Rules, ignore::Error> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let selector = |target: &Selector| SelectorText {
        group: text(&target.group),
        version: text(&target.version),
        kind: text(&target.kind),
        name: text(&target.name),
        namespace: text(&target.namespace),
        label_selector: text(&target.label_selector),
        annotation_selector: text(&target.annotation_selector),
    };
    let texts: Vec<ignore::RuleText> = object
        .spec
        .ignore
        .iter()
        .map(|rule| ignore::RuleText {
            paths: rule.paths.clone(),
            target: rule.target.as_ref().map(selector),
        })
        .collect();
    ignore::Rules::parse(&texts)
}

pub(crate) fn terminal(error: impl std::fmt::Display) -> String {
    format!("Reconciliation failed terminally due to configuration error: {error}")
}

/// Who applied objects belong to.
pub fn owner(object: &Kustomization) -> Owner {
    Owner {
        group: GROUP.to_owned(),
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
    }
}

/// Marks the built objects as ours, refuses ciphertext, and brings them to the form in which they
/// are applied. Also says which fields get lost by that.
pub(crate) fn prepare(
    object: &Kustomization,
    owner: &Owner,
    mut objects: Vec<Object>,
) -> Result<(Vec<Object>, Vec<String>), Stop> {
    let common = object.spec.common_metadata.as_ref();
    let mut dropped = Vec::new();
    for built in &mut objects {
        let keeps_ciphertext = built.annotation(decrypt::ANNOTATION).is_some_and(decrypt::disables);
        if is_encrypted_secret(built) && !keeps_ciphertext {
            return Err(Stop::failed(
                reasons::RECONCILIATION_FAILED,
                format!(
                    "{} is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
                    built.subject()
                ),
            ));
        }
        owner.label(built);
        let unknown = fluxide_apply::normalize::normalize(built);
        if !unknown.is_empty() {
            let fields = unknown.join(", ");
            dropped.push(format!("{} has unknown fields that are dropped: {fields}", built.subject()));
        }
        if let Some(common) = common {
            set_common_metadata(built, &common.labels, &common.annotations);
        }
    }
    Ok((objects, dropped))
}

/// Jobs that remove themselves when they have ended.
pub(crate) fn vanishing_jobs(objects: &[Object]) -> HashSet<ObjectId> {
    objects
        .iter()
        .filter(|object| object.group() == "batch" && object.kind() == "Job")
        .filter(|job| {
            job.fields().get("spec").is_some_and(|spec| spec.get("ttlSecondsAfterFinished").is_some())
        })
        .map(ObjectId::of)
        .collect()
}

/// The objects whose health decides: everything applied, or those of `healthChecks`.
pub(crate) fn health_targets(object: &Kustomization, changes: &ChangeSet) -> Vec<Target> {
    let applied = |id: &ObjectId| changes.changes.iter().find(|change| change.entry.id == *id);
    let targets: Vec<Target> = if object.spec.wait {
        changes.changes.iter().filter(|change| change.action != Action::Skipped).map(Target::from).collect()
    } else {
        let own = object.namespace().unwrap_or_default();
        let ids = object.spec.health_checks.iter().map(|reference| {
            let api_version = reference.api_version.as_deref().filter(|version| !version.is_empty());
            let (group, _) = fluxide_apply::object::split_api_version(api_version.unwrap_or("apps/v1"));
            ObjectId {
                namespace: reference.namespace_or(&own).to_owned(),
                name: reference.name.clone(),
                group: group.to_owned(),
                kind: reference.kind.clone(),
            }
        });
        ids.map(|id| match applied(&id) {
            Some(change) => Target::from(change),
            None => Target { id, seen: None, state: None },
        })
        .collect()
    };
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let is_self = |id: &ObjectId| id.kind == "Kustomization" && id.name == name && id.namespace == namespace;
    targets.into_iter().filter(|target| !is_self(&target.id)).collect()
}
