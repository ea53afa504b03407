//! The conditions every pass must leave behind, whatever the kind.

use crate::{
    conditions::{self, FAILED, PROGRESSING_WITH_RETRY, READY, RECONCILING, STALLED, SUCCEEDED},
    reconciler::{Failure, Kind, Outcome},
};

/// Brings an object's conditions in line with how its pass ended.
///
/// - Ended well: `Reconciling` and `Stalled` go; without `Ready` it becomes `True`; a `Ready` that
///   is `False` makes the pass a failure with that message.
/// - To be tried again: `Stalled` goes, `Reconciling` (if there) gets the reason
///   `ProgressingWithRetry` and keeps its message; a `Ready` that is not `False` becomes so.
/// - Stalled: `Stalled` replaces `Reconciling`; a `Ready` that is not `False` becomes so.
///
/// `observedGeneration` moves only when the object ended ready or stalled.
pub fn settle<K: Kind>(object: &mut K, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    let result = match result {
        Ok(_) if conditions::is_false(object, READY) => {
            Err(Failure::retry(conditions::message(object, READY)))
        }
        result => result,
    };
    match &result {
        Ok(_) => {
            conditions::delete(object, STALLED);
            conditions::delete(object, RECONCILING);
            if !conditions::has(object, READY) {
                conditions::mark_true(object, READY, SUCCEEDED, "Reconciliation succeeded");
            }
        }
        Err(failure @ (Failure::Retry(_) | Failure::Wait { .. })) => {
            conditions::delete(object, STALLED);
            if !conditions::is_false(object, READY) {
                conditions::mark_false(object, READY, FAILED, failure.message());
            }
            if let Some(reconciling) = conditions::get(object, RECONCILING) {
                let message = reconciling.message.clone();
                conditions::mark_reconciling(object, PROGRESSING_WITH_RETRY, message);
            }
        }
        Err(Failure::Stalled { reason, message }) => {
            if !conditions::is_false(object, READY) {
                conditions::mark_false(object, READY, reason, message);
            }
            conditions::mark_stalled(object, reason, message);
        }
    }
    if conditions::is_ready(object) || conditions::is_stalled(object) {
        let generation = object.meta().generation.unwrap_or(0);
        if object.observed_generation() != generation {
            object.set_observed_generation(generation);
        }
    }
    result
}
