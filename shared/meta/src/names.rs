//! Names that are API: annotations, labels, finalizers, API groups.

/// API group of the sources.
pub const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
/// API group of the source extensions.
pub const SOURCE_EXTENSIONS_GROUP: &str = "source.extensions.fluxcd.io";
/// API group of Kustomization.
pub const KUSTOMIZE_GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// API group of HelmRelease.
pub const HELM_GROUP: &str = "helm.toolkit.fluxcd.io";
/// API group of Provider, Alert and Receiver.
pub const NOTIFICATION_GROUP: &str = "notification.toolkit.fluxcd.io";
/// API group of the image kinds.
pub const IMAGE_GROUP: &str = "image.toolkit.fluxcd.io";

/// Finalizer of every kind.
pub const FINALIZER: &str = "finalizers.fluxcd.io";

/// Annotation: reconcile now; any new value counts.
pub const RECONCILE_REQUEST: &str = "reconcile.fluxcd.io/requestedAt";
/// Annotation: install or upgrade a release now; counts when equal to [`RECONCILE_REQUEST`]'s value.
pub const FORCE_REQUEST: &str = "reconcile.fluxcd.io/forceAt";
/// Annotation: reset the failure counts of a release; counts when equal to [`RECONCILE_REQUEST`]'s value.
pub const RESET_REQUEST: &str = "reconcile.fluxcd.io/resetAt";
/// Label of ConfigMaps and Secrets whose changes reconcile what refers to them (value `Enabled`).
pub const WATCH_LABEL: &str = "reconcile.fluxcd.io/watch";
/// Label that assigns an object to a shard.
pub const SHARD_LABEL: &str = "sharding.fluxcd.io/key";

/// Field and event-metadata key of a revision.
pub const META_REVISION: &str = "revision";
/// Event-metadata key of the revision of the origin.
pub const META_ORIGIN_REVISION: &str = "originRevision";
/// Event-metadata key of a digest.
pub const META_DIGEST: &str = "digest";
/// Event-metadata key of a deduplication token.
pub const META_TOKEN: &str = "token";
/// Event-metadata key of a commit.
pub const META_COMMIT: &str = "commit";
/// Event-metadata key that asks for a commit status (value `update`).
pub const META_COMMIT_STATUS: &str = "commit_status";
/// Event-metadata key of a change request number.
pub const META_CHANGE_REQUEST: &str = "change_request";
