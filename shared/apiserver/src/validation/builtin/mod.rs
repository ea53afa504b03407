//! Validation of the built-in kinds, what updates of them may not change, and their warnings.
//!
//! Objects come here decoded and defaulted. The order of the errors is the server's: it is visible in its messages.

mod affinity;
mod attachments;
mod autoscaling;
mod cluster;
mod conditions;
mod config;
mod containers;
mod devices;
mod discovery;
mod events;
mod expressions;
mod flow_control;
mod jobs;
mod key_pairs;
mod networking;
mod pod_subresources;
mod pods;
mod policies;
mod rbac;
mod resources;
mod schedules;
mod security;
mod selector;
pub(crate) mod services;
mod signing_requests;
mod slices;
mod storage;
mod volumes;
pub(crate) mod warnings;
pub(crate) mod webhooks;
mod workloads;

use serde_json::Value;

use super::{IMMUTABLE, NOT_NEGATIVE, metadata};
use crate::api_error::FieldError;
use crate::registry::Resource;
use crate::schema::Quantity;

/// Everything that is wrong with a new object.
pub(crate) fn validate_create(resource: &Resource, v: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    // The rules of some kinds look at no metadata, so that only what every object must have is left to check.
    let with_metadata = resource.group != "policy";
    if with_metadata {
        errors.extend(metadata::validate(resource, v));
    }
    validate(resource, v, None, &mut errors);
    if !with_metadata && errors.is_empty() {
        errors.extend(metadata::validate(resource, v));
    }
    errors
}

/// Everything that is wrong with a changed object.
pub(crate) fn validate_update(
    resource: &Resource,
    subresource: &str,
    new: &Value,
    old: &Value,
) -> Vec<FieldError> {
    let mut errors = metadata::validate_update(resource, subresource, new, old);
    if resource.is("certificates.k8s.io", "certificatesigningrequests") {
        signing_requests::change(resource, subresource, new, old, &mut errors);
        return errors;
    }
    match subresource {
        "ephemeralcontainers" => pod_subresources::ephemeral_containers(new, old, &mut errors),
        "resize" => pod_subresources::resize(new, old, &mut errors),
        "" | "scale" => validate(resource, new, Some(old), &mut errors),
        "status" => validate_status(resource, new, old, &mut errors),
        "finalize" => cluster::namespace_finalizers(new, &mut errors),
        _ => {}
    }
    errors
}

fn validate(resource: &Resource, v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") if old.is_none() => cluster::namespace(v, errors),
        ("", "configmaps") => config::config_map(resource, v, old, errors),
        ("", "secrets") => config::secret(resource, v, old, errors),
        ("", "services") => services::service(v, old, errors),
        ("", "endpoints") => services::endpoints(v, old, errors),
        ("", "pods") => pods::pod(v, old, true, errors),
        ("", "podtemplates") => pods::template(&v["template"], "template", errors),
        ("", "persistentvolumeclaims") => storage::claim(v, old, errors),
        ("", "persistentvolumes") => storage::volume(v, old, errors),
        ("", "replicationcontrollers") => workloads::replication_controller(v, errors),
        ("", "resourcequotas") => cluster::resource_quota(v, old, errors),
        ("", "limitranges") => cluster::limit_range(v, errors),
        ("", "nodes") => cluster::node(v, old, errors),
        ("" | "events.k8s.io", "events") => events::event(resource, v, old, errors),
        ("storage.k8s.io", "storageclasses") => storage::class(v, old, errors),
        ("storage.k8s.io", "csinodes") => attachments::node(v, old, errors),
        ("storage.k8s.io", "csistoragecapacities") => attachments::capacity(v, old, errors),
        ("storage.k8s.io", "volumeattachments") => attachments::attachment(v, old, errors),
        ("storage.k8s.io", "volumeattributesclasses") => attachments::attributes_class(v, old, errors),
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => flow_control::schema(v, errors),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => flow_control::level(v, errors),
        ("resource.k8s.io", "deviceclasses") => devices::class(v, errors),
        ("resource.k8s.io", "resourceclaims") => devices::claim(v, old, errors),
        ("resource.k8s.io", "resourceclaimtemplates") => devices::template(v, old, errors),
        ("resource.k8s.io", "resourceslices") => slices::slice(v, old, errors),
        ("storage.k8s.io", "csidrivers") => discovery::driver(v, old, errors),
        ("certificates.k8s.io", "certificatesigningrequests") => signing_requests::request(v, None, errors),
        ("coordination.k8s.io", "leases") => events::lease(v, errors),
        ("scheduling.k8s.io", "priorityclasses") => cluster::priority_class(v, old, errors),
        ("apps", "deployments") => workloads::deployment(v, old, errors),
        ("apps", "replicasets") => workloads::replica_set(v, old, errors),
        ("apps", "daemonsets") => workloads::daemon_set(v, old, errors),
        ("apps", "statefulsets") => workloads::stateful_set(v, old, errors),
        ("apps", "controllerrevisions") => workloads::controller_revision(v, old, errors),
        ("batch", "jobs") => jobs::job(resource, v, old, errors),
        ("batch", "cronjobs") => jobs::cron_job(v, errors),
        ("autoscaling", "horizontalpodautoscalers") => autoscaling::autoscaler(v, errors),
        ("policy", "poddisruptionbudgets") => autoscaling::disruption_budget(v, errors),
        ("networking.k8s.io", "ingresses") => networking::ingress(v, old, errors),
        ("networking.k8s.io", "ingressclasses") => networking::ingress_class(v, old, errors),
        ("networking.k8s.io", "ipaddresses") => networking::ip_address(v, old, errors),
        ("networking.k8s.io", "servicecidrs") => networking::service_range(v, old, errors),
        ("networking.k8s.io", "networkpolicies") => networking::policy(v, old, errors),
        ("rbac.authorization.k8s.io", "roles") => rbac::rules(v, true, errors),
        ("rbac.authorization.k8s.io", "clusterroles") => rbac::rules(v, false, errors),
        ("rbac.authorization.k8s.io", "rolebindings") => rbac::binding(v, old, true, errors),
        ("rbac.authorization.k8s.io", "clusterrolebindings") => rbac::binding(v, old, false, errors),
        ("discovery.k8s.io", "endpointslices") => discovery::endpoint_slice(v, old, errors),
        ("node.k8s.io", "runtimeclasses") => discovery::runtime_class(v, old, errors),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => {
            webhooks::configuration(v, old, false, errors);
        }
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => {
            webhooks::configuration(v, old, true, errors);
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => policies::policy(v, old, errors),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => policies::binding(v, errors),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => {
            policies::mutating_policy(v, old, errors);
        }
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings") => {
            policies::mutating_binding(v, errors);
        }
        ("apiregistration.k8s.io", "apiservices") => discovery::api_service(v, errors),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            errors.extend(crate::crd::definition_validation::validate(v, old));
        }
        _ => {}
    }
}

fn validate_status(resource: &Resource, v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let status = &v["status"];
    let counts = |names: &[&str], errors: &mut Vec<FieldError>| {
        for name in names {
            not_negative(status, name, "status", errors);
        }
    };
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => cluster::namespace_status(v, errors),
        ("storage.k8s.io", "volumeattachments") => attachments::attachment(v, Some(old), errors),
        ("flowcontrol.apiserver.k8s.io", _) => flow_control::conditions(v, errors),
        ("apiregistration.k8s.io", _) => {
            for (index, condition) in items(status, "conditions").iter().enumerate() {
                let (known, found) = (["True", "False", "Unknown"], string(condition, "status"));
                if !known.contains(&found) {
                    let at = format!("status.conditions[{index}].status");
                    errors.push(FieldError::not_supported(at, found, &known));
                }
            }
        }
        ("", "services") => services::service_status(v, old, errors),
        ("", "pods") => pod_subresources::status(v, old, errors),
        ("networking.k8s.io", "ingresses") => networking::ingress_status(v, old, errors),
        ("policy", "poddisruptionbudgets") => autoscaling::disruption_budget_status(v, errors),
        ("autoscaling", "horizontalpodautoscalers") => {
            counts(&["currentReplicas", "desiredReplicas"], errors);
        }
        ("apps", "deployments" | "replicasets" | "statefulsets") | ("", "replicationcontrollers") => {
            workloads::replica_status(resource, v, old, errors);
        }
        ("apps", "daemonsets") => counts(
            &[
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ],
            errors,
        ),
        _ => {}
    }
}

/// The items of a list, none when it is absent.
fn items<'a>(v: &'a Value, name: &str) -> &'a [Value] {
    v.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A member that is there and not null.
fn member<'a>(v: &'a Value, name: &str) -> Option<&'a Value> {
    v.get(name).filter(|v| !v.is_null())
}

/// A string member, absent as empty.
fn string<'a>(v: &'a Value, name: &str) -> &'a str {
    v.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An integer member, absent as zero.
fn integer(v: &Value, name: &str) -> i64 {
    v.get(name).and_then(Value::as_i64).unwrap_or(0)
}

fn not_negative(v: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let number = integer(v, name);
    if number < 0 {
        errors.push(FieldError::invalid(format!("{path}.{name}"), number, NOT_NEGATIVE));
    }
}

fn immutable(new: &Value, old: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    let (new, old) = (member(new, name), member(old, name));
    if new != old {
        let shown = new.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(path, shown, IMMUTABLE));
    }
}

fn port_number(number: i64, path: &str, errors: &mut Vec<FieldError>) {
    if !(1..=65535).contains(&number) {
        errors.push(FieldError::invalid(path, number, "must be between 1 and 65535, inclusive"));
    }
}

/// A port by number or by name.
fn port(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    match v {
        Some(Value::String(name)) => {
            for m in super::names::port_name(name) {
                errors.push(FieldError::invalid(path, name.as_str(), m));
            }
        }
        other => port_number(other.and_then(Value::as_i64).unwrap_or(0), path, errors),
    }
}

fn label_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    for m in super::names::dns1123_label(name) {
        errors.push(FieldError::invalid(path, name, m));
    }
}

fn label_value(value: &str, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(m) = crate::selectors::validate_label_value(value) {
        errors.push(FieldError::invalid(path, value, m));
    }
}

fn subdomain_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    for m in super::names::dns1123_subdomain(name) {
        errors.push(FieldError::invalid(path, name, m));
    }
}

/// A value that must be one of a few.
fn one_of(v: &Value, name: &str, path: &str, allowed: &[&str], errors: &mut Vec<FieldError>) {
    match string(v, name) {
        "" => errors.push(FieldError::required(format!("{path}.{name}"), "")),
        found if !allowed.contains(&found) => {
            errors.push(FieldError::not_supported(format!("{path}.{name}"), found, allowed));
        }
        _ => {}
    }
}

/// A name that is part of a path.
fn segment(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for m in super::names::path_segment(name) {
        errors.push(FieldError::invalid(path, name, m));
    }
}

fn not_negative_quantity(amount: &str, path: &str, errors: &mut Vec<FieldError>) {
    if Quantity::parse(amount).is_ok_and(|q| q.is_negative()) {
        errors.push(FieldError::invalid(path, amount, NOT_NEGATIVE));
    }
}

/// Checks that an amount is more than nothing, and says whether it is.
fn positive_quantity(amount: &str, path: &str, errors: &mut Vec<FieldError>) -> bool {
    let positive = Quantity::parse(amount).is_ok_and(|q| !q.is_negative() && !q.is_zero());
    if !positive {
        errors.push(FieldError::invalid(path, amount, "must be greater than zero"));
    }
    positive
}

/// Checks the amount of a resource; objects and devices come whole.
fn quantity_value(resource: &str, amount: &str, path: &str, errors: &mut Vec<FieldError>) {
    not_negative_quantity(amount, path, errors);
    let counted = matches!(
        resource,
        "pods"
            | "services"
            | "replicationcontrollers"
            | "resourcequotas"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    );
    if (counted || is_extended_resource(resource)) && Quantity::parse(amount).is_ok_and(|q| !q.is_whole()) {
        errors.push(FieldError::invalid(path, amount, "must be an integer"));
    }
}

/// Whether a resource is something that only a device or another vendor defines.
fn is_extended_resource(name: &str) -> bool {
    name.contains('/')
        && !name.contains("kubernetes.io/")
        && !name.starts_with("requests.")
        && super::names::qualified_name(&format!("requests.{name}")).is_empty()
}
