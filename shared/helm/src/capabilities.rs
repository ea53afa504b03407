//! What templates learn about the cluster: its version, the APIs it serves, and which Helm this is.

use thiserror::Error;

use fluxide_gotext::quote_str;

/// The version of Helm that is rendered like.
pub const HELM_VERSION: &str = "v4.2.4";

/// The API versions that Helm takes for granted without a cluster: those its Kubernetes client knows.
pub const DEFAULT_API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha2",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// What templates learn about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The version of Kubernetes.
    pub kube_version: KubeVersion,
    /// The APIs: `apps/v1`, and of a live cluster `apps/v1/Deployment` too.
    pub api_versions: Vec<String>,
    /// `.Capabilities.HelmVersion.Version`.
    pub helm_version: String,
}

impl Default for Capabilities {
    /// What Helm 4.2.4 assumes when it does not ask a cluster.
    fn default() -> Capabilities {
        Capabilities {
            kube_version: KubeVersion::of_server("v1.36.0", "1", "36"),
            api_versions: DEFAULT_API_VERSIONS.iter().map(|&version| version.to_owned()).collect(),
            helm_version: HELM_VERSION.to_owned(),
        }
    }
}

/// A version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// The whole version: `v1.33.4-gke.1245000`.
    pub version: String,
    /// The version that ranges are compared with; a server's own version is used as it is.
    pub(crate) compared: String,
    /// `1`.
    pub major: String,
    /// `33`; some providers report `33+`.
    pub minor: String,
}

/// A text is not a version of Kubernetes. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct KubeVersionError(String);

impl KubeVersion {
    /// The version that a live server reports.
    pub fn of_server(version: &str, major: &str, minor: &str) -> KubeVersion {
        let [version, major, minor] = [version, major, minor].map(str::to_owned);
        KubeVersion { compared: version.clone(), version, major, minor }
    }

    /// Reads a version that a user gave (`--kube-version`): ranges are compared without its suffixes.
    pub fn parse(text: &str) -> Result<KubeVersion, KubeVersionError> {
        let fail = |message: String| Err(KubeVersionError(message));
        let trimmed = text.trim_start();
        let trimmed = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let mut numbers = "";
        for (at, character) in trimmed.char_indices() {
            let digit = character.is_ascii_digit();
            let dot = character == '.'
                && numbers.len() == at
                && !numbers.is_empty()
                && trimmed[at + 1..].starts_with(|next: char| next.is_ascii_digit());
            if !digit && !dot {
                break;
            }
            numbers = &trimmed[..at + 1];
        }
        if numbers.is_empty() || text.contains('\n') {
            return fail(format!("could not parse {} as version", quote_str(text)));
        }
        let components: Vec<&str> = numbers.split('.').collect();
        if components.len() < 2 {
            return fail(format!("illegal version string {}", quote_str(text)));
        }
        let mut parsed = Vec::with_capacity(components.len());
        for (at, component) in components.iter().enumerate() {
            let [shown, whole] = [quote_str(component), quote_str(text)];
            if at == 0 && component.starts_with('0') && *component != "0" {
                return fail(format!("illegal zero-prefixed version component {shown} in {whole}"));
            }
            match component.parse::<u64>() {
                Ok(number) => parsed.push(number.to_string()),
                Err(_) => {
                    return fail(format!(
                        "illegal non-numeric version component {shown} in {whole}: strconv.ParseUint: parsing {shown}: \
                         value out of range"
                    ));
                }
            }
        }
        let version = if text.starts_with('v') { text.to_owned() } else { format!("v{text}") };
        let (major, minor) = (parsed[0].clone(), parsed[1].clone());
        Ok(KubeVersion { version, compared: format!("v{}", parsed.join(".")), major, minor })
    }

    /// The version without suffixes, when it was read from text; a server's own version as it is.
    pub fn normalized(&self) -> &str {
        &self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_users_are_compared_without_suffixes() {
        let version = KubeVersion::parse("1.33.4-gke.1").unwrap();
        assert_eq!((version.version.as_str(), version.normalized()), ("v1.33.4-gke.1", "v1.33.4"));
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "33"));
        assert_eq!(KubeVersion::parse("v1.20").unwrap().normalized(), "v1.20");
        for (text, error) in [
            ("", "could not parse \"\" as version"),
            ("x1.2", "could not parse \"x1.2\" as version"),
            ("1", "illegal version string \"1\""),
            ("01.2", "illegal zero-prefixed version component \"01\" in \"01.2\""),
        ] {
            assert_eq!(KubeVersion::parse(text).unwrap_err().to_string(), error);
        }
    }
}
