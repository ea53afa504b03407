//! The rules of conditions, one by one.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition(kind: &str, status: Status, reason: &str, generation: i64) -> Condition {
    new(kind, status, reason, "", generation)
}

#[test]
fn the_transition_time_moves_with_status_reason_or_message_but_not_generation() {
    let mut list = Vec::new();
    let set = |list: &mut Vec<Condition>, status, reason: &str, message: &str, generation, now| {
        set_at(list, new("Ready", status, reason, message, generation), at(now));
        list[0].last_transition_time.0.as_second()
    };
    assert_eq!(set(&mut list, Status::True, "A", "m", 1, 10), 10);
    assert_eq!(set(&mut list, Status::True, "A", "m", 2, 20), 10);
    assert_eq!(list[0].observed_generation, Some(2));
    assert_eq!(set(&mut list, Status::True, "A", "other", 2, 30), 30);
    assert_eq!(set(&mut list, Status::True, "B", "other", 2, 40), 40);
    assert_eq!(set(&mut list, Status::False, "B", "other", 2, 50), 50);
}

#[test]
fn times_are_whole_seconds() {
    let mut list = Vec::new();
    let now: Timestamp = "2026-08-03T09:14:12.9Z".parse().unwrap();
    set_at(&mut list, condition("Ready", Status::True, "A", 1), now);
    let json = serde_json::to_value(&list[0]).unwrap();
    assert_eq!(json["lastTransitionTime"], "2026-08-03T09:14:12Z");
}

#[test]
fn a_long_message_ends_in_dots_at_the_limit() {
    let message = |text: String| new("Ready", Status::True, "A", text, 1).message;
    assert_eq!(message("x".repeat(MESSAGE_LIMIT)).len(), MESSAGE_LIMIT);
    assert!(!message("x".repeat(MESSAGE_LIMIT)).ends_with("..."));
    let cut = message("x".repeat(MESSAGE_LIMIT + 1));
    assert_eq!(cut.len(), MESSAGE_LIMIT);
    assert!(cut.ends_with("x..."));
    let cut = message("é".repeat(MESSAGE_LIMIT));
    assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with("é..."));
}

#[test]
fn order_is_stalled_reconciling_ready_then_newest_then_by_name() {
    let mut list = Vec::new();
    for (kind, generation) in [("B", 1), ("A", 1), ("Ready", 1), ("Z", 2), ("Stalled", 1), ("Reconciling", 1)]
    {
        set_at(&mut list, condition(kind, Status::True, "A", generation), at(0));
    }
    let order: Vec<&str> = list.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(order, ["Stalled", "Reconciling", "Ready", "Z", "A", "B"]);
}

fn summarized(conditions: &[Condition], latest_generation: bool) -> Option<(Status, String)> {
    let options =
        Summary { kinds: &["N1", "N2", "P1", "P2"], negative: &["N1", "N2", "Stalled"], latest_generation };
    summary(conditions, READY, &options).map(|(status, reason, _)| (status, reason))
}

#[test]
fn a_summary_takes_the_worst_group() {
    use Status::{False, True, Unknown};
    let c = condition;
    let result = |list: &[Condition]| summarized(list, false);
    assert_eq!(result(&[]), None);
    assert_eq!(result(&[c("Other", False, "o", 1)]), None);
    let negative_true = c("N2", True, "nt", 1);
    let positive_false = c("P1", False, "pf", 1);
    let positive_true = c("P2", True, "pt", 1);
    let negative_false = c("N1", False, "nf", 1);
    let unknown = c("P1", Unknown, "u", 1);
    let all = [negative_true, positive_false.clone(), positive_true.clone(), negative_false.clone()];
    assert_eq!(result(&all), Some((False, "nt".into())));
    assert_eq!(
        result(&[positive_false, positive_true.clone(), negative_false.clone()]),
        Some((False, "pf".into()))
    );
    assert_eq!(result(&[negative_false.clone(), unknown.clone(), positive_true]), Some((True, "pt".into())));
    assert_eq!(result(&[unknown.clone(), negative_false]), Some((True, "nf".into())));
    assert_eq!(result(&[unknown]), Some((Unknown, "u".into())));
}

#[test]
fn within_a_group_the_callers_order_decides() {
    let list = [condition("P2", Status::False, "second", 9), condition("P1", Status::False, "first", 1)];
    assert_eq!(summarized(&list, false), Some((Status::False, "first".into())));
    assert_eq!(summarized(&list, true), Some((Status::False, "second".into())));
}

#[test]
fn a_negative_target_is_inverted() {
    let list = [condition("N1", Status::True, "bad", 1)];
    let options = Summary { kinds: &["N1"], negative: &["N1", "Stalled"], latest_generation: false };
    let (status, ..) = summary(&list, STALLED, &options).unwrap();
    assert_eq!(status, Status::True);
}
