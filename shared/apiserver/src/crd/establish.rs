//! Accepts the names of new CustomResourceDefinitions and establishes them, and rebuilds the catalog.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object::{self, text};
use crate::registry::Catalog;
use crate::store::ObjectKey;

/// Table of the definitions.
pub(crate) const TABLE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Brings the status of every definition up to date, then the catalog. Called after each change of a definition.
pub(crate) fn reconcile(core: &Core) {
    let listing = core.store.list(TABLE, None);
    for stored in &listing.objects {
        let mut crd = stored.value.clone();
        let now = core.clock.now_text();
        accept_names(&mut crd, &listing.objects, &now);
        if crd != stored.value {
            let key = ObjectKey::new("", object::name(&crd));
            let _ = core.store.update(TABLE, &key, stored.revision, crd);
        }
    }
    refresh_catalog(core);
}

/// Builds the catalog anew from the established definitions.
pub(crate) fn refresh_catalog(core: &Core) {
    let listing = core.store.list(TABLE, None);
    let custom = listing
        .objects
        .iter()
        .filter(|s| condition(&s.value, "Established") == Some("True"))
        .flat_map(|s| super::resources_of(&s.value))
        .collect();
    core.set_catalog(Catalog::new(custom));
    crate::seed::sync_api_services(core);
}

fn accept_names(crd: &mut Value, all: &[std::sync::Arc<crate::store::Stored>], now: &str) {
    let group = text(crd, &["spec", "group"]).to_owned();
    let own = object::uid(crd).to_owned();
    let mut taken = Vec::new();
    for other in all {
        if object::uid(&other.value) == own || text(&other.value, &["spec", "group"]) != group {
            continue;
        }
        let names = &other.value["status"]["acceptedNames"];
        for k in ["plural", "singular", "kind", "listKind"] {
            taken.push((k, text(names, &[k]).to_owned()));
        }
    }
    let names = crd["spec"]["names"].clone();
    let mut problem = None;
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let v = text(&names, &[field]);
        let clash = taken.iter().any(|(k, t)| {
            t == v
                && !v.is_empty()
                && matches!(*k, "kind" | "listKind") == matches!(field, "kind" | "listKind")
        });
        if clash && problem.is_none() {
            problem = Some((reason, format!("{} is already in use", crate::api_error::go_quote(v))));
        }
    }
    let accepted = problem.is_none();
    match &problem {
        None => {
            object::set_at(crd, &["status", "acceptedNames"], names);
            set_condition(crd, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
        }
        Some((reason, message)) => set_condition(crd, "NamesAccepted", "False", reason, message, now),
    }
    let established = condition(crd, "Established") == Some("True");
    if accepted && !established {
        set_condition(
            crd,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        );
    } else if !accepted && !established {
        set_condition(crd, "Established", "False", "NotAccepted", "not all names are accepted", now);
    }
}

/// The status of a condition.
pub(crate) fn condition<'a>(crd: &'a Value, kind: &str) -> Option<&'a str> {
    let list = crd["status"]["conditions"].as_array()?;
    list.iter().find(|c| c["type"] == kind)?["status"].as_str()
}

/// Sets a condition, its time only when its status changes.
pub(crate) fn set_condition(
    crd: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) {
    let conditions = object::child(crd, "status").entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let fresh = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now});
    match list.iter_mut().find(|c| c["type"] == kind) {
        Some(c) if c["status"] == status => {
            c["reason"] = reason.into();
            c["message"] = message.into();
        }
        Some(c) => *c = fresh,
        None => list.push(fresh),
    }
}
