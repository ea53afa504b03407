//! The API versions that Kubernetes has deprecated, as its Go client of version 1.36 knows them.

/// Kinds of one API version that were deprecated together.
struct Deprecated {
    api_version: &'static str,
    kinds: &'static [&'static str],
    /// The minor version of Kubernetes 1 since which they are deprecated.
    since: u64,
    /// The version that serves them no longer.
    removed: &'static str,
    /// What takes their place; `*` is the same kind.
    instead: &'static str,
}

/// What Kubernetes says about a kind that is deprecated in a version of it.
pub(super) fn warning(api_version: &str, kind: &str, version: (u64, u64)) -> Option<String> {
    let entry = DEPRECATED
        .iter()
        .find(|entry| entry.api_version == api_version && entry.kinds.contains(&kind))
        .filter(|entry| version >= (1, entry.since) || version == (0, 0))?;
    let mut text = format!("{api_version} {kind} is deprecated in v1.{}+", entry.since);
    if !entry.removed.is_empty() {
        text.push_str(&format!(", unavailable in v{}+", entry.removed));
    }
    if !entry.instead.is_empty() {
        text.push_str(&format!("; use {}", entry.instead.replace('*', kind)));
    }
    Some(text)
}

const DEPRECATED: [Deprecated; 57] = [
    Deprecated {
        api_version: "admissionregistration.k8s.io/v1alpha1",
        kinds: &[
            "MutatingAdmissionPolicyBindingList",
            "MutatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicyList",
            "MutatingAdmissionPolicy",
        ],
        since: 35,
        removed: "1.38",
        instead: "",
    },
    Deprecated {
        api_version: "admissionregistration.k8s.io/v1alpha1",
        kinds: &[
            "ValidatingAdmissionPolicyBindingList",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyList",
            "ValidatingAdmissionPolicy",
        ],
        since: 29,
        removed: "1.32",
        instead: "",
    },
    Deprecated {
        api_version: "admissionregistration.k8s.io/v1beta1",
        kinds: &[
            "MutatingAdmissionPolicyBindingList",
            "MutatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicyList",
            "MutatingAdmissionPolicy",
        ],
        since: 37,
        removed: "1.40",
        instead: "admissionregistration.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "admissionregistration.k8s.io/v1beta1",
        kinds: &[
            "MutatingWebhookConfigurationList",
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfigurationList",
            "ValidatingWebhookConfiguration",
        ],
        since: 16,
        removed: "1.22",
        instead: "admissionregistration.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "admissionregistration.k8s.io/v1beta1",
        kinds: &[
            "ValidatingAdmissionPolicyBindingList",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyList",
            "ValidatingAdmissionPolicy",
        ],
        since: 31,
        removed: "1.34",
        instead: "",
    },
    Deprecated {
        api_version: "apps/v1beta1",
        kinds: &[
            "ControllerRevisionList",
            "ControllerRevision",
            "DeploymentList",
            "DeploymentRollback",
            "Deployment",
            "StatefulSetList",
            "StatefulSet",
        ],
        since: 8,
        removed: "1.16",
        instead: "apps/v1 *",
    },
    Deprecated {
        api_version: "apps/v1beta1",
        kinds: &["Scale"],
        since: 8,
        removed: "1.16",
        instead: "autoscaling/v1 *",
    },
    Deprecated {
        api_version: "apps/v1beta2",
        kinds: &[
            "ControllerRevisionList",
            "ControllerRevision",
            "DaemonSetList",
            "DaemonSet",
            "DeploymentList",
            "Deployment",
            "ReplicaSetList",
            "ReplicaSet",
            "StatefulSetList",
            "StatefulSet",
        ],
        since: 9,
        removed: "1.16",
        instead: "apps/v1 *",
    },
    Deprecated {
        api_version: "apps/v1beta2",
        kinds: &["Scale"],
        since: 9,
        removed: "1.16",
        instead: "autoscaling/v1 *",
    },
    Deprecated {
        api_version: "authentication.k8s.io/v1alpha1",
        kinds: &["SelfSubjectReview"],
        since: 29,
        removed: "1.32",
        instead: "",
    },
    Deprecated {
        api_version: "authentication.k8s.io/v1beta1",
        kinds: &["SelfSubjectReview"],
        since: 30,
        removed: "1.33",
        instead: "",
    },
    Deprecated {
        api_version: "authentication.k8s.io/v1beta1",
        kinds: &["TokenReview"],
        since: 19,
        removed: "1.22",
        instead: "authentication.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "authorization.k8s.io/v1beta1",
        kinds: &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
        since: 19,
        removed: "1.22",
        instead: "authorization.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "batch/v1beta1",
        kinds: &["CronJobList", "CronJob"],
        since: 21,
        removed: "1.25",
        instead: "batch/v1 *",
    },
    Deprecated {
        api_version: "certificates.k8s.io/v1alpha1",
        kinds: &["ClusterTrustBundleList", "ClusterTrustBundle"],
        since: 34,
        removed: "1.37",
        instead: "",
    },
    Deprecated {
        api_version: "certificates.k8s.io/v1beta1",
        kinds: &["CertificateSigningRequestList", "CertificateSigningRequest"],
        since: 19,
        removed: "1.22",
        instead: "certificates.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "certificates.k8s.io/v1beta1",
        kinds: &["ClusterTrustBundleList", "ClusterTrustBundle"],
        since: 37,
        removed: "1.40",
        instead: "",
    },
    Deprecated {
        api_version: "certificates.k8s.io/v1beta1",
        kinds: &["PodCertificateRequestList", "PodCertificateRequest"],
        since: 38,
        removed: "1.41",
        instead: "",
    },
    Deprecated {
        api_version: "coordination.k8s.io/v1alpha2",
        kinds: &["LeaseCandidateList", "LeaseCandidate"],
        since: 35,
        removed: "1.38",
        instead: "",
    },
    Deprecated {
        api_version: "coordination.k8s.io/v1beta1",
        kinds: &["LeaseCandidateList", "LeaseCandidate"],
        since: 36,
        removed: "1.39",
        instead: "",
    },
    Deprecated {
        api_version: "coordination.k8s.io/v1beta1",
        kinds: &["LeaseList", "Lease"],
        since: 19,
        removed: "1.22",
        instead: "coordination.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "discovery.k8s.io/v1beta1",
        kinds: &["EndpointSliceList"],
        since: 21,
        removed: "1.25",
        instead: "discovery.k8s.io/v1 EndpointSlice",
    },
    Deprecated {
        api_version: "discovery.k8s.io/v1beta1",
        kinds: &["EndpointSlice"],
        since: 21,
        removed: "1.25",
        instead: "discovery.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "events.k8s.io/v1beta1",
        kinds: &["EventList", "Event"],
        since: 22,
        removed: "1.25",
        instead: "",
    },
    Deprecated {
        api_version: "extensions/v1beta1",
        kinds: &[
            "DaemonSetList",
            "DaemonSet",
            "DeploymentList",
            "Deployment",
            "ReplicaSetList",
            "ReplicaSet",
        ],
        since: 8,
        removed: "1.16",
        instead: "apps/v1 *",
    },
    Deprecated {
        api_version: "extensions/v1beta1",
        kinds: &["DeploymentRollback"],
        since: 8,
        removed: "1.16",
        instead: "",
    },
    Deprecated {
        api_version: "extensions/v1beta1",
        kinds: &["IngressList", "Ingress"],
        since: 14,
        removed: "1.22",
        instead: "networking.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "extensions/v1beta1",
        kinds: &["NetworkPolicyList", "NetworkPolicy"],
        since: 9,
        removed: "1.16",
        instead: "networking.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "extensions/v1beta1",
        kinds: &["Scale"],
        since: 2,
        removed: "1.16",
        instead: "",
    },
    Deprecated {
        api_version: "flowcontrol.apiserver.k8s.io/v1beta1",
        kinds: &[
            "FlowSchemaList",
            "FlowSchema",
            "PriorityLevelConfigurationList",
            "PriorityLevelConfiguration",
        ],
        since: 23,
        removed: "1.26",
        instead: "flowcontrol.apiserver.k8s.io/v1beta3 *",
    },
    Deprecated {
        api_version: "flowcontrol.apiserver.k8s.io/v1beta2",
        kinds: &[
            "FlowSchemaList",
            "FlowSchema",
            "PriorityLevelConfigurationList",
            "PriorityLevelConfiguration",
        ],
        since: 26,
        removed: "1.29",
        instead: "flowcontrol.apiserver.k8s.io/v1beta3 *",
    },
    Deprecated {
        api_version: "flowcontrol.apiserver.k8s.io/v1beta3",
        kinds: &[
            "FlowSchemaList",
            "FlowSchema",
            "PriorityLevelConfigurationList",
            "PriorityLevelConfiguration",
        ],
        since: 29,
        removed: "1.32",
        instead: "flowcontrol.apiserver.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "networking.k8s.io/v1beta1",
        kinds: &["IPAddressList", "IPAddress", "ServiceCIDRList", "ServiceCIDR"],
        since: 34,
        removed: "1.37",
        instead: "",
    },
    Deprecated {
        api_version: "networking.k8s.io/v1beta1",
        kinds: &["IngressClassList", "IngressList", "Ingress"],
        since: 19,
        removed: "1.22",
        instead: "networking.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "networking.k8s.io/v1beta1",
        kinds: &["IngressClass"],
        since: 19,
        removed: "1.22",
        instead: "networking.k8s.io/v1 IngressClassList",
    },
    Deprecated {
        api_version: "node.k8s.io/v1beta1",
        kinds: &["RuntimeClassList", "RuntimeClass"],
        since: 22,
        removed: "1.25",
        instead: "",
    },
    Deprecated {
        api_version: "policy/v1beta1",
        kinds: &["Eviction"],
        since: 22,
        removed: "1.25",
        instead: "",
    },
    Deprecated {
        api_version: "policy/v1beta1",
        kinds: &["PodDisruptionBudgetList", "PodDisruptionBudget"],
        since: 21,
        removed: "1.25",
        instead: "policy/v1 *",
    },
    Deprecated {
        api_version: "rbac.authorization.k8s.io/v1beta1",
        kinds: &[
            "ClusterRoleBindingList",
            "ClusterRoleBinding",
            "ClusterRoleList",
            "ClusterRole",
            "RoleBindingList",
            "RoleBinding",
            "RoleList",
            "Role",
        ],
        since: 17,
        removed: "1.22",
        instead: "rbac.authorization.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "resource.k8s.io/v1alpha3",
        kinds: &["DeviceTaintRuleList", "DeviceTaintRule"],
        since: 36,
        removed: "1.39",
        instead: "",
    },
    Deprecated {
        api_version: "resource.k8s.io/v1alpha3",
        kinds: &["ResourcePoolStatusRequestList", "ResourcePoolStatusRequest"],
        since: 39,
        removed: "1.42",
        instead: "",
    },
    Deprecated {
        api_version: "resource.k8s.io/v1beta1",
        kinds: &[
            "DeviceClassList",
            "DeviceClass",
            "ResourceClaimList",
            "ResourceClaimTemplateList",
            "ResourceClaimTemplate",
            "ResourceClaim",
            "ResourceSliceList",
            "ResourceSlice",
        ],
        since: 35,
        removed: "1.38",
        instead: "",
    },
    Deprecated {
        api_version: "resource.k8s.io/v1beta2",
        kinds: &[
            "DeviceClassList",
            "DeviceClass",
            "ResourceClaimList",
            "ResourceClaimTemplateList",
            "ResourceClaimTemplate",
            "ResourceClaim",
            "ResourceSliceList",
            "ResourceSlice",
        ],
        since: 36,
        removed: "1.39",
        instead: "",
    },
    Deprecated {
        api_version: "resource.k8s.io/v1beta2",
        kinds: &["DeviceTaintRuleList", "DeviceTaintRule"],
        since: 39,
        removed: "1.42",
        instead: "",
    },
    Deprecated {
        api_version: "scheduling.k8s.io/v1beta1",
        kinds: &["PriorityClassList", "PriorityClass"],
        since: 14,
        removed: "1.22",
        instead: "scheduling.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1alpha1",
        kinds: &["CSIStorageCapacityList", "CSIStorageCapacity"],
        since: 21,
        removed: "1.24",
        instead: "storage.k8s.io/v1beta1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1alpha1",
        kinds: &["VolumeAttachmentList", "VolumeAttachment"],
        since: 21,
        removed: "1.24",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1alpha1",
        kinds: &["VolumeAttributesClassList", "VolumeAttributesClass"],
        since: 32,
        removed: "1.35",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1beta1",
        kinds: &[
            "CSIDriverList",
            "CSIDriver",
            "StorageClassList",
            "StorageClass",
            "VolumeAttachmentList",
            "VolumeAttachment",
        ],
        since: 19,
        removed: "1.22",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1beta1",
        kinds: &["CSINodeList"],
        since: 17,
        removed: "1.22",
        instead: "storage.k8s.io/v1 CSINode",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1beta1",
        kinds: &["CSINode"],
        since: 17,
        removed: "1.22",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1beta1",
        kinds: &["CSIStorageCapacityList", "CSIStorageCapacity"],
        since: 24,
        removed: "1.27",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storage.k8s.io/v1beta1",
        kinds: &["VolumeAttributesClassList", "VolumeAttributesClass"],
        since: 34,
        removed: "1.37",
        instead: "storage.k8s.io/v1 *",
    },
    Deprecated {
        api_version: "storagemigration.k8s.io/v1beta1",
        kinds: &["StorageVersionMigrationList", "StorageVersionMigration"],
        since: 38,
        removed: "1.41",
        instead: "",
    },
    Deprecated {
        api_version: "v1",
        kinds: &["ComponentStatusList", "ComponentStatus"],
        since: 19,
        removed: "",
        instead: "",
    },
    Deprecated {
        api_version: "v1",
        kinds: &["EndpointsList"],
        since: 33,
        removed: "",
        instead: "discovery.k8s.io/v1 EndpointSliceList",
    },
    Deprecated {
        api_version: "v1",
        kinds: &["Endpoints"],
        since: 33,
        removed: "",
        instead: "discovery.k8s.io/v1 EndpointSlice",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_deprecated_from_their_version_on() {
        let text =
            "apps/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment";
        assert_eq!(warning("apps/v1beta1", "Deployment", (1, 36)).as_deref(), Some(text));
        assert_eq!(warning("apps/v1beta1", "Deployment", (1, 7)), None);
        assert_eq!(warning("apps/v1", "Deployment", (1, 36)), None);
        let text = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
        assert_eq!(warning("v1", "Endpoints", (1, 36)).as_deref(), Some(text));
    }
}
