//! Secrets and ConfigMaps kept in memory, and a client that reads them there: the feature gate `CacheSecretsAndConfigMaps`.
//!
//! Whoever has the client need not know: a GET of one Secret or ConfigMap never reaches the API server, everything else
//! does. It trades memory for requests, and a read can be as old as the watch is behind; but never older than a change that
//! somebody was told of because the object is labelled to be watched.

use crate::{key::Key, store::Store};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Client, Resource, ResourceExt, client::Body, core::PartialObjectMeta};
use serde::Serialize;
use tower::{BoxError, service_fn};

/// Live copies of all Secrets and ConfigMaps.
#[derive(Clone)]
pub(crate) struct Configs {
    pub secrets: Copies<Secret>,
    pub config_maps: Copies<ConfigMap>,
}

/// Live copies of one kind, and of the metadata of those that are labelled to be watched, which another watch brings.
pub(crate) struct Copies<K> {
    pub all: Store<K>,
    pub labelled: Option<Store<PartialObjectMeta<K>>>,
}

impl<K> Clone for Copies<K> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), labelled: self.labelled.clone() }
    }
}

/// The same client with reads of single Secrets and ConfigMaps answered from live copies.
pub(crate) fn client(client: Client, configs: Configs) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, configs) = (client.clone(), configs.clone());
        async move {
            let found = match wanted(&request) {
                Some((Kind::Secret, key)) => configs.secrets.find(&key, "secrets").await?,
                Some((Kind::ConfigMap, key)) => configs.config_maps.find(&key, "configmaps").await?,
                None => None,
            };
            match found {
                Some(response) => Ok::<_, BoxError>(response),
                None => Ok(client.send(request).await?),
            }
        }
    });
    Client::new(service, namespace)
}

enum Kind {
    Secret,
    ConfigMap,
}

/// Which single object a request asks for, if it is one of these kinds.
fn wanted(request: &Request<Body>) -> Option<(Kind, Key)> {
    if request.method() != Method::GET || request.uri().query().is_some_and(|query| !query.is_empty()) {
        return None;
    }
    let path: Vec<&str> = request.uri().path().split('/').collect();
    let ["", "api", "v1", "namespaces", namespace, resource, name] = path.as_slice() else {
        return None;
    };
    let kind = match *resource {
        "secrets" => Kind::Secret,
        "configmaps" => Kind::ConfigMap,
        _ => return None,
    };
    Some((kind, Key::new(*namespace, *name)))
}

impl<K> Copies<K>
where
    K: Resource<DynamicType = ()> + Clone + Serialize,
{
    /// The object in full, also where its metadata alone was asked for: that is a part of it. Nothing while there is news of
    /// it that has not come here.
    async fn find(&self, key: &Key, resource: &str) -> Result<Option<Response<Body>>, BoxError> {
        self.all.wait_ready().await;
        let found = self.all.get(key);
        let version = |version: Option<String>| version.and_then(|version| version.parse::<u64>().ok());
        let told = self.labelled.as_ref().and_then(|labelled| labelled.get(key)?.resource_version());
        let here = found.as_ref().and_then(|found| found.meta().resource_version.clone());
        if version(told) > version(here) {
            return Ok(None);
        }
        let (status, body) = match found {
            Some(object) => (StatusCode::OK, serde_json::to_vec(object.as_ref())?),
            None => (StatusCode::NOT_FOUND, not_found(key, resource)),
        };
        let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
        Ok(Some(response.body(Body::from(body))?))
    }
}

fn not_found(key: &Key, resource: &str) -> Vec<u8> {
    let message = format!("{resource} {:?} not found", key.name);
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "NotFound", "details": {"name": key.name, "kind": resource}, "code": 404});
    status.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::Api;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn single_objects_are_read_here_and_the_rest_there() {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = seen.clone();
        let there = service_fn(move |request: Request<Body>| {
            told.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
            let body = r#"{"kind":"SecretList","apiVersion":"v1","metadata":{},"items":[]}"#;
            async move { Ok::<_, BoxError>(Response::new(Body::from(body.as_bytes().to_vec()))) }
        });
        let labelled = Store::new();
        let configs = Configs {
            secrets: Copies { all: Store::new(), labelled: Some(labelled.clone()) },
            config_maps: Copies { all: Store::new(), labelled: None },
        };
        let object = serde_json::json!({"metadata": {"name": "a", "namespace": "apps", "resourceVersion": "7", "uid": "u"},
            "data": {"k": "dg=="}});
        configs.secrets.all.apply(serde_json::from_value::<Secret>(object).unwrap());
        let client = client(Client::new(there, "default"), configs.clone());
        let secrets = Api::<Secret>::namespaced(client.clone(), "apps");
        let waiting = tokio::spawn({
            let secrets = secrets.clone();
            async move { secrets.get("a").await.unwrap() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "what is not complete is not believed");
        configs.secrets.all.set_ready();
        configs.config_maps.all.set_ready();
        let read = waiting.await.unwrap();
        assert_eq!(read.data.unwrap()["k"].0, b"v");
        assert_eq!(secrets.get_metadata("a").await.unwrap().metadata.resource_version.as_deref(), Some("7"));
        assert!(secrets.get_opt("b").await.unwrap().is_none());
        let missing = Api::<ConfigMap>::namespaced(client, "apps").get("b").await.unwrap_err();
        assert_eq!(crate::client::message(&missing), "configmaps \"b\" not found");
        assert!(seen.lock().unwrap().is_empty());
        secrets.list(&Default::default()).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["GET /api/v1/namespaces/apps/secrets"]);
        // Another watch was faster.
        let newer = serde_json::json!({"metadata": {"name": "a", "namespace": "apps", "resourceVersion": "8", "uid": "u"}});
        labelled.apply(serde_json::from_value::<PartialObjectMeta<Secret>>(newer).unwrap());
        let _ = secrets.get("a").await;
        assert_eq!(seen.lock().unwrap().last().unwrap(), "GET /api/v1/namespaces/apps/secrets/a");
    }
}
