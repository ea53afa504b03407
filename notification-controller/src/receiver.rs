//! Receiver: a webhook whose path only those know who know its token.

use fluxide_notification_api::receiver::{Receiver, ReceiverType};
use fluxide_runtime::conditions::{self, PROGRESSING, PROGRESSING_WITH_RETRY, READY, RECONCILING, SUCCEEDED};
use fluxide_runtime::secrets::{self, Secret};
use fluxide_runtime::{Failure, Outcome, Pass, Reconciler, Severity};
use k8s_openapi::api::core::v1::Secret as CoreSecret;
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use crate::hooks::{filter, oidc};

/// The token cannot be read.
pub const TOKEN_NOT_FOUND: &str = "TokenNotFound";
/// An expression cannot be used.
pub const INVALID_CEL_EXPRESSION: &str = "InvalidCELExpression";
/// The spec contradicts itself.
pub const VALIDATION_FAILED: &str = "ValidationFailed";

/// The path below which all webhooks are.
pub const HOOKS: &str = "/hook/";

/// Reconciles Receivers.
pub struct ReceiverReconciler;

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The Secret cannot be read.
    #[error("unable to read token from secret '{secret}' error: {reason}")]
    Read {
        /// Which.
        secret: String,
        /// Why not.
        reason: String,
    },
    /// It has no token.
    #[error("invalid '{0}' secret data: required fields 'token'")]
    Missing(String),
    /// The token is empty: anyone could sign with it.
    #[error("invalid '{0}' secret data: the field 'token' is empty")]
    Empty(String),
}

impl Reconciler for ReceiverReconciler {
    type Kind = Receiver;

    async fn reconcile(&self, object: &mut Receiver, pass: &Pass) -> Result<Outcome, Failure> {
        if let Err((reason, error)) = check(object) {
            let message = format!("Reconciliation failed terminally due to configuration error: {error}");
            conditions::mark_false(object, READY, reason, &message);
            pass.event(object, Severity::Error, reason, &message, BTreeMap::new());
            return Err(Failure::stalled(reason, message));
        }
        // Shown only if the pass fails: a Receiver that works does not flap.
        let token = match token(pass.client(), object).await {
            Ok(token) => token,
            Err(error) => {
                conditions::mark_reconciling(object, PROGRESSING, "Reconciliation in progress");
                conditions::mark_false(object, READY, TOKEN_NOT_FOUND, error.to_string());
                object.status.get_or_insert_default().webhook_path = None;
                let message = error.to_string();
                pass.event(object, Severity::Error, conditions::FAILED, message, BTreeMap::new());
                return Err(error.into());
            }
        };
        let path = webhook_path(&token, &object.name_any(), &object.namespace().unwrap_or_default());
        let message = format!("Receiver initialized for path: {path}");
        conditions::mark_true(object, READY, SUCCEEDED, &message);
        let status = object.status.get_or_insert_default();
        if status.webhook_path.as_deref() != Some(&path) {
            tracing::info!("Receiver initialized for path: {}", shortened(&path));
            status.webhook_path = Some(path);
        }
        let interval = object
            .spec
            .interval
            .to_std()
            .map_err(|error| Failure::stalled(VALIDATION_FAILED, format!("spec.interval: {error}")))?;
        let message =
            format!("Reconciliation finished, next run in {}", fluxide_meta::Duration::from(interval));
        tracing::info!("{message}");
        pass.event(object, Severity::Info, SUCCEEDED, message, BTreeMap::new());
        Ok(Outcome::interval(interval))
    }

    async fn finalize(&self, _: &mut Receiver, _: &Pass) -> Result<(), Failure> {
        Ok(())
    }

    fn settle(&self, object: &mut Receiver, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        match &result {
            Err(Failure::Retry(_) | Failure::Wait { .. }) => {
                conditions::delete(object, conditions::STALLED);
                if let Some(reconciling) = conditions::get(object, RECONCILING) {
                    let message = reconciling.message.clone();
                    conditions::mark_reconciling(object, PROGRESSING_WITH_RETRY, message);
                }
                result
            }
            _ => fluxide_runtime::settle(object, result),
        }
    }
}

/// Whether the spec makes sense, as far as that can be told without the Secret.
pub fn check(object: &Receiver) -> Result<(), (&'static str, String)> {
    let spec = &object.spec;
    let is_oidc = spec.receiver_type == ReceiverType::GenericOidc;
    let names = filter::names(is_oidc);
    let cel = |error: String| (INVALID_CEL_EXPRESSION, error);
    if let Some(expression) = spec.resource_filter.as_deref().filter(|text| !text.is_empty()) {
        filter::compile(expression, names)
            .map_err(|error| cel(format!("invalid resourceFilter expression: {error}")))?;
    }
    for (index, resource) in spec.resources.iter().enumerate() {
        let Some(expression) = resource.filter.as_deref().filter(|text| !text.is_empty()) else { continue };
        filter::compile(expression, names).map_err(|error| {
            let (kind, name) = (resource.reference.kind.as_str(), &resource.reference.name);
            cel(format!(
                "invalid filter expression for resources[{index}] (kind={kind:?}, name={name:?}): {error}"
            ))
        })?;
    }
    let invalid = |reason: &str| Err((VALIDATION_FAILED, reason.to_owned()));
    match (is_oidc, spec.oidc_providers.is_empty(), spec.secret_ref.is_some()) {
        (true, true, _) => return invalid("generic-oidc receiver requires at least one oidcProvider"),
        (false, false, _) => return invalid("oidcProviders can only be set when type is generic-oidc"),
        (true, _, true) => return invalid("secretRef cannot be set when type is generic-oidc"),
        (false, _, false) => return invalid("secretRef is required when type is not generic-oidc"),
        _ => {}
    }
    oidc::check(&spec.oidc_providers).map_err(|error| (VALIDATION_FAILED, error))?;
    oidc::compile_all(&spec.oidc_providers).map_err(cel)
}

/// The token of a Receiver; nothing for a type that needs none.
async fn token(client: &Client, object: &Receiver) -> Result<String, TokenError> {
    match &object.spec.secret_ref {
        None => Ok(String::new()),
        Some(reference) => {
            let secret = secret(client, &object.namespace().unwrap_or_default(), &reference.name).await?;
            let token = token_of(&secret)?;
            Ok(String::from_utf8_lossy(token).into_owned())
        }
    }
}

/// The Secret of a Receiver.
pub async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Secret, TokenError> {
    Secret::get(client, namespace, name).await.map_err(|error| TokenError::Read {
        secret: format!("{namespace}/{name}"),
        reason: match error {
            secrets::Error::NotFound(_) => format!("secrets {name:?} not found"),
            secrets::Error::Get { reason, .. } => reason,
            other => other.to_string(),
        },
    })
}

/// The token in a Secret; an empty one is none.
pub fn token_of(secret: &Secret) -> Result<&[u8], TokenError> {
    let name = || secret.key().to_string();
    let token = secret.value("token").ok_or_else(|| TokenError::Missing(name()))?;
    if token.is_empty() { Err(TokenError::Empty(name())) } else { Ok(token) }
}

/// The path of a webhook.
pub fn webhook_path(token: &str, name: &str, namespace: &str) -> String {
    format!("{HOOKS}{}", hex::encode(Sha256::digest(format!("{token}{name}{namespace}"))))
}

/// As much of a path as may be seen: for some types the path is all that protects them.
pub fn shortened(path: &str) -> String {
    let digest = path.strip_prefix(HOOKS).unwrap_or(path);
    let shown: String = digest.chars().take(8).collect();
    format!("{HOOKS}{shown}...")
}

/// The Receivers that use a Secret.
pub fn using_secret(
    change: &fluxide_runtime::Change<PartialObjectMeta<CoreSecret>>,
    receivers: &fluxide_runtime::Store<Receiver>,
) -> Vec<fluxide_runtime::Key> {
    let Some(secret) = change.object() else { return Vec::new() };
    let (namespace, name) = (secret.namespace(), secret.name_any());
    receivers.keys_where(|receiver| {
        receiver.namespace() == namespace
            && receiver.spec.secret_ref.as_ref().is_some_and(|reference| reference.name == name)
    })
}
