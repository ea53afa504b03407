//! Leader election by a Lease: one process of a controller works, the others wait.

use crate::{
    client,
    events::{InvolvedObject, Recorder, Severity},
    metrics::Metrics,
    options::CommonOptions,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Why there is no leadership.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody says in which namespace the Lease is.
    #[error(
        "unable to find leader election namespace: not running in-cluster and RUNTIME_NAMESPACE is not set"
    )]
    Namespace,
    /// Durations that cannot work.
    #[error("leader election: {0}")]
    Durations(&'static str),
    /// Somebody else leads, or the API server did not answer for too long.
    #[error("leader election lost")]
    Lost,
}

/// A candidate.
pub(crate) struct Election {
    name: String,
    namespace: String,
    identity: String,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    release: bool,
    controller: &'static str,
    api: Api<Lease>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    seen: Option<Seen>,
}

/// The Lease as it was last read, and when it last changed by this process's clock.
struct Seen {
    spec: LeaseSpec,
    changed: Instant,
}

/// The Lease held by this process.
pub(crate) struct Held {
    election: Election,
    lease: Lease,
    renewed: Instant,
}

/// The name of a controller's Lease; shards elect independently.
pub fn lease_name(controller: &str, label_selector: &str) -> String {
    if label_selector.is_empty() {
        return format!("{controller}-leader-election");
    }
    let digest = hex::encode(Sha256::digest(label_selector));
    format!("{controller}-leader-election-{}", &digest[..8])
}

impl Election {
    pub(crate) fn new(
        controller: &'static str,
        options: &CommonOptions,
        client: Client,
        recorder: Recorder,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let settings = &options.leader_election;
        let (lease, renew, retry) =
            (settings.lease_duration.0, settings.renew_deadline.0, settings.retry_period.0);
        if lease <= renew {
            return Err(Error::Durations("leaseDuration must be greater than renewDeadline"));
        }
        if renew <= retry.mul_f64(1.2) {
            return Err(Error::Durations("renewDeadline must be greater than retryPeriod*JitterFactor"));
        }
        let namespace = match fs::read_to_string(NAMESPACE_FILE) {
            Ok(namespace) => namespace.trim().to_owned(),
            Err(_) => options.runtime_namespace.clone(),
        };
        if namespace.is_empty() {
            return Err(Error::Namespace);
        }
        let name = lease_name(controller, &options.watch_label_selector);
        metrics.set_leader(&name, false);
        Ok(Self {
            identity: format!("{}_{}", crate::hostname(), uuid::Uuid::new_v4()),
            lease_duration: lease,
            renew_deadline: renew,
            retry_period: retry,
            release: settings.release_on_cancel,
            controller,
            api: Api::namespaced(client, &namespace),
            name,
            namespace,
            recorder,
            metrics,
            seen: None,
        })
    }

    /// Waits until this process leads.
    pub(crate) async fn acquire(mut self) -> Result<Held, Error> {
        let lock = format!("{}/{}", self.namespace, self.name);
        tracing::info!(logger = "runtime", lock, "Attempting to acquire leader lease...");
        loop {
            let attempt = self.request(self.try_acquire_request()).await;
            match attempt {
                Ok(Attempt::Acquired(lease)) => {
                    tracing::info!(logger = "runtime", lock, "Successfully acquired lease");
                    self.metrics.set_leader(&self.name, true);
                    self.announce(&lease, "became leader");
                    return Ok(Held { election: self, lease: *lease, renewed: Instant::now() });
                }
                Ok(Attempt::HeldBy(spec)) => self.observe(*spec),
                Ok(Attempt::Raced) => {}
                Err(error) => {
                    tracing::error!(logger = "runtime", lock, error, "error retrieving leader lease");
                }
            }
            sleep(self.retry_period.mul_f64(1.0 + 0.2 * rand::random::<f64>())).await;
        }
    }

    async fn request<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
        let limit = (self.renew_deadline / 2).max(Duration::from_secs(1));
        match timeout(limit, request).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(client::message(&error)),
            Err(_) => Err("the API server did not answer in time".to_owned()),
        }
    }

    async fn try_acquire_request(&self) -> Result<Attempt, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None)),
            };
            return attempt(self.api.create(&self.params(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or("");
        if !holder.is_empty() && holder != self.identity && !self.is_expired(&spec) {
            return Ok(Attempt::HeldBy(Box::new(spec)));
        }
        lease.spec = Some(self.spec(Some(&spec)));
        attempt(self.api.replace(&self.name, &self.params(), &lease).await)
    }

    /// Whether a Lease has not changed for its duration, by this process's own clock: the clock
    /// of whoever holds it may be wrong.
    fn is_expired(&self, spec: &LeaseSpec) -> bool {
        let Some(seen) = &self.seen else {
            return false;
        };
        let duration = spec.lease_duration_seconds.unwrap_or(0).max(0) as u64;
        seen.spec == *spec && seen.changed.elapsed() >= Duration::from_secs(duration)
    }

    fn observe(&mut self, spec: LeaseSpec) {
        if self.seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            self.seen = Some(Seen { spec, changed: Instant::now() });
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let same_holder = before
            .and_then(|spec| spec.holder_identity.as_deref())
            .is_some_and(|holder| holder == self.identity);
        let transitions = before.and_then(|spec| spec.lease_transitions);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.lease_duration.as_secs() as i32),
            acquire_time: match before.filter(|_| same_holder) {
                Some(spec) => spec.acquire_time.clone(),
                None => Some(now.clone()),
            },
            renew_time: Some(now),
            lease_transitions: Some(match (before, same_holder) {
                (None, _) => 0,
                (Some(_), true) => transitions.unwrap_or(0),
                (Some(_), false) => transitions.unwrap_or(0).saturating_add(1),
            }),
            ..LeaseSpec::default()
        }
    }

    fn params(&self) -> PostParams {
        PostParams { field_manager: Some(self.controller.to_owned()), ..PostParams::default() }
    }

    fn announce(&self, lease: &Lease, what: &str) {
        self.recorder.emit(
            InvolvedObject::of(lease),
            Severity::Trace,
            "LeaderElection",
            format!("{} {what}", self.identity),
            BTreeMap::new(),
        );
    }
}

enum Attempt {
    Acquired(Box<Lease>),
    HeldBy(Box<LeaseSpec>),
    Raced,
}

fn attempt(result: Result<Lease, kube::Error>) -> Result<Attempt, kube::Error> {
    match result {
        Ok(lease) => Ok(Attempt::Acquired(Box::new(lease))),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(Attempt::Raced)
        }
        Err(error) => Err(error),
    }
}

impl Held {
    /// Renews the Lease; ends when that fails for longer than the deadline or somebody else has it.
    pub(crate) async fn lost(&mut self) -> Error {
        loop {
            sleep(self.election.retry_period).await;
            match self.renew().await {
                Ok(true) => self.renewed = Instant::now(),
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(logger = "runtime", error, "failed to renew leader lease");
                    if self.renewed.elapsed() >= self.election.renew_deadline {
                        break;
                    }
                }
            }
        }
        self.election.metrics.set_leader(&self.election.name, false);
        self.election.announce(&self.lease, "stopped leading");
        Error::Lost
    }

    /// Gives the Lease back, so that the next leader need not wait for it to expire.
    pub(crate) async fn release(mut self) {
        let election = &self.election;
        election.metrics.set_leader(&election.name, false);
        election.announce(&self.lease, "stopped leading");
        if !election.release {
            return;
        }
        if let Some(spec) = &mut self.lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            let now = MicroTime(Timestamp::now());
            spec.renew_time = Some(now.clone());
            spec.acquire_time = Some(now);
        }
        let params = election.params();
        let request = election.api.replace(&election.name, &params, &self.lease);
        if let Err(error) = election.request(request).await {
            tracing::error!(logger = "runtime", error, "failed to release leader lease");
        }
    }

    /// Renews once; `false` when somebody else holds the Lease.
    async fn renew(&mut self) -> Result<bool, String> {
        let election = &self.election;
        self.lease.spec = Some(election.spec(self.lease.spec.as_ref()));
        let params = election.params();
        let renewed = async {
            match election.api.replace(&election.name, &params, &self.lease).await {
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    election.try_acquire_request().await
                }
                result => attempt(result),
            }
        };
        match election.request(renewed).await? {
            Attempt::Acquired(lease) => {
                self.lease = *lease;
                Ok(true)
            }
            Attempt::HeldBy(_) => Ok(false),
            Attempt::Raced => Err("the lease was changed at the same time".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_leases_of_their_own() {
        assert_eq!(lease_name("source-controller", ""), "source-controller-leader-election");
        // printf %s '!sharding.fluxcd.io/key' | sha256sum
        let main = lease_name("source-controller", "!sharding.fluxcd.io/key");
        let shard = lease_name("source-controller", "sharding.fluxcd.io/key=shard1");
        assert_eq!(main.len(), "source-controller-leader-election-".len() + 8);
        assert_ne!(main, shard);
    }
}
