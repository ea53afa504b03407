//! A Kubernetes API server as the apply engine sees it: objects of any kind as JSON, addressed
//! through discovery that is fetched once per group version and shared by everybody who talks to
//! the same cluster.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::Request;
use serde_json::Value;
use tokio::sync::{Mutex, RwLock};

use crate::follow::{Followed, Follows};
use crate::object::{Object, split_api_version};

/// What can go wrong when talking to the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the request.
    #[error("{}", .0.message)]
    Api(Box<kube::core::Status>),
    /// The API server does not know the kind.
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\"")]
    NoMatch {
        /// Kind as asked for.
        kind: String,
        /// `apiVersion` as asked for, or the group when any version would do.
        api_version: String,
    },
    /// The request or its answer did not arrive.
    #[error("{}", root_cause(.0))]
    Transport(#[source] kube::Error),
    /// The answer is not what it should be.
    #[error("unexpected answer of the API server to {0}")]
    UnexpectedAnswer(&'static str),
}

impl Error {
    /// True when the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(status) if status.code == 404)
    }

    /// True when the kind does not exist in the cluster.
    pub fn is_no_match(&self) -> bool {
        matches!(self, Self::NoMatch { .. })
    }

    /// The HTTP status code, when the API server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// The machine-readable reason, when the API server gave one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Api(status) if !status.reason.is_empty() => Some(&status.reason),
            _ => None,
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Api(status),
            other => Self::Transport(other),
        }
    }
}

/// The innermost error: the outer ones only name the layers of the client.
fn root_cause(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Where objects of one kind are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// `apiVersion` of the objects.
    pub api_version: String,
    /// Kind of the objects.
    pub kind: String,
    /// Name in URLs.
    pub plural: String,
    /// True when objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    pub(crate) fn path(&self, namespace: &str) -> String {
        let root = match split_api_version(&self.api_version) {
            ("", version) => format!("/api/{version}"),
            (group, version) => format!("/apis/{group}/{version}"),
        };
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{}", self.plural)
        } else {
            format!("{root}/{}", self.plural)
        }
    }
}

/// Resources by kind.
type Kinds = HashMap<String, Arc<Resource>>;

/// Which resources a cluster serves, remembered until something asked for is missing.
#[derive(Default)]
pub struct Discovery {
    /// Kinds by `apiVersion`.
    kinds: RwLock<HashMap<String, Arc<Kinds>>>,
    /// Versions by group, the preferred one first.
    versions: RwLock<Arc<HashMap<String, Vec<String>>>>,
    /// One fetch at a time; the others find its result.
    fetching: Mutex<()>,
}

/// A cluster, seen by one identity. Cloning is cheap and shares the discovery.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    identity: Arc<str>,
    discovery: Arc<Discovery>,
    follows: Arc<Follows>,
}

impl Cluster {
    /// A cluster nobody has talked to yet.
    pub fn new(client: kube::Client) -> Self {
        Self { client, identity: "".into(), discovery: Arc::default(), follows: Arc::default() }
    }

    /// The same cluster seen by another identity, which may be limited to namespaces.
    pub fn with_identity(&self, client: kube::Client, identity: &str) -> Self {
        Self {
            client,
            identity: identity.into(),
            discovery: self.discovery.clone(),
            follows: self.follows.clone(),
        }
    }

    /// Who sees the cluster; empty for the identity of the first client.
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// True for another identity than that of the first client: it may be limited to namespaces.
    pub fn is_limited(&self) -> bool {
        !self.identity.is_empty()
    }

    /// Follows the objects of a kind that have a label, from a resource version on.
    pub(crate) fn follow(
        &self,
        resource: &Resource,
        namespace: &str,
        label: &str,
        since: u64,
    ) -> Arc<Followed> {
        self.follows.follow(self, resource, namespace, label, since)
    }

    /// The client that requests go through.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Finds the resource of a kind.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Arc<Resource>, Error> {
        if let Some(found) = self.known(api_version, kind).await {
            return Ok(found);
        }
        let _fetching = self.discovery.fetching.lock().await;
        if let Some(found) = self.known(api_version, kind).await {
            return Ok(found);
        }
        let kinds = Arc::new(self.fetch_kinds(api_version).await?);
        let found = kinds.get(kind).cloned();
        self.discovery.kinds.write().await.insert(api_version.to_owned(), kinds);
        found.ok_or_else(|| no_match(api_version, kind))
    }

    /// Finds the resource of a kind in the version that the server prefers.
    pub async fn preferred_resource(&self, group: &str, kind: &str) -> Result<Arc<Resource>, Error> {
        if group.is_empty() {
            return self.resource("v1", kind).await;
        }
        let mut versions = self.discovery.versions.read().await.get(group).cloned();
        if versions.is_none() {
            let fetched = Arc::new(self.fetch_versions().await?);
            versions = fetched.get(group).cloned();
            *self.discovery.versions.write().await = fetched;
        }
        for version in versions.unwrap_or_default() {
            match self.resource(&format!("{group}/{version}"), kind).await {
                Err(Error::NoMatch { .. }) => {}
                other => return other,
            }
        }
        Err(no_match(group, kind))
    }

    /// Forgets what the server serves in a version, after it turned out to be different.
    pub async fn forget(&self, api_version: &str) {
        self.discovery.kinds.write().await.remove(api_version);
    }

    async fn known(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.discovery.kinds.read().await.get(api_version)?.get(kind).cloned()
    }

    async fn fetch_kinds(&self, api_version: &str) -> Result<Kinds, Error> {
        let fetched = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        let list = match fetched {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Kinds::new()),
            other => other?,
        };
        let resources = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        Ok(resources
            .map(|resource| {
                let found = Resource {
                    api_version: api_version.to_owned(),
                    kind: resource.kind.clone(),
                    plural: resource.name,
                    namespaced: resource.namespaced,
                };
                (resource.kind, Arc::new(found))
            })
            .collect())
    }

    async fn fetch_versions(&self) -> Result<HashMap<String, Vec<String>>, Error> {
        let groups = self.client.list_api_groups().await?.groups;
        Ok(groups
            .into_iter()
            .map(|group| {
                let preferred = group.preferred_version.map(|version| version.version);
                let mut versions: Vec<String> = preferred.clone().into_iter().collect();
                let others = group.versions.into_iter().map(|version| version.version);
                versions.extend(others.filter(|version| Some(version) != preferred.as_ref()));
                (group.name, versions)
            })
            .collect())
    }

    /// Reads one object; `None` when it does not exist.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, Error> {
        let request = Request::new(resource.path(namespace)).get(name, &GetParams::default());
        match self.send(request, "get").await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the objects of a kind in a namespace (everywhere when empty) that match a label
    /// selector (all when empty).
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        label_selector: &str,
    ) -> Result<Vec<Object>, Error> {
        let mut params = ListParams::default();
        if !label_selector.is_empty() {
            params = params.labels(label_selector);
        }
        let mut list = self.send(Request::new(resource.path(namespace)).list(&params), "list").await?;
        match list.fields_mut().remove("items") {
            Some(Value::Array(items)) => Ok(items.into_iter().filter_map(Object::new).collect()),
            Some(Value::Null) | None => Ok(Vec::new()),
            Some(_) => Err(Error::UnexpectedAnswer("list")),
        }
    }

    /// Applies an object server-side, taking over fields that others own.
    pub async fn apply(
        &self,
        resource: &Resource,
        object: &Object,
        field_manager: &str,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let mut params = PatchParams::apply(field_manager).force();
        params.dry_run = dry_run;
        let request = Request::new(resource.path(object.namespace())).patch(
            object.name(),
            &params,
            &Patch::Apply(object.fields()),
        );
        self.send(request, "apply").await
    }

    /// Tries to create an object under another name. Nothing is kept: it shows whether the server
    /// would accept the object if it did not exist.
    pub async fn try_create(&self, resource: &Resource, object: &Object) -> Result<(), Error> {
        let mut unnamed = object.clone();
        let metadata = unnamed.metadata_mut();
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), "dry-run-".into());
        let body = serde_json::to_vec(unnamed.fields()).map_err(kube::Error::SerdeError)?;
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let request = Request::new(resource.path(object.namespace())).create(&params, body);
        self.send(request, "create").await.map(drop)
    }

    /// Changes an object by a JSON patch.
    pub async fn json_patch(
        &self,
        resource: &Resource,
        object: &Object,
        operations: &[Value],
        field_manager: &str,
    ) -> Result<Object, Error> {
        let params = PatchParams { field_manager: Some(field_manager.to_owned()), ..PatchParams::default() };
        let mut request = Request::new(resource.path(object.namespace())).patch(
            object.name(),
            &params,
            &Patch::Merge(operations),
        );
        if let Ok(request) = &mut request {
            request.headers_mut().insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("application/json-patch+json"),
            );
        }
        self.send(request, "patch").await
    }

    /// Deletes an object in the background. Returns false when there was none.
    pub async fn delete(&self, resource: &Resource, namespace: &str, name: &str) -> Result<bool, Error> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let request = Request::new(resource.path(namespace))
            .delete(name, &params)
            .map_err(kube::Error::BuildRequest)?;
        match self.client.request::<Value>(request).await.map_err(Error::from) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        verb: &'static str,
    ) -> Result<Object, Error> {
        let value: Value = self.client.request(request.map_err(kube::Error::BuildRequest)?).await?;
        Object::new(value).ok_or(Error::UnexpectedAnswer(verb))
    }
}

fn no_match(api_version: &str, kind: &str) -> Error {
    Error::NoMatch { kind: kind.to_owned(), api_version: api_version.to_owned() }
}
