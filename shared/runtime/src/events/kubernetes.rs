//! The way of events into Kubernetes.

use super::{
    Recorded, Severity,
    correlate::{Action, Correlator},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event as CoreEvent, EventSource},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes events; from `closing` on only those that are queued already.
pub(super) async fn run(
    client: Client,
    controller: &'static str,
    mut receiver: mpsc::Receiver<Recorded>,
    closing: CancellationToken,
) {
    let mut correlator = Correlator::default();
    loop {
        let recorded = tokio::select! {
            recorded = receiver.recv() => recorded,
            () = closing.cancelled(), if !receiver.is_closed() => {
                receiver.close();
                continue;
            }
        };
        let Some(recorded) = recorded else { return };
        let write = write(&client, controller, &mut correlator, &recorded);
        let error = match timeout(REQUEST_TIMEOUT, write).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => crate::client::message(&error),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        let object = &recorded.event.involved_object;
        tracing::error!(error, namespace = object.namespace, name = object.name, "unable to record event");
    }
}

async fn write(
    client: &Client,
    controller: &'static str,
    correlator: &mut Correlator,
    recorded: &Recorded,
) -> Result<(), kube::Error> {
    let event = &recorded.event;
    let object = &event.involved_object;
    let kind = match recorded.severity {
        Severity::Error => "Warning",
        Severity::Info | Severity::Trace => "Normal",
    };
    let namespace = if object.namespace.is_empty() { "default" } else { &object.namespace };
    let api = Api::<CoreEvent>::namespaced(client.clone(), namespace);
    let now = Timestamp::now();
    let (key, message) = match correlator.correlate(event, kind, Instant::now()) {
        Action::Drop => return Ok(()),
        Action::Create { key, message } => (key, message),
        Action::Count { key, name, count, message } => {
            let patch = json!({
                "count": count,
                "lastTimestamp": crate::timestamp(now),
                "message": message,
            });
            let params = PatchParams { field_manager: Some(controller.to_owned()), ..PatchParams::default() };
            match api.patch(&name, &params, &Patch::Merge(patch)).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    correlator.forget(&key);
                    (key, message)
                }
                result => return result.map(drop),
            }
        }
    };
    let name = format!("{}.{:x}", object.name, now.as_nanosecond());
    let time = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let created = CoreEvent {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.to_owned()),
            annotations: (!event.metadata.is_empty()).then(|| event.metadata.clone()),
            ..ObjectMeta::default()
        },
        involved_object: object.to_reference(),
        reason: Some(event.reason.clone()),
        message: Some(message),
        type_: Some(kind.to_owned()),
        count: Some(1),
        first_timestamp: Some(time.clone()),
        last_timestamp: Some(time),
        source: Some(EventSource { component: Some(controller.to_owned()), host: None }),
        reporting_component: Some(controller.to_owned()),
        ..CoreEvent::default()
    };
    let params = PostParams { field_manager: Some(controller.to_owned()), ..PostParams::default() };
    api.create(&params, &created).await?;
    correlator.created(key, name, Instant::now());
    Ok(())
}
