//! The objects of other controllers: their labels, and asking for their reconciliation.

use std::collections::BTreeMap;

use fluxide_runtime::client::message;
use fluxide_runtime::events::InvolvedObject;
use fluxide_runtime::predicate::RECONCILE_REQUEST;
use kube::api::ApiResource;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client};
use serde_json::json;

/// The labels of an object.
pub async fn labels(client: &Client, object: &InvolvedObject) -> Result<BTreeMap<String, String>, String> {
    let api = api(client, &object.api_version, &object.kind, &object.namespace)?;
    if !is_name(&object.name) {
        return Err(format!("'{}' is no name of an object", object.name));
    }
    let found = api.get_metadata(&object.name).await.map_err(|error| message(&error))?;
    Ok(found.metadata.labels.unwrap_or_default())
}

/// Objects of a kind that is known only at run time.
pub fn api(
    client: &Client,
    api_version: &str,
    kind: &str,
    namespace: &str,
) -> Result<Api<DynamicObject>, String> {
    // Events come from anyone in the cluster: what they name must not lead to another path of the API.
    let plain = |text: &str| {
        !text.is_empty()
            && text.split(['.', '/']).all(|part| !part.is_empty())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-./".contains(c))
    };
    if !plain(api_version) || !plain(kind) || !plain(namespace) || namespace.contains('/') {
        return Err(format!("'{api_version}', '{kind}' and '{namespace}' name no object"));
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Ok(Api::namespaced_with(client.clone(), namespace, &resource))
}

/// The metadata of the objects that have these labels.
pub async fn list(
    api: &Api<DynamicObject>,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>, String> {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let parameters = ListParams::default().labels(&pairs.join(","));
    let listed = api.list_metadata(&parameters).await.map_err(|error| message(&error))?;
    Ok(listed.items)
}

/// Asks the controller of an object to reconcile it now. Only this annotation changes.
pub async fn request_reconcile(api: &Api<DynamicObject>, name: &str) -> Result<(), kube::Error> {
    let now = jiff::Timestamp::now();
    let patch = json!({"metadata": {"annotations": {RECONCILE_REQUEST: format!("{now:.9}")}}});
    let parameters =
        PatchParams { field_manager: Some("notification-controller".to_owned()), ..Default::default() };
    api.patch_metadata(name, &parameters, &Patch::Merge(&patch)).await.map(|_| ())
}

/// Whether this can be the name of an object.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.chars().all(fits)
}
