//! Accepts the names of new CustomResourceDefinitions and establishes them, and rebuilds the catalog.

use std::sync::PoisonError;

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
            let crd = recorded(core, &stored.value, crd, &now);
            let key = ObjectKey::new("", object::name(&crd));
            let _ = core.store.update(TABLE, &key, stored.revision, crd);
        }
    }
    refresh_catalog(core);
}

/// Notes that the server wrote the status of a definition.
fn recorded(core: &Core, old: &Value, new: Value, now: &str) -> Value {
    let catalog = core.catalog();
    let Some(resource) = catalog.by_table(TABLE) else { return new };
    crate::typing::record_update(resource, "status", Some(old), &new, "kube-apiserver", now)
}

/// Builds the catalog anew from the established definitions.
pub(crate) fn refresh_catalog(core: &Core) {
    let _rebuilding = core.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
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
    let (mut resources, mut kinds) = (Vec::new(), Vec::new());
    for other in all.iter().filter(|other| text(&other.value, &["spec", "group"]) == group) {
        // What this definition has already counts, too: one name cannot come to stand for two things.
        let names = &other.value["status"]["acceptedNames"];
        let short = names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        resources.extend([text(names, &["plural"]), text(names, &["singular"])].into_iter().chain(short));
        kinds.extend([text(names, &["kind"]), text(names, &["listKind"])]);
    }
    let asked = crd["spec"]["names"].clone();
    let before = crd["status"]["acceptedNames"].clone();
    if asked == before {
        return;
    }
    let mut accepted = before.clone();
    let one = |field: &str, taken: &[&str], reason: &'static str, accepted: &mut Value| {
        let name = text(&asked, &[field]);
        let is_free = name == text(&before, &[field]) || !taken.contains(&name);
        if !is_free {
            return Some((reason, in_use(name)));
        }
        if !name.is_empty() {
            object::members(accepted).insert(field.to_owned(), name.into());
        }
        None
    };
    let problems = [
        one("plural", &resources, "PluralConflict", &mut accepted),
        one("singular", &resources, "SingularConflict", &mut accepted),
        short_names(&asked, &before, &resources, &mut accepted),
        one("kind", &kinds, "KindConflict", &mut accepted),
        one("listKind", &kinds, "ListKindConflict", &mut accepted),
    ];
    // Of several the last one is told.
    let problem = problems.into_iter().flatten().next_back();
    carry(&asked, "categories", &mut accepted);
    if before != accepted {
        object::set_at(crd, &["status", "acceptedNames"], accepted);
    }
    let accepted = problem.is_none();
    match &problem {
        None => set_condition(crd, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
        Some((reason, message)) => set_condition(crd, "NamesAccepted", "False", reason, message, now),
    }
    let established = condition(crd, "Established") == Some("True");
    if accepted && !established {
        let message = "the initial names have been accepted";
        set_condition(crd, "Established", "True", "InitialNamesAccepted", message, now);
    } else if !accepted && !established {
        set_condition(crd, "Established", "False", "NotAccepted", "not all names are accepted", now);
    }
}

fn in_use(name: &str) -> String {
    format!("{} is already in use", fluxide_gotext::quote_str(name))
}

/// Accepts the short names, if none of the new ones is in use.
fn short_names(
    asked: &Value,
    before: &Value,
    taken: &[&str],
    accepted: &mut Value,
) -> Option<(&'static str, String)> {
    let names = |v: &Value| -> Vec<String> {
        let names = v["shortNames"].as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let own = names(before);
    let clashes: Vec<String> = names(asked)
        .iter()
        .filter(|name| !own.contains(name) && taken.contains(&name.as_str()))
        .map(|name| in_use(name))
        .collect();
    match clashes.as_slice() {
        [] => {
            carry(asked, "shortNames", accepted);
            None
        }
        [one] => Some(("ShortNamesConflict", one.clone())),
        several => Some(("ShortNamesConflict", format!("[{}]", several.join(", ")))),
    }
}

fn carry(asked: &Value, member: &str, accepted: &mut Value) {
    match asked.get(member).filter(|names| !crate::go_value::is_empty(names)) {
        Some(names) => object::members(accepted).insert(member.to_owned(), names.clone()),
        None => object::members(accepted).remove(member),
    };
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
