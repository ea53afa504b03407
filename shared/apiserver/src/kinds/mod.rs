//! What single built-in kinds set by themselves on a create or update.

pub(crate) mod pods;
pub(crate) mod services;
mod signing_requests;
pub(crate) mod workloads;

use serde_json::{Value, json};

pub(crate) use services::Reservations;

use crate::api_error::ApiResult;
use crate::core::Core;
use crate::object;
use crate::registry::Resource;

/// Brings a defaulted object into the form that it has after a turn through the server's internal types.
pub(crate) fn convert(resource: &Resource, v: &mut Value) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => string_data(v),
        ("", "nodes") => first_address_range(v),
        ("apps", "daemonsets") => workloads::note_template_generation(v),
        ("autoscaling", "horizontalpodautoscalers") if resource.version == "v1" => {
            let inside = crate::versions::convert_builtin(v, "autoscaling/v2");
            *v = crate::versions::convert_builtin(&inside, "autoscaling/v1");
        }
        _ => {}
    }
}

/// Sets what the server chooses for a new object of a built-in kind.
pub(crate) fn prepare_create(
    core: &Core,
    resource: &Resource,
    v: &mut Value,
    dry_run: bool,
) -> ApiResult<()> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            let list = object::child(v, "spec").entry("finalizers").or_insert_with(|| json!([]));
            if !list.is_array() {
                *list = json!([]);
            }
            if let Some(list) = list.as_array_mut()
                && !list.iter().any(|f| f == "kubernetes")
            {
                list.push("kubernetes".into());
            }
            object::members(v).insert("status".into(), json!({"phase": "Active"}));
            let name = object::name(v).to_owned();
            let labels = object::metadata(v).entry("labels").or_insert_with(|| json!({}));
            object::members(labels).insert("kubernetes.io/metadata.name".into(), name.into());
        }
        ("", "pods") => pods::prepare_create(v, &core.clock.now_text()),
        ("", "services") => services::prepare_create(core, v, dry_run)?,
        ("", "persistentvolumeclaims") => {
            object::members(v).insert("status".into(), json!({"phase": "Pending"}));
            claim_sources(v, None);
        }
        ("", "persistentvolumes") => {
            let now = core.clock.now_text();
            object::members(v)
                .insert("status".into(), json!({"phase": "Pending", "lastPhaseTransitionTime": now}));
        }
        ("apps", "daemonsets") => workloads::prepare_daemon_set(v),
        ("apps", "statefulsets") => {
            object::remove_at(v, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
        }
        ("batch", "jobs") => workloads::generate_selector(v),
        ("apiregistration.k8s.io", "apiservices") if !v["spec"]["service"].is_object() => {
            object::members(v).insert(
                "status".into(),
                json!({"conditions": [{
                    "type": "Available", "status": "True", "reason": "Local",
                    "message": "Local APIServices are always available",
                    "lastTransitionTime": core.clock.now_text(),
                }]}),
            );
        }
        ("resource.k8s.io", "resourceslices") => date_taints(v, &core.clock.now_text()),
        ("networking.k8s.io", "ingresses") => {
            object::members(v).insert("status".into(), json!({"loadBalancer": {}}));
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => crate::crd::definition::prepare_create(v),
        _ => {}
    }
    Ok(())
}

/// Sets what the server chooses on an update of a built-in kind.
pub(crate) fn prepare_update(
    core: &Core,
    resource: &Resource,
    subresource: &str,
    new: &mut Value,
    live: &Value,
    dry_run: bool,
) -> ApiResult<()> {
    if resource.is("", "pods") {
        match subresource {
            "status" => pods::prepare_status(new, live),
            "ephemeralcontainers" => pods::keep_all_but_ephemeral_containers(new, live),
            "resize" => pods::keep_all_but_resources(new, live),
            _ => {}
        }
    }
    if resource.is("certificates.k8s.io", "certificatesigningrequests") {
        signing_requests::prepare_update(subresource, new, live, &core.clock.now_text());
    }
    if resource.is("apps", "daemonsets") && subresource == "status" {
        workloads::keep_template_generation(new, live);
    }
    if resource.is("", "persistentvolumes") && subresource == "status" {
        keep_transition_time(new, live, &core.clock.now_text());
    }
    if resource.is("batch", "jobs") && subresource == "status" {
        // What is stored without labels is read with those of its pods.
        crate::defaulting::default_builtin(&resource.group, &resource.version, &resource.kind, new);
    }
    if !subresource.is_empty() {
        return Ok(());
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => services::prepare_update(core, new, live, dry_run)?,
        ("", "namespaces") => {
            let finalizers = live["spec"]["finalizers"].clone();
            let spec = object::child(new, "spec");
            if finalizers.is_null() {
                spec.remove("finalizers");
            } else {
                spec.insert("finalizers".into(), finalizers);
            }
        }
        ("", "persistentvolumeclaims") => {
            object::members(new).insert("status".into(), live["status"].clone());
            claim_sources(new, Some(live));
        }
        ("resource.k8s.io", "resourceslices") => date_taints(new, &core.clock.now_text()),
        ("apps", "daemonsets") => workloads::count_templates(new, live),
        ("apps", "statefulsets") => {
            object::remove_at(new, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => crate::crd::definition::prepare_update(new),
        _ => {}
    }
    Ok(())
}

/// Adds the members that even an empty object of a built-in kind shows.
pub(crate) fn complete_empty(resource: &Resource, v: &mut Value) {
    if let Some(ty) = crate::schema::builtin().kind(&resource.group, &resource.version, &resource.kind) {
        let _ = crate::schema::decode(v, ty);
    }
    if resource.group == "apps"
        && matches!(resource.plural.as_str(), "deployments" | "replicasets" | "statefulsets")
    {
        object::child(v, "spec").insert("replicas".into(), 0.into());
    }
}

/// Taints of devices that do not say since when they are there are new.
fn date_taints(v: &mut Value, now: &str) {
    let devices = v.pointer_mut("/spec/devices").and_then(Value::as_array_mut).into_iter().flatten();
    for taint in devices.filter_map(|device| device.get_mut("taints")?.as_array_mut()).flatten() {
        if taint["timeAdded"].is_null() {
            object::members(taint).insert("timeAdded".into(), now.into());
        }
    }
}

/// The time at which a volume came into its phase is the server's to set, unless the client sets another.
fn keep_transition_time(new: &mut Value, live: &Value, now: &str) {
    const NAME: &str = "lastPhaseTransitionTime";
    let (before, after) = (live["status"].get(NAME).cloned(), new["status"].get(NAME).cloned());
    let given = after.filter(|time| !time.is_null());
    let time = if new["status"]["phase"] == live["status"]["phase"] {
        given.or(before)
    } else if given.is_none() || given == before {
        Some(now.into())
    } else {
        given
    };
    if let Some(time) = time {
        object::child(new, "status").insert(NAME.to_owned(), time);
    }
}

/// `podCIDR` decides what the first of `podCIDRs` is.
fn first_address_range(v: &mut Value) {
    let Some(first) = v["spec"]["podCIDR"].as_str().filter(|range| !range.is_empty()).map(str::to_owned)
    else {
        if let Some(first) = v["spec"]["podCIDRs"][0].as_str().map(str::to_owned) {
            object::set_at(v, &["spec", "podCIDR"], first.into());
        }
        return;
    };
    if v["spec"]["podCIDRs"][0] != first.as_str() {
        object::set_at(v, &["spec", "podCIDRs"], json!([first]));
    }
}

/// `dataSource` and `dataSourceRef` of a claim say the same; either follows from the other.
fn claim_sources(v: &mut Value, live: Option<&Value>) {
    let used = live.is_some_and(|live| !live["spec"]["dataSource"].is_null());
    let spec = object::child(v, "spec");
    let known = |source: &Value| {
        matches!(
            (object::text(source, &["apiGroup"]), object::text(source, &["kind"])),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        )
    };
    // Anything else was ignored there before other sources came, and still is.
    if !used
        && spec.get("dataSourceRef").is_none_or(Value::is_null)
        && spec.get("dataSource").is_some_and(|source| !known(source))
    {
        spec.remove("dataSource");
    }
    let present = |spec: &serde_json::Map<String, Value>, name: &str| {
        spec.get(name).filter(|source| source.is_object()).cloned()
    };
    let (from, to) = match (present(spec, "dataSource"), present(spec, "dataSourceRef")) {
        (Some(source), None) => (source, "dataSourceRef"),
        (None, Some(reference)) if object::text(&reference, &["namespace"]).is_empty() => {
            (reference, "dataSource")
        }
        _ => return,
    };
    let member = |name: &str| from.get(name).cloned();
    spec.insert(
        to.to_owned(),
        json!({
            "apiGroup": member("apiGroup"),
            "kind": member("kind").unwrap_or_else(|| "".into()),
            "name": member("name").unwrap_or_else(|| "".into()),
        }),
    );
}

/// Moves `stringData` into `data`.
fn string_data(v: &mut Value) {
    use base64::Engine;
    let Some(Value::Object(plain)) = object::members(v).remove("stringData") else { return };
    let data = object::child(v, "data");
    for (k, s) in plain {
        let encoded = base64::engine::general_purpose::STANDARD.encode(s.as_str().unwrap_or_default());
        data.insert(k, encoded.into());
    }
}
