//! The fields that a write to a resource or subresource ignores.

use fluxide_structured_merge::{FieldSet, Path};

/// The fields that writes to `subresource` (empty for the resource itself) ignore, and nobody comes to own through them.
///
/// `has_status` says whether the resource has a status subresource. Custom resources give their own group.
pub(crate) fn reset_fields(
    group: &str,
    resource: &str,
    subresource: &str,
    has_status: bool,
    custom: bool,
) -> FieldSet {
    let paths: &[&[&str]] = match (group, resource, subresource) {
        ("certificates.k8s.io", "certificatesigningrequests", "") => &[&["spec"], &["status"]],
        ("certificates.k8s.io", "certificatesigningrequests", "status") => {
            &[&["spec"], &["status", "conditions"]]
        }
        ("certificates.k8s.io", "certificatesigningrequests", "approval") => {
            &[&["spec"], &["status", "certificate"]]
        }
        ("apps", "deployments", "status") => &[&["spec"], &["metadata", "labels"]],
        ("", "pods", "status") => {
            &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        }
        (_, _, "" | "finalize") if has_status => &[&["status"]],
        (_, _, "status") if custom || resets_metadata(group, resource) => &[&["metadata"], &["spec"]],
        (_, _, "status") => &[&["spec"]],
        _ => &[],
    };
    FieldSet::of(paths.iter().map(|path| Path::of_fields(path)))
}

/// Whether writes to the status of a built-in resource leave its metadata alone.
pub(crate) fn resets_metadata(group: &str, resource: &str) -> bool {
    matches!(
        (group, resource),
        ("admissionregistration.k8s.io", _)
            | ("flowcontrol.apiserver.k8s.io", _)
            | ("resource.k8s.io", _)
            | ("apiregistration.k8s.io", _)
            | ("networking.k8s.io", "servicecidrs")
            | ("storage.k8s.io", "volumeattachments")
            | ("storagemigration.k8s.io", _)
    )
}
