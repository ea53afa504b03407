//! Events between the core group and `events.k8s.io`.

use serde_json::Value;

use crate::object;

const PAIRS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// From `events.k8s.io` to the core group.
pub(super) fn to_core(v: &mut Value) {
    let m = object::members(v);
    for (core, events) in PAIRS {
        if let Some(x) = m.remove(*events) {
            m.insert((*core).to_owned(), x);
        }
    }
}

/// From the core group to `events.k8s.io`.
pub(super) fn to_events_group(v: &mut Value) {
    let m = object::members(v);
    for (core, events) in PAIRS {
        if let Some(x) = m.remove(*core) {
            m.insert((*events).to_owned(), x);
        }
    }
}
