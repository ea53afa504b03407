//! Which changes of an object make it due.

use crate::store::Change;
use kube::Resource;

/// The annotation that asks for a reconcile now.
pub const RECONCILE_REQUEST: &str = "reconcile.fluxcd.io/requestedAt";
/// The annotation that, equal to [`RECONCILE_REQUEST`], forces a one-off action.
pub const FORCE_REQUEST: &str = "reconcile.fluxcd.io/forceAt";
/// The annotation that, equal to [`RECONCILE_REQUEST`], resets failure counts.
pub const RESET_REQUEST: &str = "reconcile.fluxcd.io/resetAt";

/// Whether a change of a primary object makes it due: it is new or gone, its generation changed, it
/// is being deleted, or `requestedAt` is present and differs from before. Labels and status do not.
pub fn primary<K: Resource>(change: &Change<K>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else {
        return true;
    };
    let (old, new) = (old.meta(), new.meta());
    old.uid != new.uid
        || old.generation != new.generation
        || (old.deletion_timestamp.is_none() && new.deletion_timestamp.is_some())
        || requested(new, RECONCILE_REQUEST)
            .is_some_and(|value| requested(old, RECONCILE_REQUEST) != Some(value))
}

/// The value of `reconcile.fluxcd.io/requestedAt` on an object.
pub fn requested_at<K: Resource>(object: &K) -> Option<&str> {
    requested(object.meta(), RECONCILE_REQUEST)
}

/// Whether a one-shot annotation takes effect: it equals `requestedAt`, that request has not been
/// handled yet, and neither has this annotation's value. Record its value as handled in any case.
pub fn one_shot<K: Resource>(
    object: &K,
    annotation: &str,
    last_handled_reconcile_at: Option<&str>,
    last_handled: Option<&str>,
) -> bool {
    let request = requested(object.meta(), RECONCILE_REQUEST);
    match (request, requested(object.meta(), annotation)) {
        (Some(request), Some(value)) => {
            request == value && last_handled_reconcile_at != Some(request) && last_handled != Some(value)
        }
        _ => false,
    }
}

fn requested<'a>(meta: &'a kube::core::ObjectMeta, annotation: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(annotation).map(String::as_str)
}

#[cfg(test)]
mod tests;
