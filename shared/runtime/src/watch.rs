//! Keeping a [`Store`] up to date by a watch.

use crate::{client, key::Key, store::Store};
use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    core::{NamespaceResourceScope, ObjectMeta},
    runtime::{WatchStreamExt, watcher},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::{borrow::Cow, collections::HashMap, fmt::Debug};
use tokio_util::sync::CancellationToken;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind that can be watched.
pub trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Watches, in one namespace or all, until stopped.
///
/// A kind that is not installed counts as one without objects until it is. An object that does not
/// fit its type is reported and left out; the others are not affected.
pub(crate) async fn run<K: Watched>(
    client: Client,
    namespace: Option<String>,
    config: watcher::Config,
    store: Store<K>,
    stop: CancellationToken,
) {
    let api: Api<Lenient<K>> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut listed: HashMap<Key, K> = HashMap::new();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(watcher::Event::Apply(object))) => {
                if let Some(object) = object.into_known() {
                    store.apply(object);
                }
            }
            Some(Ok(watcher::Event::Delete(object))) => store.delete(&Key::of(&object)),
            Some(Ok(watcher::Event::Init)) => listed.clear(),
            Some(Ok(watcher::Event::InitApply(object))) => {
                let key = Key::of(&object);
                // Of an object that cannot be read any more, the last readable version stays.
                let known = object.into_known().or_else(|| store.get(&key).map(|old| old.as_ref().clone()));
                if let Some(object) = known {
                    listed.insert(key, object);
                }
            }
            Some(Ok(watcher::Event::InitDone)) => store.replace(std::mem::take(&mut listed)),
            Some(Err(error)) => failed(&store, &error),
        }
    }
}

fn failed<K: Watched>(store: &Store<K>, error: &watcher::Error) {
    let kind = K::kind(&());
    let kind = kind.as_ref();
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_not_found() => {
            if !store.is_ready() {
                tracing::info!(kind, "kind is not installed, waiting for it");
                store.set_ready();
            }
        }
        watcher::Error::WatchError(status) if status.code == 410 => {
            tracing::debug!(kind, "watch is too old, listing again");
        }
        watcher::Error::WatchError(status) => {
            tracing::error!(kind, error = status.message, "failed to watch");
        }
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            tracing::error!(kind, error = client::message(error), "failed to watch");
        }
        watcher::Error::WatchFailed(error) => {
            tracing::debug!(kind, reason = client::message(error), "watch ended, starting again");
        }
        watcher::Error::NoResourceVersion => {
            tracing::error!(kind, error = %error, "failed to watch");
        }
    }
}

/// An object that may not fit its type.
#[derive(Clone, Debug)]
enum Lenient<K> {
    Known(K),
    Unknown(Box<ObjectMeta>, String),
}

impl<K: Watched> Lenient<K> {
    /// The object without what only its editors need, or nothing and a line in the log.
    fn into_known(self) -> Option<K> {
        match self {
            Self::Known(mut object) => {
                let meta = object.meta_mut();
                meta.managed_fields = None;
                if let Some(annotations) = &mut meta.annotations {
                    annotations.remove(LAST_APPLIED);
                }
                Some(object)
            }
            Self::Unknown(meta, error) => {
                tracing::error!(
                    kind = K::kind(&()).as_ref(),
                    namespace = meta.namespace.as_deref().unwrap_or(""),
                    name = meta.name.as_deref().unwrap_or(""),
                    error,
                    "object cannot be read and is left alone until it is mended"
                );
                None
            }
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lenient<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match K::deserialize(&value) {
            Ok(object) => Ok(Self::Known(object)),
            Err(error) => {
                let meta = value.get("metadata").map(ObjectMeta::deserialize);
                let meta = meta.transpose().map_err(serde::de::Error::custom)?;
                Ok(Self::Unknown(Box::new(meta.unwrap_or_default()), error.to_string()))
            }
        }
    }
}

impl<K: Watched> Resource for Lenient<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(_: &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Known(object) => object.meta(),
            Self::Unknown(meta, _) => meta,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Known(object) => object.meta_mut(),
            Self::Unknown(meta, _) => meta,
        }
    }
}
