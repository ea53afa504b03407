//! Configuration, events, nodes, access rules and the other kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::{age_of, cells, items, joined, number, or_none, or_unset, scalar, since};
use crate::object::{self, text};

/// Kinds of the core group.
pub(super) fn core(plural: &str, o: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let name = object::name(o);
    let age = age_of(o, now);
    let size = |member: &str| o[member].as_object().map_or(0, serde_json::Map::len);
    Some(match plural {
        "configmaps" => cells![name, size("data") + size("binaryData"), age],
        "secrets" => cells![name, text(o, &["type"]), size("data"), age],
        "serviceaccounts" => cells![name, age],
        "namespaces" => cells![name, text(o, &["status", "phase"]), age],
        "nodes" => node(o, &age),
        "events" => event(o, now),
        "resourcequotas" => {
            let (requests, limits) = quota(o);
            cells![name, requests, limits, age]
        }
        "componentstatuses" => {
            let healthy = items(o, &["conditions"]).find(|c| c["type"] == "Healthy");
            let status = match healthy.map(|c| text(c, &["status"])) {
                Some("True") => "Healthy",
                Some("False") => "Unhealthy",
                _ => "Unknown",
            };
            let of = |member: &str| healthy.map_or("", |c| text(c, &[member]));
            cells![name, status, of("message"), of("error")]
        }
        _ => return None,
    })
}

/// Kinds of the other groups.
pub(super) fn cells(group: &str, plural: &str, o: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let spec = &o["spec"];
    let name = object::name(o);
    let age = age_of(o, now);
    Some(match (group, plural) {
        ("events.k8s.io", "events") => event(&crate::versions::convert_builtin(o, "v1"), now),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            let names = |kind: &str| {
                let of_kind = items(o, &["subjects"]).filter(|s| s["kind"] == kind);
                joined(of_kind.map(|s| text(s, &["name"])), ", ")
            };
            let accounts: Vec<String> = items(o, &["subjects"])
                .filter(|s| s["kind"] == "ServiceAccount")
                .map(|s| format!("{}/{}", text(s, &["namespace"]), text(s, &["name"])))
                .collect();
            let role = &o["roleRef"];
            cells![
                name,
                format!("{}/{}", text(role, &["kind"]), text(role, &["name"])),
                age,
                names("User"),
                names("Group"),
                accounts.join(", "),
            ]
        }
        ("coordination.k8s.io", "leases") => cells![name, text(spec, &["holderIdentity"]), age],
        ("node.k8s.io", "runtimeclasses") => cells![name, text(o, &["handler"]), age],
        ("scheduling.k8s.io", "priorityclasses") => cells![
            name,
            number(o, &["value"]),
            o["globalDefault"] == true,
            age,
            text(o, &["preemptionPolicy"]),
        ],
        ("certificates.k8s.io", "certificatesigningrequests") => {
            let seconds = spec["expirationSeconds"].as_i64();
            let asked = seconds.map_or("<none>".to_owned(), super::human_duration);
            let signer = or_none(text(spec, &["signerName"]));
            cells![name, age, signer, text(spec, &["username"]), asked, signing(o)]
        }
        ("apiregistration.k8s.io", "apiservices") => {
            let service = match &spec["service"] {
                Value::Null => "Local".to_owned(),
                s => format!("{}/{}", text(s, &["namespace"]), text(s, &["name"])),
            };
            let available = items(o, &["status", "conditions"]).find(|c| c["type"] == "Available");
            let available = match available {
                Some(c) if c["status"] == "True" => "True".to_owned(),
                Some(c) => format!("{} ({})", text(c, &["status"]), text(c, &["reason"])),
                None => "Unknown".to_owned(),
            };
            cells![name, service, available, age]
        }
        ("admissionregistration.k8s.io", plural) => admission(plural, o, &age)?,
        ("flowcontrol.apiserver.k8s.io", plural) => flow(plural, o, &age)?,
        ("resource.k8s.io", plural) => devices(plural, o, &age)?,
        _ => return None,
    })
}

fn admission(plural: &str, o: &Value, age: &str) -> Option<Vec<Value>> {
    let spec = &o["spec"];
    let name = object::name(o);
    let kind = match &spec["paramKind"] {
        Value::Null => "<unset>".to_owned(),
        k => format!("{}/{}", text(k, &["apiVersion"]), text(k, &["kind"])),
    };
    let reference = &spec["paramRef"];
    let parameter = match (text(reference, &["namespace"]), text(reference, &["name"])) {
        ("", "") if reference.get("selector").is_some() => {
            crate::selectors::selector_text(&reference["selector"])
        }
        ("", "") => "<unset>".to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    Some(match plural {
        "validatingadmissionpolicies" => cells![name, items(spec, &["validations"]).count(), kind, age],
        "mutatingadmissionpolicies" => cells![name, items(spec, &["mutations"]).count(), kind, age],
        "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings" => {
            cells![name, text(spec, &["policyName"]), parameter, age]
        }
        "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" => {
            cells![name, items(o, &["webhooks"]).count(), age]
        }
        _ => return None,
    })
}

fn flow(plural: &str, o: &Value, age: &str) -> Option<Vec<Value>> {
    let spec = &o["spec"];
    let name = object::name(o);
    Some(match plural {
        "flowschemas" => {
            let dangling = items(o, &["status", "conditions"]).find(|c| c["type"] == "Dangling");
            cells![
                name,
                text(spec, &["priorityLevelConfiguration", "name"]),
                number(spec, &["matchingPrecedence"]),
                or_none(text(spec, &["distinguisherMethod", "type"])),
                age,
                dangling.map_or("?", |c| text(c, &["status"])),
            ]
        }
        "prioritylevelconfigurations" => {
            let limited = &spec["limited"];
            let queuing = &limited["limitResponse"]["queuing"];
            let shown = |v: &Value| v.as_i64().map_or(Value::from("<none>"), Value::from);
            cells![
                name,
                text(spec, &["type"]),
                shown(&limited["nominalConcurrencyShares"]),
                shown(&queuing["queues"]),
                shown(&queuing["handSize"]),
                shown(&queuing["queueLengthLimit"]),
                age,
            ]
        }
        _ => return None,
    })
}

fn devices(plural: &str, o: &Value, age: &str) -> Option<Vec<Value>> {
    let spec = &o["spec"];
    let name = object::name(o);
    Some(match plural {
        "deviceclasses" | "resourceclaimtemplates" => cells![name, age],
        "resourceclaims" => {
            let mut states = Vec::new();
            if object::is_deleting(o) {
                states.push("deleted");
            }
            if o["status"]["allocation"].is_object() {
                states.push("allocated");
                if items(o, &["status", "reservedFor"]).next().is_some() {
                    states.push("reserved");
                }
            } else {
                states.push("pending");
            }
            cells![name, states.join(","), age]
        }
        "resourceslices" => {
            let node = if spec["allNodes"] == true { "<all>" } else { or_unset(text(spec, &["nodeName"])) };
            cells![name, node, text(spec, &["driver"]), text(spec, &["pool", "name"]), age]
        }
        _ => return None,
    })
}

fn node(o: &Value, age: &str) -> Vec<Value> {
    let mut status = match items(o, &["status", "conditions"]).find(|c| c["type"] == "Ready") {
        Some(c) if c["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if o["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let labels = o["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| match k.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if k == "kubernetes.io/role" => v.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let address = |kind: &str| {
        let found = items(o, &["status", "addresses"]).find(|a| a["type"] == kind);
        or_none(found.map_or("", |a| text(a, &["address"]))).to_owned()
    };
    let info = |member: &str| match text(o, &["status", "nodeInfo", member]) {
        "" => "<unknown>",
        value => value,
    };
    cells![
        object::name(o),
        status,
        or_none(&roles.join(",")),
        age,
        text(o, &["status", "nodeInfo", "kubeletVersion"]),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn event(o: &Value, now: Timestamp) -> Vec<Value> {
    let first = match text(o, &["firstTimestamp"]) {
        "" => text(o, &["eventTime"]),
        time => time,
    };
    let series = &o["series"];
    let (last, count) = if series.is_object() {
        (text(series, &["lastObservedTime"]), number(series, &["count"]))
    } else {
        let last = match text(o, &["lastTimestamp"]) {
            "" => first,
            time => time,
        };
        (last, number(o, &["count"]).max(1))
    };
    let involved = &o["involvedObject"];
    let kind = text(involved, &["kind"]).to_lowercase();
    let target = match text(involved, &["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let either = |a: &[&str], b: &str| match text(o, a) {
        "" => text(o, &[b]).to_owned(),
        value => value.to_owned(),
    };
    let component = either(&["source", "component"], "reportingComponent");
    let source = match either(&["source", "host"], "reportingInstance").as_str() {
        "" => component,
        instance => format!("{component}, {instance}"),
    };
    cells![
        since(last, now),
        text(o, &["type"]),
        text(o, &["reason"]),
        target,
        text(involved, &["fieldPath"]),
        source,
        text(o, &["message"]).trim(),
        since(first, now),
        count,
        object::name(o),
    ]
}

/// What of a quota is used, for requests and for limits.
fn quota(o: &Value) -> (String, String) {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in o["status"]["hard"].as_object().into_iter().flatten() {
        let used = match &o["status"]["used"][resource] {
            Value::Null => "0".to_owned(),
            used => scalar(used),
        };
        let shown = format!("{resource}: {used}/{}", scalar(hard));
        if resource.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
    }
    (requests.join(", "), limits.join(", "))
}

fn signing(o: &Value) -> String {
    let has = |kind: &str| items(o, &["status", "conditions"]).any(|c| c["type"] == kind);
    let mut states: Vec<&str> = if has("Denied") {
        vec!["Denied"]
    } else if has("Approved") {
        vec!["Approved"]
    } else {
        vec!["Pending"]
    };
    if has("Failed") {
        states.push("Failed");
    }
    if !text(o, &["status", "certificate"]).is_empty() {
        states.push("Issued");
    }
    states.join(",")
}
