//! Keeping a [`Store`] up to date by a watch.

use crate::{client, key::Key, store::Store};
use futures::StreamExt;
use kube::{
    Api, Resource,
    core::NamespaceResourceScope,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use std::{collections::HashMap, fmt::Debug};
use tokio_util::sync::CancellationToken;

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

/// Watches until stopped. A kind that is not installed counts as one without objects until it is.
pub(crate) async fn run<K: Watched>(
    api: Api<K>,
    config: watcher::Config,
    store: Store<K>,
    stop: CancellationToken,
) {
    let events = watcher(api, config).modify(|object| {
        object.meta_mut().managed_fields = None;
    });
    let mut events = std::pin::pin!(events.default_backoff());
    let mut listed: HashMap<Key, K> = HashMap::new();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(watcher::Event::Apply(object))) => store.apply(object),
            Some(Ok(watcher::Event::Delete(object))) => store.delete(&Key::of(&object)),
            Some(Ok(watcher::Event::Init)) => listed.clear(),
            Some(Ok(watcher::Event::InitApply(object))) => {
                listed.insert(Key::of(&object), object);
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
            tracing::debug!(kind, error = client::message(error), "watch ended, starting again");
        }
        watcher::Error::NoResourceVersion => {
            tracing::error!(kind, error = %error, "failed to watch");
        }
    }
}
