//! Status conditions: setting, marking, ordering and summarising them as Flux does.
//!
//! The functions work on any [`Object`]; [`set_at`] is the pure core with the time as an argument.

use fluxide_meta::object::Object;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::cmp::{Ordering, Reverse};

/// The condition that says whether the object is what its spec asks for.
pub const READY: &str = "Ready";
/// The condition of an object that waits for its spec to change.
pub const STALLED: &str = "Stalled";
/// The condition of an object that is being worked on.
pub const RECONCILING: &str = "Reconciling";
/// The condition of an object whose applied objects are healthy.
pub const HEALTHY: &str = "Healthy";

/// Reason of a condition while work is under way.
pub const PROGRESSING: &str = "Progressing";
/// Reason of `Reconciling` after a failure that will be tried again.
pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
/// Reason of a success without a better name.
pub const SUCCEEDED: &str = "Succeeded";
/// Reason of a failure without a better name.
pub const FAILED: &str = "Failed";

/// Longest message of a condition, in bytes.
pub const MESSAGE_LIMIT: usize = 32768;

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`
    Unknown,
}

impl Status {
    /// The status as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads a status; everything but `True` and `False` is unknown.
    pub fn of(condition: &Condition) -> Self {
        match condition.status.as_str() {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

/// Sets a condition, with the object's generation and the current time.
pub fn set<O: Object + kube::Resource>(
    object: &mut O,
    kind: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
) {
    let generation = object.meta().generation.unwrap_or(0);
    let condition = new(kind, status, reason, message, generation);
    set_at(object.conditions_mut(), condition, Timestamp::now());
}

/// Sets a condition to `True`.
pub fn mark_true<O: Object + kube::Resource>(
    object: &mut O,
    kind: &str,
    reason: &str,
    message: impl Into<String>,
) {
    set(object, kind, Status::True, reason, message);
}

/// Sets a condition to `False`.
pub fn mark_false<O: Object + kube::Resource>(
    object: &mut O,
    kind: &str,
    reason: &str,
    message: impl Into<String>,
) {
    set(object, kind, Status::False, reason, message);
}

/// Sets a condition to `Unknown`.
pub fn mark_unknown<O: Object + kube::Resource>(
    object: &mut O,
    kind: &str,
    reason: &str,
    message: impl Into<String>,
) {
    set(object, kind, Status::Unknown, reason, message);
}

/// Removes `Stalled` and sets `Reconciling` to `True`.
pub fn mark_reconciling<O: Object + kube::Resource>(
    object: &mut O,
    reason: &str,
    message: impl Into<String>,
) {
    delete(object, STALLED);
    mark_true(object, RECONCILING, reason, message);
}

/// Removes `Reconciling` and sets `Stalled` to `True`.
pub fn mark_stalled<O: Object + kube::Resource>(object: &mut O, reason: &str, message: impl Into<String>) {
    delete(object, RECONCILING);
    mark_true(object, STALLED, reason, message);
}

/// Removes a condition if the object has it.
pub fn delete<O: Object>(object: &mut O, kind: &str) {
    if has(object, kind) {
        object.conditions_mut().retain(|condition| condition.type_ != kind);
    }
}

/// The condition of a type.
pub fn get<'a, O: Object>(object: &'a O, kind: &str) -> Option<&'a Condition> {
    find(object.conditions(), kind)
}

/// Whether the object has a condition of this type.
pub fn has<O: Object>(object: &O, kind: &str) -> bool {
    get(object, kind).is_some()
}

/// Whether the condition is present and `True`.
pub fn is_true<O: Object>(object: &O, kind: &str) -> bool {
    get(object, kind).is_some_and(|condition| Status::of(condition) == Status::True)
}

/// Whether the condition is present and `False`.
pub fn is_false<O: Object>(object: &O, kind: &str) -> bool {
    get(object, kind).is_some_and(|condition| Status::of(condition) == Status::False)
}

/// Whether the condition is `Unknown` or absent.
pub fn is_unknown<O: Object>(object: &O, kind: &str) -> bool {
    get(object, kind).is_none_or(|condition| Status::of(condition) == Status::Unknown)
}

/// Whether the object is neither stalled nor being worked on, and `Ready` is `True`.
pub fn is_ready<O: Object>(object: &O) -> bool {
    !is_stalled(object) && !is_reconciling(object) && is_true(object, READY)
}

/// Whether `Stalled` is `True` while `Reconciling` is not.
pub fn is_stalled<O: Object>(object: &O) -> bool {
    is_true(object, STALLED) && !is_true(object, RECONCILING)
}

/// Whether `Reconciling` is `True` while `Stalled` is not.
pub fn is_reconciling<O: Object>(object: &O) -> bool {
    is_true(object, RECONCILING) && !is_true(object, STALLED)
}

/// The reason of a condition, empty when absent.
pub fn reason<'a, O: Object>(object: &'a O, kind: &str) -> &'a str {
    get(object, kind).map_or("", |condition| condition.reason.as_str())
}

/// The message of a condition, empty when absent.
pub fn message<'a, O: Object>(object: &'a O, kind: &str) -> &'a str {
    get(object, kind).map_or("", |condition| condition.message.as_str())
}

/// A condition without a transition time; [`set_at`] gives it one.
pub fn new(
    kind: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: i64,
) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: truncate(message.into()),
        observed_generation: Some(generation),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// Puts a condition into a list and keeps the list in Flux's order.
///
/// The transition time moves when status, reason or message differ from before (Kubernetes'
/// convention is status alone); a newer generation alone does not move it.
pub fn set_at(conditions: &mut Vec<Condition>, mut condition: Condition, now: Timestamp) {
    condition.message = truncate(condition.message);
    let position = conditions.iter().position(|c| c.type_ == condition.type_);
    let same = position.map(|index| &conditions[index]).filter(|before| same_state(before, &condition));
    condition.last_transition_time = match same {
        Some(before) => before.last_transition_time.clone(),
        None => Time(whole_seconds(now)),
    };
    match position {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
    sort(conditions);
}

/// Whether two conditions say the same, whenever and for whatever generation they say it.
pub fn same_state(a: &Condition, b: &Condition) -> bool {
    a.type_ == b.type_ && a.status == b.status && a.reason == b.reason && a.message == b.message
}

/// Orders conditions: Stalled, Reconciling, Ready, then newest generation first, then by type.
pub fn sort(conditions: &mut [Condition]) {
    conditions.sort_by(list_order);
}

/// The condition of a type in a list.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// How [`summarize`] and [`summary`] merge several conditions into one.
#[derive(Clone, Debug, Default)]
pub struct Summary<'a> {
    /// The types to look at; the first of the winning group gives reason and message.
    pub kinds: &'a [&'a str],
    /// The types that are bad news when `True`.
    pub negative: &'a [&'a str],
    /// Look only at the conditions of the newest observed generation in each group.
    pub latest_generation: bool,
}

/// Sets `target` (normally [`READY`]) to the summary of other conditions; without any of them the
/// target stays as it is.
pub fn summarize<O: Object + kube::Resource>(object: &mut O, target: &str, options: &Summary<'_>) {
    if let Some((status, reason, message)) = summary(object.conditions(), target, options) {
        set(object, target, status, &reason, message);
    }
}

/// The status, reason and message that a summary gives its target.
pub fn summary(
    conditions: &[Condition],
    target: &str,
    options: &Summary<'_>,
) -> Option<(Status, String, String)> {
    let negative = |kind: &str| options.negative.contains(&kind);
    let candidates =
        options.kinds.iter().filter(|kind| **kind != target).filter_map(|kind| find(conditions, kind));
    let mut winner: Option<(Priority, i64, &Condition)> = None;
    for condition in candidates {
        let priority = Priority::of(condition, negative(&condition.type_));
        let generation =
            if options.latest_generation { condition.observed_generation.unwrap_or(0) } else { 0 };
        let better = match &winner {
            None => true,
            Some((best, newest, _)) => (priority, Reverse(generation)) < (*best, Reverse(*newest)),
        };
        if better {
            winner = Some((priority, generation, condition));
        }
    }
    let (priority, _, condition) = winner?;
    let status = match (priority.target_status(), negative(target)) {
        (Status::True, true) => Status::False,
        (Status::False, true) => Status::True,
        (status, _) => status,
    };
    Some((status, condition.reason.clone(), condition.message.clone()))
}

/// The five groups of a summary; the lowest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    NegativeTrue,
    PositiveFalse,
    PositiveTrue,
    NegativeFalse,
    Unknown,
}

impl Priority {
    fn of(condition: &Condition, negative: bool) -> Self {
        match (Status::of(condition), negative) {
            (Status::True, true) => Self::NegativeTrue,
            (Status::False, false) => Self::PositiveFalse,
            (Status::True, false) => Self::PositiveTrue,
            (Status::False, true) => Self::NegativeFalse,
            (Status::Unknown, _) => Self::Unknown,
        }
    }

    fn target_status(self) -> Status {
        match self {
            Self::NegativeTrue | Self::PositiveFalse => Status::False,
            Self::PositiveTrue | Self::NegativeFalse => Status::True,
            Self::Unknown => Status::Unknown,
        }
    }
}

fn list_order(a: &Condition, b: &Condition) -> Ordering {
    let rank = |condition: &Condition| match condition.type_.as_str() {
        STALLED => 0,
        RECONCILING => 1,
        READY => 2,
        _ => 3,
    };
    let generation = |condition: &Condition| Reverse(condition.observed_generation.unwrap_or(0));
    rank(a).cmp(&rank(b)).then_with(|| {
        if rank(a) < 3 {
            return Ordering::Equal;
        }
        generation(a).cmp(&generation(b)).then_with(|| a.type_.cmp(&b.type_))
    })
}

fn truncate(mut message: String) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message;
    }
    let mut end = MESSAGE_LIMIT - 3;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message.push_str("...");
    message
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
