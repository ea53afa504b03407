//! The server that webhooks call.

mod cdevents;
pub mod filter;
mod gcr;
mod issuer_keys;
mod jwt;
mod media_type;
pub mod oidc;
mod rate_limit;
mod signature;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use fluxide_notification_api::receiver::{Receiver, ReceiverResource};
use fluxide_notification_api::reference::ANY_NAME;
use fluxide_runtime::client::message;
use fluxide_runtime::{Key, Store, conditions};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{HeaderValue, StatusCode, Uri, header};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use gcr::Google;
pub use oidc::Issuers;
pub use rate_limit::RateLimit;
pub use validate::Verifier;

use crate::http_server::{Answer, Call, empty, plain};
use crate::receiver::{HOOKS, secret, shortened};
use crate::target;
use filter::Filters;
use validate::Validated;

/// How long a call may take.
const HANDLING_TIMEOUT: Duration = Duration::from_secs(30);
/// How many objects of an entry are asked for at the same time.
const CONCURRENCY: usize = 16;
/// How many expressions are evaluated at the same time.
pub const EVALUATIONS: usize = 4;

/// Receives webhooks and asks for the reconciliation of what they are about.
pub struct ReceiverServer {
    /// The receivers.
    pub receivers: Store<Receiver>,
    /// The cluster.
    pub client: Client,
    /// Whether receivers may only name objects of their own namespace.
    pub no_cross_namespace_refs: bool,
    /// Checks tokens of issuers.
    pub verifier: Verifier,
    /// How many calls of one receiver are accepted.
    pub rate_limit: RateLimit,
    /// Lets expressions wait for one another.
    pub evaluations: Semaphore,
}

/// Why objects cannot be asked for their reconciliation.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cross-namespace references are not allowed")]
    CrossNamespace,
    #[error("apiVersion must be specified for kind {0:?}")]
    NoApiVersion(String),
    #[error("matchLabels field not set when using wildcard '*' as name")]
    NoLabels,
    #[error("{0}")]
    Target(String),
    #[error("unable to read {what} error: {reason}")]
    Read { what: String, reason: String },
    #[error("failed to annotate resource: {what}: {reason}")]
    Annotate { what: String, reason: String },
    #[error(transparent)]
    Filter(#[from] fluxide_cel::Error),
    #[error("the object cannot be given to an expression: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the evaluation of an expression was cut off")]
    CutOff,
}

/// Answers that depend on nothing but the path.
pub fn route(uri: &Uri) -> Option<Answer> {
    if uri.path() == HOOKS.trim_end_matches('/') {
        let mut answer = empty(StatusCode::TEMPORARY_REDIRECT);
        let location = match uri.query() {
            Some(query) => HeaderValue::from_str(&format!("{HOOKS}?{query}")),
            None => Ok(HeaderValue::from_static(HOOKS)),
        };
        answer.headers_mut().insert(header::LOCATION, location.ok()?);
        return Some(answer);
    }
    (!uri.path().starts_with(HOOKS)).then(|| plain(StatusCode::NOT_FOUND, "404 page not found\n"))
}

impl ReceiverServer {
    /// Whether there is a receiver for a call: nobody else's body is kept.
    pub fn knows(&self, uri: &Uri) -> bool {
        self.find(target_of(uri)).is_some()
    }

    /// Answers a call. Callers learn nothing but the status.
    pub async fn answer(self: Arc<Self>, call: Call) -> Answer {
        // A caller that hangs up does not stop half way.
        let handled = tokio::spawn(async move { timeout(HANDLING_TIMEOUT, self.handle(call)).await });
        match handled.await {
            Ok(Ok(status)) => empty(status),
            Ok(Err(_)) | Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    async fn handle(&self, call: Call) -> StatusCode {
        let target = target_of(&call.uri);
        tracing::info!(logger = "receiver-server", "handling request: {}", shortened(target));
        let Some(receiver) = self.find(target) else {
            return StatusCode::NOT_FOUND;
        };
        let key = Key::of(receiver.as_ref());
        if receiver.spec.suspend || !conditions::is_ready(receiver.as_ref()) {
            let error = "unable to process request";
            tracing::error!(logger = "receiver-server", receiver = %key, error, "receiver is suspended or not ready");
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if !self.rate_limit.take(&key) {
            tracing::info!(logger = "receiver-server", receiver = %key, "too many calls");
            return StatusCode::TOO_MANY_REQUESTS;
        }
        let validated = match self.validate(&receiver, &call).await {
            Ok(validated) => validated,
            Err(error) => {
                tracing::error!(logger = "receiver-server", receiver = %key, error = %error, "unable to validate payload");
                return StatusCode::BAD_REQUEST;
            }
        };
        let body = validated.body.as_deref().unwrap_or(&call.body);
        let filters = match Filters::new(&receiver, &call.headers, body, validated.claims) {
            Ok(filters) => Arc::new(filters),
            Err(error) => {
                tracing::error!(logger = "receiver-server", receiver = %key, error = %error, "unable to create resource filters");
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
        };
        let requests: FuturesUnordered<_> = receiver
            .spec
            .resources
            .iter()
            .enumerate()
            .map(|(entry, resource)| self.request(&receiver, entry, resource, &filters))
            .collect();
        let failed = requests.filter(|done| std::future::ready(!done)).count().await;
        if failed > 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    }

    /// Asks for the reconciliation of the objects of an entry; whether that succeeded.
    async fn request(
        &self,
        receiver: &Receiver,
        entry: usize,
        resource: &ReceiverResource,
        filters: &Arc<Filters>,
    ) -> bool {
        let Err(error) = self.try_request(receiver, entry, resource, filters).await else { return true };
        tracing::error!(
            logger = "receiver-server",
            receiver = %Key::of(receiver),
            resource = filter::describe(resource),
            error = %error,
            "unable to request reconciliation"
        );
        false
    }

    fn find(&self, path: &str) -> Option<Arc<Receiver>> {
        let found = self.receivers.keys_where(|receiver| {
            receiver.status.as_ref().and_then(|status| status.webhook_path.as_deref()) == Some(path)
        });
        found.first().and_then(|key| self.receivers.get(key))
    }

    async fn validate(&self, receiver: &Receiver, call: &Call) -> Result<Validated, validate::Error> {
        let namespace = receiver.namespace().unwrap_or_default();
        let secret = match &receiver.spec.secret_ref {
            Some(reference) => Some(secret(&self.client, &namespace, &reference.name).await?),
            None => None,
        };
        validate::validate(receiver, secret.as_ref(), &call.headers, &call.body, &self.verifier).await
    }

    async fn try_request(
        &self,
        receiver: &Receiver,
        entry: usize,
        resource: &ReceiverResource,
        filters: &Arc<Filters>,
    ) -> Result<(), Error> {
        let reference = &resource.reference;
        let own = receiver.namespace().unwrap_or_default();
        let namespace = reference.namespace_or(&own);
        if self.no_cross_namespace_refs && namespace != own {
            return Err(Error::CrossNamespace);
        }
        let kind = reference.kind.as_str();
        let api_version = match reference.api_version.as_deref().filter(|version| !version.is_empty()) {
            Some(version) => version,
            None => default_api_version(kind).ok_or_else(|| Error::NoApiVersion(kind.to_owned()))?,
        };
        let api = target::api(&self.client, api_version, kind, namespace).map_err(Error::Target)?;
        let asked = Asked { api, entry, kind, namespace, filters, evaluations: &self.evaluations };
        if reference.name != ANY_NAME {
            return asked.one(&reference.name).await;
        }
        let labels = reference.match_labels.as_ref().ok_or(Error::NoLabels)?;
        tracing::debug!(
            logger = "receiver-server",
            matchLabels = ?labels,
            "annotate resources by matchLabel for kind {kind:?} in {namespace:?}"
        );
        let found = target::list(&asked.api, labels).await.map_err(|reason| Error::Read {
            what: format!("objects of kind {kind:?} in namespace {namespace:?} by labels"),
            reason,
        })?;
        if found.is_empty() {
            let error = format!(
                "no {kind:?} resources found with matching labels {labels:?} in {namespace:?} namespace"
            );
            tracing::error!(logger = "receiver-server", error, "error annotating resources");
        }
        let mut results = FuturesUnordered::new();
        for object in &found {
            if results.len() >= CONCURRENCY
                && let Some(result) = results.next().await
            {
                result?;
            }
            results.push(asked.found(object));
        }
        while let Some(result) = results.next().await {
            result?;
        }
        Ok(())
    }
}

/// The objects of one entry.
struct Asked<'a> {
    api: Api<DynamicObject>,
    entry: usize,
    kind: &'a str,
    namespace: &'a str,
    filters: &'a Arc<Filters>,
    evaluations: &'a Semaphore,
}

impl Asked<'_> {
    async fn one(&self, name: &str) -> Result<(), Error> {
        if !target::is_name(name) {
            return Err(Error::Target(format!("{name:?} is no name of an object")));
        }
        if !self.filters.asks(self.entry) {
            return self.annotate(name).await;
        }
        let object = self.api.get_metadata(name).await.map_err(|error| Error::Read {
            what: format!("{} '{}/{name}'", self.kind, self.namespace),
            reason: message(&error),
        })?;
        self.found(&object).await
    }

    async fn found(&self, object: &PartialObjectMeta<DynamicObject>) -> Result<(), Error> {
        let name = object.name_any();
        if self.filters.asks(self.entry) && !self.selects(object).await? {
            tracing::debug!(
                logger = "receiver-server",
                "resource '{}/{name}.{}' NOT annotated because CEL expression returned false",
                self.kind,
                self.namespace
            );
            return Ok(());
        }
        self.annotate(&name).await
    }

    /// Asks the expressions, where they hold up nothing else.
    async fn selects(&self, object: &PartialObjectMeta<DynamicObject>) -> Result<bool, Error> {
        let (filters, entry, shown) = (Arc::clone(self.filters), self.entry, self.shown(object)?);
        let _permit = self.evaluations.acquire().await.map_err(|_| Error::CutOff)?;
        let selected = tokio::task::spawn_blocking(move || filters.selects(entry, shown));
        Ok(selected.await.map_err(|_| Error::CutOff)??)
    }

    /// What expressions see of an object: its type and its metadata.
    fn shown(&self, object: &PartialObjectMeta<DynamicObject>) -> Result<Value, serde_json::Error> {
        let mut metadata = serde_json::to_value(&object.metadata)?;
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("managedFields");
        }
        let url = self.api.resource_url();
        let api_version = url.trim_start_matches("/apis/").split("/namespaces/").next().unwrap_or_default();
        Ok(json!({"apiVersion": api_version, "kind": self.kind, "metadata": metadata}))
    }

    async fn annotate(&self, name: &str) -> Result<(), Error> {
        let what = format!("'{}/{name}.{}'", self.kind, self.namespace);
        target::request_reconcile(&self.api, name)
            .await
            .map_err(|error| Error::Annotate { what: what.clone(), reason: message(&error) })?;
        tracing::info!(logger = "receiver-server", "resource {what} annotated");
        Ok(())
    }
}

/// What a call is for, as Flux compares it: with the query.
fn target_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str)
}

fn default_api_version(kind: &str) -> Option<&'static str> {
    match kind {
        "Bucket" | "HelmChart" | "HelmRepository" | "GitRepository" | "OCIRepository" => {
            Some("source.toolkit.fluxcd.io/v1")
        }
        "ImageRepository" => Some("image.toolkit.fluxcd.io/v1"),
        "ArtifactGenerator" => Some("source.extensions.fluxcd.io/v1beta1"),
        _ => None,
    }
}
