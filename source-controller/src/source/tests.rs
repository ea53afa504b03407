//! What the end of a pass makes of the conditions.

use super::condition::*;
use super::*;
use fluxide_runtime::Object;
use fluxide_source_api::GitRepository;
use serde_json::json;

/// A repository of the third generation, seen in the second, with conditions: type, status, reason.
fn repository(with: &[(&str, &str, &str)]) -> GitRepository {
    let conditions: Vec<_> = with
        .iter()
        .map(|(kind, status, reason)| {
            json!({"type": kind, "status": status, "reason": reason, "message": format!("{kind} says so"),
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2})
        })
        .collect();
    let object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "app", "namespace": "apps", "generation": 3},
        "spec": {"url": "https://example.com/app", "interval": "1m"},
        "status": {"observedGeneration": 2, "conditions": conditions},
    });
    serde_json::from_value(object).unwrap()
}

fn ready(object: &GitRepository) -> (&str, &str) {
    conditions::get(object, READY).map_or(("", ""), |ready| (ready.status.as_str(), ready.reason.as_str()))
}

fn succeeded() -> Result<Outcome, Failure> {
    Ok(Outcome::interval(Duration::from_secs(60)))
}

const STORED: (&str, &str, &str) = (ARTIFACT_IN_STORAGE, "True", "Succeeded");

#[test]
fn ready_says_the_most_telling_condition() {
    for (with, expected) in [
        (vec![], ("", "")),
        (vec![STORED], ("True", "Succeeded")),
        (vec![STORED, (FETCH_FAILED, "True", "GitOperationFailed")], ("False", "GitOperationFailed")),
        (vec![STORED, (INCLUDE_UNAVAILABLE, "True", "NoArtifact")], ("False", "NoArtifact")),
        (vec![STORED, (ARTIFACT_OUTDATED, "True", "NewRevision")], ("False", "NewRevision")),
        (vec![STORED, (STORAGE_OPERATION_FAILED, "True", "CopyFailure")], ("False", "CopyFailure")),
        // The order of the kinds decides among equals.
        (
            vec![(ARTIFACT_OUTDATED, "True", "NewRevision"), (FETCH_FAILED, "True", "AuthenticationFailed")],
            ("False", "AuthenticationFailed"),
        ),
        (
            vec![(FETCH_FAILED, "True", "Failed"), (STORAGE_OPERATION_FAILED, "True", "StatOperationFailed")],
            ("False", "StatOperationFailed"),
        ),
        // Bad news comes before the lack of good news, and that before good news.
        (
            vec![(SOURCE_VERIFIED, "False", "VerificationError"), (FETCH_FAILED, "True", "Failed")],
            ("False", "VerificationError"),
        ),
        (vec![STORED, (SOURCE_VERIFIED, "True", "Succeeded")], ("True", "Succeeded")),
        (
            vec![STORED, (SOURCE_VERIFIED, "False", "InvalidCommitSignature")],
            ("False", "InvalidCommitSignature"),
        ),
        (vec![(ARTIFACT_IN_STORAGE, "Unknown", "Unsure")], ("Unknown", "Unsure")),
        (vec![(FETCH_FAILED, "False", "Fetched")], ("True", "Fetched")),
    ] {
        let mut object = repository(&with);
        let _ = settle(&mut object, succeeded());
        assert_eq!(ready(&object), expected, "{with:?}");
    }
}

#[test]
fn a_pass_that_leaves_an_object_unready_is_tried_again() {
    let mut object = repository(&[STORED]);
    assert!(settle(&mut object, succeeded()).is_ok());
    let mut object = repository(&[STORED, (ARTIFACT_OUTDATED, "True", "NewRevision")]);
    match settle(&mut object, succeeded()) {
        Err(Failure::Retry(error)) => assert_eq!(error.to_string(), "ArtifactOutdated says so"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_generation_is_observed_when_there_is_nothing_to_try_again() {
    let progressing = (RECONCILING, "True", "Progressing");
    let observed = |object: &GitRepository| object.status.as_ref().unwrap().observed_generation;
    let observed = |object: &GitRepository| format!("{:?}", observed(object));

    let mut object = repository(&[STORED, progressing, (STALLED, "True", "URLInvalid")]);
    assert!(settle(&mut object, succeeded()).is_ok());
    assert_eq!(observed(&object), observed(&repository_seen_in(3)));
    assert!(!conditions::has(&object, RECONCILING) && !conditions::has(&object, STALLED));

    let mut object = repository(&[STORED, progressing, (FETCH_FAILED, "True", "Failed")]);
    assert!(settle(&mut object, Err(Failure::retry("no"))).is_err());
    assert_eq!(observed(&object), observed(&repository_seen_in(2)));
    assert_eq!(conditions::reason(&object, RECONCILING), PROGRESSING_WITH_RETRY);
    assert_eq!(conditions::message(&object, RECONCILING), "Reconciling says so");

    let mut object = repository(&[progressing, (INCLUDE_UNAVAILABLE, "True", "NotFound")]);
    assert!(settle(&mut object, Err(Failure::wait(Duration::from_secs(30), "no"))).is_err());
    assert_eq!(observed(&object), observed(&repository_seen_in(2)));
    assert_eq!(ready(&object), ("False", "NotFound"));

    let mut object = repository(&[STORED, progressing, (FETCH_FAILED, "True", "URLInvalid")]);
    assert!(settle(&mut object, Err(Failure::stalled("URLInvalid", "no"))).is_err());
    assert_eq!(observed(&object), observed(&repository_seen_in(3)));
    assert_eq!(conditions::reason(&object, STALLED), "URLInvalid");
    assert!(!conditions::has(&object, RECONCILING));
    assert_eq!(ready(&object), ("False", "URLInvalid"));

    // A suspended object keeps what it was doing, to be tried again when it is resumed.
    let mut object = repository(&[STORED, progressing]);
    assert!(settle(&mut object, Ok(Outcome::Done)).is_ok());
    assert_eq!(observed(&object), observed(&repository_seen_in(3)));
    assert_eq!(conditions::reason(&object, RECONCILING), PROGRESSING_WITH_RETRY);

    // Without any condition nothing is claimed to have been seen.
    let mut object = repository(&[]);
    assert!(settle(&mut object, succeeded()).is_ok());
    assert_eq!(observed(&object), observed(&repository_seen_in(2)));
}

fn repository_seen_in(generation: i64) -> GitRepository {
    let mut object = repository(&[]);
    object.set_observed_generation(generation);
    object
}
