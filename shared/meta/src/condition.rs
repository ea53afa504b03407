//! Conditions: their type, the names they use, and their schema.

/// A condition of `status.conditions`; the Kubernetes type.
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Condition types common to several kinds.
pub mod types {
    /// The object is reconciled and works.
    pub const READY: &str = "Ready";
    /// The reconciliation cannot go on until the object changes.
    pub const STALLED: &str = "Stalled";
    /// A reconciliation is under way or will be retried.
    pub const RECONCILING: &str = "Reconciling";
    /// What was applied is healthy.
    pub const HEALTHY: &str = "Healthy";
    /// A reference into another namespace was refused.
    pub const ACCESS_DENIED: &str = "AccessDenied";
}

/// Condition and event reasons common to several kinds.
pub mod reasons {
    /// It worked.
    pub const SUCCEEDED: &str = "Succeeded";
    /// It failed, for a reason only the message tells.
    pub const FAILED: &str = "Failed";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The last attempt failed and will be repeated.
    pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
    /// Reconciliation is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// Something the object depends on is not ready.
    pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
    /// A path does not exist or leads outside.
    pub const INVALID_PATH: &str = "InvalidPath";
    /// An address cannot be parsed.
    pub const INVALID_URL: &str = "InvalidURL";
    /// Plain-text connections are not allowed.
    pub const INSECURE_CONNECTIONS_DISALLOWED: &str = "InsecureConnectionsDisallowed";
    /// The scheme of an address is not supported.
    pub const UNSUPPORTED_CONNECTION_TYPE: &str = "UnsupportedConnectionType";
    /// Objects could not be pruned.
    pub const PRUNE_FAILED: &str = "PruneFailed";
    /// The artifact could not be fetched.
    pub const ARTIFACT_FAILED: &str = "ArtifactFailed";
    /// The manifests could not be built.
    pub const BUILD_FAILED: &str = "BuildFailed";
    /// A health check failed or timed out.
    pub const HEALTH_CHECK_FAILED: &str = "HealthCheckFailed";
    /// A health check was abandoned for a newer revision.
    pub const HEALTH_CHECK_CANCELED: &str = "HealthCheckCanceled";
    /// The whole reconciliation worked.
    pub const RECONCILIATION_SUCCEEDED: &str = "ReconciliationSucceeded";
    /// The reconciliation failed.
    pub const RECONCILIATION_FAILED: &str = "ReconciliationFailed";
    /// A CEL expression does not compile.
    pub const INVALID_CEL_EXPRESSION: &str = "InvalidCELExpression";
    /// A feature gate that the object needs is off.
    pub const FEATURE_GATE_DISABLED: &str = "FeatureGateDisabled";
    /// A reference into another namespace was refused.
    pub const ACCESS_DENIED: &str = "AccessDenied";
}
