//! CertificateSigningRequests: which part of them each of their subresources may change.

use serde_json::Value;

use crate::object;

/// Limits a write to what its subresource is for, and dates new conditions.
pub(super) fn prepare_update(subresource: &str, new: &mut Value, live: &Value, now: &str) {
    let mut status = match subresource {
        "status" | "approval" => new["status"].clone(),
        _ => live["status"].clone(),
    };
    match subresource {
        "status" => {
            for kind in ["Approved", "Denied"] {
                keep_conditions(&mut status, &live["status"], kind);
            }
            date_conditions(&mut status, &live["status"], now);
        }
        "approval" => {
            date_conditions(&mut status, &live["status"], now);
            let conditions = status.get("conditions").cloned();
            status = live["status"].clone();
            match conditions {
                Some(conditions) => object::members(&mut status).insert("conditions".into(), conditions),
                None => object::members(&mut status).remove("conditions"),
            };
        }
        _ => {}
    }
    let members = object::members(new);
    members.insert("spec".into(), live["spec"].clone());
    members.insert("status".into(), status);
}

/// Conditions of this type stay as they were; that there are more or fewer of them is for validation to refuse.
fn keep_conditions(status: &mut Value, live: &Value, kind: &str) {
    let of_kind = |v: &Value| -> Vec<usize> {
        let all = v["conditions"].as_array().into_iter().flatten().enumerate();
        all.filter(|(_, condition)| condition["type"] == kind).map(|(index, _)| index).collect()
    };
    let (now, before) = (of_kind(status), of_kind(live));
    if now.len() == before.len() {
        for (now, before) in now.into_iter().zip(before) {
            status["conditions"][now] = live["conditions"][before].clone();
        }
    }
}

/// Says when conditions were written and when they came to be, where the client does not.
fn date_conditions(status: &mut Value, live: &Value, now: &str) {
    let before = live["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            object::members(condition).insert("lastUpdateTime".into(), now.into());
        }
        if condition["lastTransitionTime"].is_null() {
            let same = |old: &&Value| {
                old["type"] == condition["type"]
                    && old["status"] == condition["status"]
                    && !old["lastTransitionTime"].is_null()
            };
            let since =
                before.iter().find(same).map_or_else(|| now.into(), |old| old["lastTransitionTime"].clone());
            object::members(condition).insert("lastTransitionTime".into(), since);
        }
    }
}
