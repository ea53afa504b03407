//! New Jobs get their selector, DaemonSets count their templates.

use serde_json::{Value, json};

use crate::object::{self, text};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A Job without a selector of its own selects by its uid.
pub(super) fn generate_selector(v: &mut Value) {
    if v["spec"]["manualSelector"] == true {
        return;
    }
    let (name, uid) = (object::name(v).to_owned(), object::uid(v).to_owned());
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ];
    let spec = object::child(v, "spec");
    let template = spec.entry("template").or_insert_with(|| json!({}));
    let on_template = object::metadata(template).entry("labels").or_insert_with(|| json!({}));
    for (k, value) in labels {
        object::members(on_template).insert(k.to_owned(), value.clone().into());
    }
    let selector = spec.entry("selector").or_insert_with(|| json!({}));
    let wanted = object::members(selector).entry("matchLabels").or_insert_with(|| json!({}));
    object::members(wanted).insert("batch.kubernetes.io/controller-uid".into(), uid.clone().into());
}

/// A Job that came without labels has those of its template: not copies, so what is added there is added here.
pub(crate) fn share_labels(sent: &Value, v: &mut Value) {
    let own = object::at(sent, &["metadata", "labels"]).and_then(Value::as_object);
    if own.is_none_or(serde_json::Map::is_empty)
        && let Some(labels) = object::at(v, &["spec", "template", "metadata", "labels"]).cloned()
    {
        object::metadata(v).insert("labels".into(), labels);
    }
}

/// The generation of the template is a field inside of the server, and an annotation outside.
pub(super) fn note_template_generation(v: &mut Value) {
    let noted: i64 = text(v, &["metadata", "annotations", TEMPLATE_GENERATION]).parse().unwrap_or(0);
    object::set_at(v, &["metadata", "annotations", TEMPLATE_GENERATION], noted.to_string().into());
}

/// A new DaemonSet is at its first template.
pub(super) fn prepare_daemon_set(v: &mut Value) {
    object::set_at(v, &["metadata", "annotations", TEMPLATE_GENERATION], "1".into());
}

/// The generation of the template is part of the spec, though it is shown as an annotation.
pub(super) fn keep_template_generation(new: &mut Value, live: &Value) {
    if let Some(generation) = live["metadata"]["annotations"].get(TEMPLATE_GENERATION) {
        object::set_at(new, &["metadata", "annotations", TEMPLATE_GENERATION], generation.clone());
    }
}

/// A new template counts one up.
pub(super) fn count_templates(new: &mut Value, live: &Value) {
    let before: i64 = text(live, &["metadata", "annotations", TEMPLATE_GENERATION]).parse().unwrap_or(0);
    let changed = new["spec"]["template"] != live["spec"]["template"];
    let count = if changed { before + 1 } else { before };
    object::set_at(new, &["metadata", "annotations", TEMPLATE_GENERATION], count.to_string().into());
}
