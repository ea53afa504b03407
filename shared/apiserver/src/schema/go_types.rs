//! The names that Go has for built-in types, for the texts of decoding errors.

use fluxide_structured_merge::schema::{Form, Format, Scalar, TypeRef};

use super::Builtin;

impl Builtin {
    /// The Go name of the struct that a definition describes, as in `DeploymentSpec`.
    pub(super) fn struct_name(&self, ty: TypeRef<'_>) -> &str {
        self.definition_name(ty).and_then(|name| name.rsplit('.').next()).unwrap_or_default()
    }

    /// The Go type of a field, as in `[]v1.Container` or `int32`.
    pub(super) fn field_go_type(&self, owner: TypeRef<'_>, field: &str, ty: TypeRef<'_>) -> String {
        match self.go_types.get(&(owner.used().id, field.to_owned())) {
            Some(name) => name.clone(),
            None => self.go_type(ty),
        }
    }

    /// The Go type of a value.
    pub(super) fn go_type(&self, ty: TypeRef<'_>) -> String {
        if let Some(name) = self.definition_name(ty) {
            let mut parts = name.rsplit('.');
            if let (Some(last), Some(package)) = (parts.next(), parts.next()) {
                return format!("{package}.{last}");
            }
        }
        match ty.format() {
            Format::Int32 => return "int32".to_owned(),
            Format::Int64 => return "int64".to_owned(),
            Format::Double => return "float64".to_owned(),
            Format::Bytes => return "[]uint8".to_owned(),
            _ => {}
        }
        match ty.atom().form() {
            Some(Form::List(list)) => format!("[]{}", self.go_type(list.element())),
            Some(Form::Map(map)) => match map.additional() {
                Some(values) => format!("map[string]{}", self.go_type(values)),
                None => "interface {}".to_owned(),
            },
            Some(Form::Scalar(Scalar::Boolean)) => "bool".to_owned(),
            Some(Form::Scalar(Scalar::Numeric)) => "int32".to_owned(),
            _ => "string".to_owned(),
        }
    }
}

/// The structs through which a Go struct has a field that it does not declare itself.
pub(super) fn embedded(owner: &str, field: &str) -> &'static [&'static str] {
    const RULE: [&str; 4] = ["apiGroups", "apiVersions", "resources", "scope"];
    match (owner, field) {
        (_, "kind" | "apiVersion") => &[],
        ("Volume", "name") | ("Probe", "initialDelaySeconds" | "timeoutSeconds" | "periodSeconds") => &[],
        ("Probe", "successThreshold" | "failureThreshold" | "terminationGracePeriodSeconds") => &[],
        ("Volume", _) => &["VolumeSource"],
        ("Probe", _) => &["ProbeHandler"],
        (
            "PersistentVolumeSpec",
            "capacity"
            | "accessModes"
            | "claimRef"
            | "persistentVolumeReclaimPolicy"
            | "storageClassName"
            | "mountOptions"
            | "volumeMode"
            | "nodeAffinity"
            | "volumeAttributesClassName",
        ) => &[],
        ("PersistentVolumeSpec", _) => &["PersistentVolumeSource"],
        ("EphemeralContainer", "targetContainerName") => &[],
        ("EphemeralContainer", _) => &["EphemeralContainerCommon"],
        (
            "ConfigMapKeySelector"
            | "SecretKeySelector"
            | "ConfigMapEnvSource"
            | "SecretEnvSource"
            | "ConfigMapVolumeSource"
            | "ConfigMapProjection"
            | "SecretProjection",
            "name",
        ) => &["LocalObjectReference"],
        ("IngressRule", "http") => &["IngressRuleValue"],
        ("RuleWithOperations", field) if RULE.contains(&field) => &["Rule"],
        ("NamedRuleWithOperations", "operations") => &["RuleWithOperations"],
        ("NamedRuleWithOperations", field) if RULE.contains(&field) => &["RuleWithOperations", "Rule"],
        _ => &[],
    }
}
