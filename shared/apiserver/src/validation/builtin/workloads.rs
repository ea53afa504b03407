//! Deployments, ReplicaSets, DaemonSets, StatefulSets and ReplicationControllers.

use serde_json::{Value, json};

use super::super::{internal, invalid_text};
use super::{integer, items, member, not_negative, pods, selector, storage, string};
use crate::api_error::{FieldError, FieldErrorKind};
use crate::registry::Resource;

const NO_MATCH: &str = "`selector` does not match template `labels`";

pub(super) fn deployment(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    not_negative(spec, "replicas", "spec", errors);
    required_selector(spec, "deployment", errors);
    if selector::is_usable(member(spec, "selector")) {
        replica_template(spec, errors);
    } else {
        let shown = selector::text(member(spec, "selector"));
        errors.push(invalid_text("spec.selector", &shown, "invalid label selector"));
    }
    deployment_strategy(&spec["strategy"], errors);
    not_negative(spec, "minReadySeconds", "spec", errors);
    not_negative(spec, "revisionHistoryLimit", "spec", errors);
    if member(spec, "progressDeadlineSeconds").is_some() {
        not_negative(spec, "progressDeadlineSeconds", "spec", errors);
        let deadline = integer(spec, "progressDeadlineSeconds");
        if deadline <= integer(spec, "minReadySeconds") {
            let path = "spec.progressDeadlineSeconds";
            errors.push(FieldError::invalid(path, deadline, "must be greater than minReadySeconds"));
        }
    }
    if let Some(old) = old {
        selector::immutable(v, old, errors);
    }
}

pub(super) fn replica_set(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    not_negative(spec, "replicas", "spec", errors);
    not_negative(spec, "minReadySeconds", "spec", errors);
    required_selector(spec, "deployment", errors);
    if selector::is_usable(member(spec, "selector")) {
        replica_template(spec, errors);
    } else {
        let shown = selector::text(member(spec, "selector"));
        errors.push(invalid_text("spec.selector", &shown, "invalid label selector"));
    }
    if let Some(old) = old {
        selector::immutable(v, old, errors);
    }
}

pub(super) fn replication_controller(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    not_negative(spec, "minReadySeconds", "spec", errors);
    let wanted = spec.get("selector").and_then(Value::as_object);
    if wanted.is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required("spec.selector", ""));
    }
    not_negative(spec, "replicas", "spec", errors);
    let Some(template) = member(spec, "template") else {
        errors.push(FieldError::required("spec.template", ""));
        return;
    };
    let labels = template["metadata"].get("labels");
    let found = |key: &str| labels.and_then(|labels| labels.get(key));
    if !wanted.into_iter().flatten().all(|(key, value)| found(key) == Some(value)) {
        let shown = labels.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, NO_MATCH));
    }
    pods::template(template, "spec.template", errors);
    always_restarting(template, "ReplicaSet", errors);
}

pub(super) fn daemon_set(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if let Some(old) = old {
        selector::immutable(v, old, errors);
    }
    let wanted = member(spec, "selector");
    selector::validate(wanted, "spec.selector", errors);
    let labels = spec["template"]["metadata"].get("labels");
    if selector::is_usable(wanted) && !selector::matches(wanted, labels) {
        let shown = labels.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, NO_MATCH));
    }
    if wanted.is_some_and(selector::is_empty) {
        let shown = selector::text(wanted);
        errors.push(invalid_text("spec.selector", &shown, "empty selector is invalid for daemonset"));
    }
    pods::template(&spec["template"], "spec.template", errors);
    always_restarting(&spec["template"], "DaemonSet", errors);
    not_negative(spec, "minReadySeconds", "spec", errors);
    daemon_set_strategy(&spec["updateStrategy"], errors);
    not_negative(spec, "revisionHistoryLimit", "spec", errors);
}

pub(super) fn stateful_set(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    match string(spec, "podManagementPolicy") {
        "" => errors.push(FieldError::required("spec.podManagementPolicy", "")),
        "OrderedReady" | "Parallel" => {}
        other => errors.push(FieldError::invalid(
            "spec.podManagementPolicy",
            other,
            "must be 'OrderedReady' or 'Parallel'",
        )),
    }
    stateful_set_strategy(&spec["updateStrategy"], errors);
    retention(spec, errors);
    if old.is_none() {
        claim_templates(spec, errors);
    }
    not_negative(spec, "replicas", "spec", errors);
    not_negative(spec, "minReadySeconds", "spec", errors);
    if let Some(ordinals) = member(spec, "ordinals") {
        not_negative(ordinals, "start", "spec.ordinals", errors);
    }
    let service = string(spec, "serviceName");
    if old.is_none() && !service.is_empty() {
        super::label_name(service, "spec.serviceName", errors);
    }
    required_selector(spec, "statefulset", errors);
    let wanted = member(spec, "selector");
    if selector::is_usable(wanted) {
        template_matches(spec, errors);
        pods::template(&with_claims(spec), "spec.template", errors);
        let metadata = &spec["template"]["metadata"];
        super::metadata::labels(metadata.get("labels"), "spec.template.labels", errors);
        super::metadata::annotations(metadata.get("annotations"), "spec.template.annotations", errors);
    } else {
        errors.push(invalid_text("spec.selector", &selector::text(wanted), ""));
    }
    always_restarting(&spec["template"], "StatefulSet", errors);
    if let Some(old) = old {
        const FREE: [&str; 7] = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ];
        let fixed = |v: &Value| {
            let mut spec = v["spec"].as_object().cloned().unwrap_or_default();
            spec.retain(|name, _| !FREE.contains(&name.as_str()));
            spec
        };
        if fixed(v) != fixed(old) {
            errors.push(FieldError::forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            ));
        }
    }
}

/// Checks a ControllerRevision, whose data never change.
pub(super) fn controller_revision(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let revision = integer(v, "revision");
    if revision < 0 {
        errors.push(FieldError::invalid("revision", revision, super::NOT_NEGATIVE));
    }
    let data = v.get("data");
    match old {
        Some(old) if old.get("data") != data => {
            let shown = data.cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid("data", shown, super::IMMUTABLE));
        }
        Some(_) => {}
        None => match data {
            None | Some(Value::Null) => errors.push(FieldError::required("data", "data is mandatory")),
            Some(Value::Object(_)) => {}
            Some(_) => errors.push(FieldError::required("data", "data must be a valid JSON object")),
        },
    }
}

fn retention(spec: &Value, errors: &mut Vec<FieldError>) {
    let Some(policy) = member(spec, "persistentVolumeClaimRetentionPolicy") else { return };
    for name in ["whenDeleted", "whenScaled"] {
        let path = format!("spec.persistentVolumeClaimRetentionPolicy.{name}");
        match string(policy, name) {
            "Delete" | "Retain" => {}
            other => errors.push(FieldError::not_supported(path, other, &["Retain", "Delete"])),
        }
    }
}

/// The template of a StatefulSet as its pods get it: with a volume for each claim, and names that are not its own.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let claims = items(spec, "volumeClaimTemplates");
    let Some(Value::Object(pod)) = template.get_mut("spec") else { return template };
    pod.remove("subdomain");
    pod.remove("hostname");
    if claims.is_empty() {
        return template;
    }
    let name = |claim: &Value| string(&claim["metadata"], "name").to_owned();
    let mut volumes: Vec<Value> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        if claims[index + 1..].iter().all(|later| name(later) != name(claim)) {
            let name = name(claim);
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    let own = pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let kept: Vec<Value> = own
        .filter(|volume| claims.iter().all(|claim| name(claim) != string(volume, "name")))
        .cloned()
        .collect();
    volumes.extend(kept);
    pod.insert("volumes".to_owned(), Value::Array(volumes));
    template
}

fn claim_templates(spec: &Value, errors: &mut Vec<FieldError>) {
    for (index, template) in items(spec, "volumeClaimTemplates").iter().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{index}]");
        storage::claim_spec(&template["spec"], &format!("{path}.spec"), errors);
    }
}

fn required_selector(spec: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let Some(wanted) = member(spec, "selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    selector::validate(Some(wanted), "spec.selector", errors);
    if selector::is_empty(wanted) {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(invalid_text("spec.selector", &selector::text(Some(wanted)), &why));
    }
}

fn template_matches(spec: &Value, errors: &mut Vec<FieldError>) {
    let wanted = member(spec, "selector");
    let labels = spec["template"]["metadata"].get("labels");
    let selects_everything = wanted.is_some_and(selector::is_empty);
    if !selects_everything && !selector::matches(wanted, labels) {
        let shown = labels.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, NO_MATCH));
    }
}

fn replica_template(spec: &Value, errors: &mut Vec<FieldError>) {
    template_matches(spec, errors);
    pods::template(&spec["template"], "spec.template", errors);
    always_restarting(&spec["template"], "ReplicaSet", errors);
}

fn always_restarting(template: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let policy = string(&template["spec"], "restartPolicy");
    if policy != "Always" {
        let path = "spec.template.spec.restartPolicy";
        errors.push(FieldError::not_supported(path, policy, &["Always"]));
    }
    if member(&template["spec"], "activeDeadlineSeconds").is_some() {
        errors.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            format!("activeDeadlineSeconds in {kind} is not Supported"),
        ));
    }
}

fn deployment_strategy(strategy: &Value, errors: &mut Vec<FieldError>) {
    let rolling = member(strategy, "rollingUpdate");
    match string(strategy, "type") {
        "Recreate" => {
            if rolling.is_some() {
                errors.push(FieldError::forbidden(
                    "spec.strategy.rollingUpdate",
                    "may not be specified when strategy `type` is 'Recreate'",
                ));
            }
        }
        "RollingUpdate" => {
            let path = "spec.strategy.rollingUpdate";
            let Some(rolling) = rolling else {
                errors.push(FieldError::required(path, "this should be defaulted and never be nil"));
                return;
            };
            int_or_percent(rolling.get("maxUnavailable"), &format!("{path}.maxUnavailable"), errors);
            int_or_percent(rolling.get("maxSurge"), &format!("{path}.maxSurge"), errors);
            if amount(rolling.get("maxUnavailable")) == 0 && amount(rolling.get("maxSurge")) == 0 {
                let shown = rolling.get("maxUnavailable").cloned().unwrap_or(Value::Null);
                errors.push(FieldError::invalid(
                    format!("{path}.maxUnavailable"),
                    shown,
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
            at_most_all(rolling.get("maxUnavailable"), &format!("{path}.maxUnavailable"), errors);
        }
        _ => errors.push(unsupported_strategy(
            "apps.DeploymentStrategy",
            "spec.strategy",
            strategy,
            "\"Recreate\", \"RollingUpdate\"",
        )),
    }
}

fn daemon_set_strategy(strategy: &Value, errors: &mut Vec<FieldError>) {
    match string(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let path = "spec.updateStrategy.rollingUpdate";
            let Some(rolling) = member(strategy, "rollingUpdate") else {
                errors.push(FieldError::required(path, ""));
                return;
            };
            for name in ["maxUnavailable", "maxSurge"] {
                int_or_percent(rolling.get(name), &format!("{path}.{name}"), errors);
            }
            for name in ["maxUnavailable", "maxSurge"] {
                at_most_all(rolling.get(name), &format!("{path}.{name}"), errors);
            }
            match (amount(rolling.get("maxUnavailable")) != 0, amount(rolling.get("maxSurge")) != 0) {
                (true, true) => {
                    let shown = rolling.get("maxSurge").cloned().unwrap_or(Value::Null);
                    errors.push(FieldError::invalid(
                        format!("{path}.maxSurge"),
                        shown,
                        "may not be set when maxUnavailable is non-zero",
                    ));
                }
                (false, false) => errors.push(FieldError::required(
                    format!("{path}.maxUnavailable"),
                    "cannot be 0 when maxSurge is 0",
                )),
                _ => {}
            }
        }
        _ => errors.push(unsupported_strategy(
            "apps.DaemonSetUpdateStrategy",
            "spec.updateStrategy",
            strategy,
            "\"RollingUpdate\", \"OnDelete\"",
        )),
    }
}

fn stateful_set_strategy(strategy: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.updateStrategy";
    match string(strategy, "type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" => {
            if let Some(rolling) = member(strategy, "rollingUpdate") {
                errors.push(FieldError::invalid(
                    format!("{path}.rollingUpdate"),
                    rolling.clone(),
                    "only allowed for updateStrategy 'RollingUpdate'",
                ));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = member(strategy, "rollingUpdate") {
                not_negative(rolling, "partition", &format!("{path}.rollingUpdate"), errors);
            }
        }
        _ => {
            let why = "must be 'RollingUpdate' or 'OnDelete'";
            let shown = internal::text("apps.StatefulSetUpdateStrategy", strategy);
            errors.push(invalid_text(path, &shown, why));
        }
    }
}

fn unsupported_strategy(kind: &str, path: &str, strategy: &Value, supported: &str) -> FieldError {
    FieldError {
        kind: FieldErrorKind::NotSupported,
        field: path.to_owned(),
        value: None,
        detail: format!("{}: supported values: {supported}", internal::text(kind, strategy)),
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn int_or_percent(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    match v {
        Some(Value::String(text)) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
                errors.push(FieldError::invalid(
                    path,
                    text.as_str(),
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
                     used for validation is '[0-9]+%')",
                ));
            }
        }
        Some(Value::Number(number)) if number.as_i64().is_some_and(|number| number < 0) => {
            errors.push(FieldError::invalid(path, Value::Number(number.clone()), super::NOT_NEGATIVE));
        }
        _ => {}
    }
}

pub(super) fn at_most_all(v: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(Value::String(text)) = v else { return };
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<i64>().ok());
    if percent.is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(path, text.as_str(), "must not be greater than 100%"));
    }
}

/// The number, or the number before the percent sign.
fn amount(v: Option<&Value>) -> i64 {
    match v {
        Some(Value::String(text)) => {
            text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0)
        }
        other => other.and_then(Value::as_i64).unwrap_or(0),
    }
}

/// Checks the numbers that a controller of replicas reports.
pub(super) fn replica_status(resource: &Resource, v: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let status = &v["status"];
    let (counted, bounded): (&[&str], &[&str]) = match resource.plural.as_str() {
        "deployments" => (
            &[
                "observedGeneration",
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
                "unavailableReplicas",
                "terminatingReplicas",
                "collisionCount",
            ],
            &["updatedReplicas", "readyReplicas", "availableReplicas"],
        ),
        "statefulsets" => (
            &[
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
                "collisionCount",
            ],
            &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
        ),
        _ => (
            &[
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
                "observedGeneration",
                "terminatingReplicas",
            ],
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        ),
    };
    for name in counted {
        not_negative(status, name, "status", errors);
    }
    for name in bounded {
        let number = integer(status, name);
        if number > integer(status, "replicas") {
            let why = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(format!("status.{name}"), number, why));
        }
    }
    let available = integer(status, "availableReplicas");
    if available > integer(status, "readyReplicas") {
        let why = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid("status.availableReplicas", available, why));
    }
    let collisions = |v: &Value| integer(&v["status"], "collisionCount");
    if matches!(resource.plural.as_str(), "deployments" | "statefulsets") && collisions(v) < collisions(old) {
        errors.push(FieldError::invalid("status.collisionCount", collisions(v), "cannot be decremented"));
    }
}
