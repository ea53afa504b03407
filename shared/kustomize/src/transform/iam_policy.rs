//! The IAMPolicyGenerator plugin: a service account bound to one of Google Cloud.

use super::TransformError;
use crate::error::Error;
use crate::kustomization::decode::decode_struct;
use fluxide_goyaml::node::Node;

/// The plugin's configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct IamPolicyArgs {
    cloud: String,
    kubernetes_service: KubernetesService,
    service_account: CloudAccount,
}

decode_struct!(IamPolicyArgs {
    "cloud" => cloud,
    "kubernetesService" => kubernetes_service,
    "serviceAccount" => service_account,
});

/// The account in the cluster.
#[derive(Clone, Debug, Default)]
struct KubernetesService {
    name: String,
    namespace: String,
}

decode_struct!(KubernetesService { "name" => name, "namespace" => namespace });

/// The account in the cloud.
#[derive(Clone, Debug, Default)]
struct CloudAccount {
    name: String,
    project_id: String,
}

decode_struct!(CloudAccount { "name" => name, "projectId" => project_id });

/// The ServiceAccount that a configuration describes.
pub(crate) fn generate(args: &IamPolicyArgs) -> Result<Node, Error> {
    if args.cloud != "gke" {
        let text = format!("cloud provider {} not supported yet", args.cloud);
        return Err(TransformError::Value(text).into());
    }
    let account =
        format!("{}@{}.iam.gserviceaccount.com", args.service_account.name, args.service_account.project_id);
    let mut metadata = Node::mapping([
        ("annotations", Node::mapping([("iam.gke.io/gcp-service-account", Node::string(account))])),
        ("name", Node::string(&args.kubernetes_service.name)),
    ]);
    if !args.kubernetes_service.namespace.is_empty() {
        metadata.set("namespace", Node::string(&args.kubernetes_service.namespace));
    }
    Ok(Node::mapping([
        ("apiVersion", Node::string("v1")),
        ("kind", Node::string("ServiceAccount")),
        ("metadata", metadata),
    ]))
}
