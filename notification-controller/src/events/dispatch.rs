//! From an event and an alert to a delivery, or to the reason why there is none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fluxide_cel::Expression;
use fluxide_notification_api::{Alert, Provider, ProviderType};
use fluxide_runtime::client::message;
use fluxide_runtime::duration::GoDuration;
use fluxide_runtime::events::{ANNOTATION_PREFIX, Event, META_COMMIT_STATUS, META_COMMIT_STATUS_UPDATE};
use fluxide_runtime::{Key, Store};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Map, Value};

use super::incoming::{group, own_metadata};
use super::metadata;
use crate::complaint::{Complaints, Reason};
use crate::delivery::Delivery;
use crate::notifier::AlertIdentity;
use crate::notifier::git::{CHANGE_REQUEST, COMMIT, is_change_request, is_commit_status};

/// The annotation of an alert whose messages about one revision are grouped: for how long.
pub const DIGEST_WINDOW: &str = "notification.fluxide.io/digest-window";
/// The longest that messages are held back to group them.
const LONGEST_DIGEST: Duration = Duration::from_secs(3600);

/// What dispatching needs to know.
pub struct Dispatcher {
    /// The providers.
    pub providers: Store<Provider>,
    /// For providers that the store does not have yet.
    pub client: Client,
    /// Whether alerts may only select from their own namespace.
    pub no_cross_namespace_refs: bool,
    /// Whether providers may have a ServiceAccount.
    pub object_level_identity: bool,
    /// Where to complain.
    pub complaints: Complaints,
}

/// What becomes of an event for one alert.
pub enum Dispatched {
    /// It is sent.
    Delivery(Box<Delivery>),
    /// It is not for this provider.
    Skipped,
    /// It names no commit, and the provider sets statuses of commits.
    NoCommit,
    /// It names no change request, and the provider comments on those.
    NoChangeRequest,
}

/// Why an event cannot be dispatched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The alert may not have it.
    #[error(
        "discarding event, access denied to cross-namespace sources: alert '{alert}' can't process event from '{object}', cross-namespace references have been blocked"
    )]
    CrossNamespace {
        /// The alert.
        alert: Key,
        /// The object.
        object: String,
    },
    /// There is no such provider.
    #[error("failed to read provider: {0}")]
    Provider(String),
    /// The provider asks for what is turned off.
    #[error(
        "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"
    )]
    FeatureGate,
    /// The name of the commit status cannot be told.
    #[error(
        "failed to create commit status: failed to evaluate the spec.commitStatusExpr CEL expression for the event: {0}"
    )]
    CommitStatus(#[from] fluxide_cel::Error),
    /// The expression of the name cannot be compiled.
    #[error(
        "failed to create commit status: failed to evaluate the spec.commitStatusExpr CEL expression for the event: failed to compile expression: {0}"
    )]
    CommitStatusExpression(fluxide_cel::Error),
    /// The objects cannot be given to an expression.
    #[error(
        "failed to create commit status: failed to evaluate the spec.commitStatusExpr CEL expression for the event: {0}"
    )]
    Json(#[from] serde_json::Error),
}

impl Dispatcher {
    /// What becomes of an event for an alert; failures are told to the alert.
    pub async fn dispatch(&self, event: &Event, alert: &Arc<Alert>) -> Dispatched {
        match self.prepare(event, alert).await {
            Ok(dispatched) => dispatched,
            Err(error) => {
                let message = format!("failed to dispatch notification for {}: {error}", object_path(event));
                tracing::error!(
                    logger = "event-server",
                    alert = %Key::of(alert.as_ref()),
                    error = %error,
                    "failed to dispatch notification"
                );
                self.complaints.about(alert, Reason::NotificationDispatchFailed, message, BTreeMap::new());
                Dispatched::Skipped
            }
        }
    }

    /// What becomes of an event for an alert.
    pub async fn prepare(&self, event: &Event, alert: &Alert) -> Result<Dispatched, Error> {
        let namespace = alert.namespace().unwrap_or_default();
        if self.no_cross_namespace_refs && event.involved_object.namespace != namespace {
            return Err(Error::CrossNamespace { alert: Key::of(alert), object: object_path(event) });
        }
        let provider = self.provider(&namespace, &alert.spec.provider_ref.name).await?;
        if provider.spec.suspend {
            return Ok(Dispatched::Skipped);
        }
        if let Some(dropped) = dropped(event, &provider.spec.provider_type) {
            return Ok(dropped);
        }
        let has_account = provider.spec.service_account_name.as_ref().is_some_and(|name| !name.is_empty());
        if has_account && !self.object_level_identity {
            return Err(Error::FeatureGate);
        }
        let mut merged = event.clone();
        merged.metadata = self.metadata(event, alert);
        let status_id = if is_commit_status(&provider.spec.provider_type) {
            commit_status_id(&merged, alert, &provider)?
        } else {
            String::new()
        };
        Ok(Dispatched::Delivery(Box::new(Delivery {
            id: 0,
            alert: AlertIdentity {
                namespace,
                name: alert.name_any(),
                uid: alert.uid().unwrap_or_default(),
                resource_version: alert.resource_version().unwrap_or_default(),
            },
            provider: alert.spec.provider_ref.name.clone(),
            status_id,
            digest: self.digest_window(alert, &provider.spec.provider_type),
            event: merged,
            accepted: 0,
            attempts: 0,
            not_before: 0,
        })))
    }

    async fn provider(&self, namespace: &str, name: &str) -> Result<Arc<Provider>, Error> {
        if let Some(provider) = self.providers.find(namespace, name) {
            return Ok(provider);
        }
        let api = Api::<Provider>::namespaced(self.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(Some(provider)) => Ok(Arc::new(provider)),
            Ok(None) => Err(Error::Provider(not_found(name))),
            Err(error) => Err(Error::Provider(message(&error))),
        }
    }

    fn metadata(&self, event: &Event, alert: &Alert) -> BTreeMap<String, String> {
        let own = format!("{}/{}", group(event), super::incoming::TOKEN);
        let mut event = event.clone();
        event.metadata.remove(&own);
        let merged = metadata::merge(&event, alert);
        if alert.spec.summary.as_ref().is_some_and(|summary| !summary.is_empty()) {
            tracing::info!(
                logger = "event-server",
                alert = %Key::of(alert),
                "warning: specifying an alert summary with '.spec.summary' is deprecated, use '.spec.eventMetadata.summary' instead"
            );
        }
        if !merged.conflicts.is_empty() {
            let message = "metadata key conflicts detected (please refer to the Alert API docs and Flux RFC 0008 for more information)";
            tracing::info!(
                logger = "event-server",
                alert = %Key::of(alert),
                conflictingKeys = ?merged.conflicts,
                "warning: {message}"
            );
            self.complaints.about(alert, Reason::MetadataAppendFailed, message.to_owned(), merged.conflicts);
        }
        merged.metadata
    }

    /// For how long messages are held back, in milliseconds. Statuses and comments are one for each
    /// object, so they are never grouped.
    fn digest_window(&self, alert: &Alert, provider_type: &ProviderType) -> Option<u64> {
        let text = alert.metadata.annotations.as_ref()?.get(DIGEST_WINDOW)?;
        if is_commit_status(provider_type) || is_change_request(provider_type) {
            return None;
        }
        match text.parse::<GoDuration>() {
            Ok(window) if !window.0.is_zero() => {
                Some(u64::try_from(window.0.min(LONGEST_DIGEST).as_millis()).unwrap_or(u64::MAX))
            }
            Ok(_) => None,
            Err(error) => {
                let message =
                    format!("the annotation {DIGEST_WINDOW} must be a duration such as 30s: {error}");
                self.complaints.about(alert, Reason::InvalidConfig, message, BTreeMap::new());
                None
            }
        }
    }
}

/// What the API server says about a provider that does not exist.
pub fn not_found(name: &str) -> String {
    format!("{}.{} {name:?} not found", Provider::kind(&()), Provider::group(&()))
}

/// An object as messages name it.
pub fn object_path(event: &Event) -> String {
    let object = &event.involved_object;
    format!("{}/{}/{}", object.kind, object.namespace, object.name)
}

/// Whether an event is of no use to a type of provider.
fn dropped(event: &Event, provider_type: &ProviderType) -> Option<Dispatched> {
    let is_update = own_metadata(event, META_COMMIT_STATUS) == Some(META_COMMIT_STATUS_UPDATE);
    let of_user = |key: &str| event.metadata.get(&format!("{ANNOTATION_PREFIX}{key}"));
    let forwards = matches!(provider_type, ProviderType::Generic | ProviderType::GenericHmac);
    if is_commit_status(provider_type) {
        let names_commit = of_user(COMMIT).is_some_and(|commit| !commit.is_empty());
        let is_error = event.severity == "error";
        return (!names_commit && !is_update && !is_error).then_some(Dispatched::NoCommit);
    }
    if is_update && !forwards {
        return Some(Dispatched::Skipped);
    }
    if is_change_request(provider_type) && of_user(CHANGE_REQUEST).is_none_or(String::is_empty) {
        return Some(Dispatched::NoChangeRequest);
    }
    None
}

/// The name of the commit status: by the provider's expression, or by object and provider.
fn commit_status_id(event: &Event, alert: &Alert, provider: &Provider) -> Result<String, Error> {
    if let Some(text) = provider.spec.commit_status_expr.as_deref().filter(|text| !text.is_empty()) {
        let expression = Expression::parse_checked_string(text, &["event", "alert", "provider"])
            .map_err(Error::CommitStatusExpression)?;
        let mut variables = Map::new();
        variables.insert("event".to_owned(), serde_json::to_value(event)?);
        variables.insert("alert".to_owned(), readable(serde_json::to_value(alert)?));
        variables.insert("provider".to_owned(), readable(serde_json::to_value(provider)?));
        return Ok(expression.evaluate_string(&variables)?);
    }
    let object = &event.involved_object;
    let uid = provider.uid().unwrap_or_default();
    let first = uid.split('-').next().unwrap_or_default();
    Ok(format!("{}/{}/{first}", object.kind, object.name).to_lowercase())
}

fn readable(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(severity: &str, metadata: Value) -> Event {
        serde_json::from_value(json!({
            "involvedObject": {"kind": "Kustomization", "apiVersion": "k.io/v1", "name": "GitOps-System", "namespace": "n"},
            "severity": severity, "metadata": metadata,
        }))
        .unwrap()
    }

    fn verdict(severity: &str, metadata: Value, provider_type: ProviderType) -> &'static str {
        match dropped(&event(severity, metadata), &provider_type) {
            None => "sent",
            Some(Dispatched::NoCommit) => "no commit",
            Some(Dispatched::NoChangeRequest) => "no change request",
            Some(_) => "skipped",
        }
    }

    #[test]
    fn commit_status_updates_are_for_those_who_can_use_them() {
        use ProviderType::{Generic, GenericHmac, Github, GithubDispatch, Slack};
        let update = json!({"k.io/commit_status": "update"});
        for (provider_type, expected) in [
            (Slack, "skipped"),
            (GithubDispatch, "skipped"),
            (Generic, "sent"),
            (GenericHmac, "sent"),
            (Github, "sent"),
        ] {
            assert_eq!(verdict("info", update.clone(), provider_type), expected);
        }
        assert_eq!(verdict("info", json!({}), Github), "no commit");
        assert_eq!(verdict("error", json!({}), Github), "sent");
        assert_eq!(verdict("info", json!({"event.toolkit.fluxcd.io/commit": "c"}), Github), "sent");
        assert_eq!(verdict("info", json!({"event.toolkit.fluxcd.io/commit": ""}), Github), "no commit");
    }

    #[test]
    fn comments_need_a_change_request() {
        use ProviderType::GiteaPullRequestComment;
        assert_eq!(verdict("error", json!({}), GiteaPullRequestComment), "no change request");
        let some = json!({"event.toolkit.fluxcd.io/change_request": "7"});
        assert_eq!(verdict("info", some, GiteaPullRequestComment), "sent");
    }

    #[test]
    fn commit_statuses_are_named_by_object_and_provider_or_by_an_expression() {
        let alert: Alert = serde_json::from_value(json!({
            "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert", "metadata": {"name": "a"},
            "spec": {"providerRef": {"name": "p"}, "eventSources": []},
        }))
        .unwrap();
        let provider = |expression: Option<&str>| -> Provider {
            let mut provider = json!({
                "apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider",
                "metadata": {"name": "p", "uid": "0c9c2e41-5f0a-4a63"}, "spec": {"type": "github"},
            });
            if let Some(expression) = expression {
                provider["spec"]["commitStatusExpr"] = expression.into();
            }
            serde_json::from_value(provider).unwrap()
        };
        let event = event("info", json!({"env": "e"}));
        let id = |expression| commit_status_id(&event, &alert, &provider(expression));
        assert_eq!(id(None).unwrap(), "kustomization/gitops-system/0c9c2e41");
        let expression = "event.involvedObject.kind + '/' + provider.metadata.name + '/' + alert.metadata.name + event.metadata.env";
        assert_eq!(id(Some(expression)).unwrap(), "Kustomization/p/ae");
        assert_eq!(
            id(Some("event.reason")).unwrap_err().to_string(),
            "failed to create commit status: failed to evaluate the spec.commitStatusExpr CEL expression for the event: failed to compile expression: CEL expression output type mismatch: expected string, got dyn"
        );
    }
}
