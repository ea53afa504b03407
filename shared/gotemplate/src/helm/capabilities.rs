//! `.Capabilities`: what cluster and tool can do.

use std::any::Any;
use std::sync::Arc;

use crate::collection::List;
use crate::function::Method;
use crate::object::Object;
use crate::sprig::text;
use crate::text::Text;
use crate::time::methods;
use crate::types::{ListType, Type};
use crate::value::Value;

/// What `.Capabilities` tells.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// The version of the cluster.
    pub kube_version: KubeVersion,
    /// The API versions served, as `apps/v1` and as `apps/v1/Deployment`.
    pub api_versions: Vec<String>,
    /// The build of the tool that renders.
    pub helm_version: HelmVersion,
}

/// The version of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeVersion {
    /// The whole version as the server gives it, such as `v1.33.4-gke.1245000`.
    pub version: String,
    /// The version without suffixes, by which constraints are checked: what printing gives.
    pub normalized: String,
    /// The major version.
    pub major: String,
    /// The minor version.
    pub minor: String,
}

/// A build of Helm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelmVersion {
    /// The version, such as `v4.2.4`.
    pub version: String,
    /// The commit it was built from.
    pub git_commit: String,
    /// Whether that tree was clean.
    pub git_tree_state: String,
    /// The version of Go.
    pub go_version: String,
    /// The version of the Kubernetes client.
    pub kube_client_version: String,
}

impl Capabilities {
    /// The value to put at `.Capabilities`.
    pub fn into_value(self) -> Value {
        let api_versions = Value::List(List::with_type(
            &VERSION_SET,
            self.api_versions.iter().map(|version| Value::from(version.as_str())).collect(),
        ));
        Value::Object(Arc::new(CapabilitiesObject {
            kube_version: Value::Object(Arc::new(self.kube_version)),
            api_versions,
            helm_version: Value::Object(Arc::new(self.helm_version)),
        }))
    }
}

struct CapabilitiesObject {
    kube_version: Value,
    api_versions: Value,
    helm_version: Value,
}

impl Object for CapabilitiesObject {
    fn type_name(&self) -> &'static str {
        "*common.Capabilities"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("KubeVersion", self.kube_version.clone()),
            ("APIVersions", self.api_versions.clone()),
            ("HelmVersion", self.helm_version.clone()),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "KubeVersion" => Some(self.kube_version.clone()),
            "APIVersions" => Some(self.api_versions.clone()),
            "HelmVersion" => Some(self.helm_version.clone()),
            _ => None,
        }
    }

    fn methods(&self) -> &'static [Method] {
        static METHODS: &[Method] = methods! {
            "Copy"() = |_, receiver, _| Ok(receiver.clone());
        };
        METHODS
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<CapabilitiesObject>().is_some_and(|other| std::ptr::eq(self, other))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for KubeVersion {
    fn type_name(&self) -> &'static str {
        "common.KubeVersion"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::from(self.version.as_str())),
            ("Major", Value::from(self.major.as_str())),
            ("Minor", Value::from(self.minor.as_str())),
        ]
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = self.fields();
        fields.insert(1, ("normalizedVersion", Value::from(self.normalized.as_str())));
        fields
    }

    fn hidden_fields(&self) -> &'static [&'static str] {
        &["normalizedVersion"]
    }

    fn methods(&self) -> &'static [Method] {
        static METHODS: &[Method] = methods! {
            "GitVersion"() = |_, receiver, _| Ok(kube_version(receiver).map_or(Value::Nil, |version| Value::from(version.version.as_str())));
            "String"() = |_, receiver, _| Ok(kube_version(receiver).map_or(Value::Nil, |version| Value::String(version.shown())));
        };
        METHODS
    }

    fn address_text(&self) -> Option<Text> {
        Some(self.shown())
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        // Copying by reflection leaves out what is not exported.
        Some(Arc::new(KubeVersion { normalized: String::new(), ..self.clone() }))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<KubeVersion>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl KubeVersion {
    fn shown(&self) -> Text {
        Text::from(if self.normalized.is_empty() { self.version.as_str() } else { self.normalized.as_str() })
    }
}

fn kube_version(receiver: &Value) -> Option<&KubeVersion> {
    match receiver {
        Value::Object(object) => object.as_any().downcast_ref(),
        _ => None,
    }
}

impl Object for HelmVersion {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        [
            ("Version", &self.version),
            ("GitCommit", &self.git_commit),
            ("GitTreeState", &self.git_tree_state),
            ("GoVersion", &self.go_version),
            ("KubeClientVersion", &self.kube_client_version),
        ]
        .into_iter()
        .map(|(name, value)| (name, Value::from(value.as_str())))
        .collect()
    }

    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        // What is empty is left out, except the client's version.
        let names = ["version", "git_commit", "git_tree_state", "go_version", "kube_client_version"];
        let values = [
            &self.version,
            &self.git_commit,
            &self.git_tree_state,
            &self.go_version,
            &self.kube_client_version,
        ];
        names
            .into_iter()
            .zip(values)
            .filter(|(name, value)| *name == "kube_client_version" || !value.is_empty())
            .map(|(name, value)| (name, Value::from(value.as_str())))
            .collect()
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<HelmVersion>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

static VERSION_SET: ListType = ListType {
    name: "common.VersionSet",
    element: Type::String,
    methods: methods! {
        "Has"(Type::String) = |call, receiver, arguments| {
            let versions = receiver.elements().unwrap_or_default();
            call.session.charge_steps(versions.len() / 16)?;
            Ok(Value::Bool(versions.iter().any(|version| matches!(version, Value::String(known) if known.as_bytes() == text(arguments, 0)))))
        };
    },
};
