//! The server's state without its transport: store, catalog, clock, settings. What tests use in process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::auth::tokens::SigningKey;
use crate::clock::Clock;
use crate::controllers::workloads::Switch;
use crate::faults::Faults;
use crate::kinds::Reservations;
use crate::object;
use crate::pod_logs::PodLogs;
use crate::registry::{Catalog, Resource};
use crate::request_log::RequestLog;
use crate::store::{HistoryLimits, ObjectKey, Store, Stored};

/// Settings that the handlers read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The administrator's token; without one every request is the administrator's.
    pub admin_token: Option<String>,
    pub simulate_workloads: bool,
    pub issuer: String,
}

/// Everything the handlers share.
pub(crate) struct Core {
    pub store: Store,
    pub clock: Arc<Clock>,
    pub settings: Settings,
    pub faults: Faults,
    pub log: RequestLog,
    pub logs: PodLogs,
    pub ca_pem: String,
    pub signing_key: SigningKey,
    pub reservations: Reservations,
    pub simulator: Switch,
    catalog: RwLock<Arc<Catalog>>,
    /// Held from looking at the definitions until the catalog made of them is in place, so that none is overtaken.
    pub rebuilding: Mutex<()>,
}

impl Core {
    pub fn new(
        settings: Settings,
        clock: Arc<Clock>,
        history: usize,
        ca_pem: String,
        state: Option<&Path>,
    ) -> Self {
        Core {
            store: Store::new(HistoryLimits { changes: history }),
            clock,
            settings,
            faults: Faults::default(),
            log: RequestLog::default(),
            logs: PodLogs::default(),
            ca_pem,
            signing_key: SigningKey::new(state),
            reservations: Reservations::default(),
            simulator: Switch::default(),
            catalog: RwLock::new(Arc::new(Catalog::new(Vec::new()))),
            rebuilding: Mutex::new(()),
        }
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_catalog(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// Creates an object of the server's own, as it is apart from the metadata the server sets. Existing ones stay.
    pub fn seed(&self, resource: &Resource, mut value: Value) -> Option<Arc<Stored>> {
        let key = ObjectKey::new(object::namespace(&value), object::name(&value));
        self.stamp_new(&mut value, resource);
        self.store.create(&resource.table, &key, value).ok()
    }

    /// The same, with what `manager` owns of it.
    pub fn seed_by(&self, resource: &Resource, value: &Value, manager: &str) -> Option<Arc<Stored>> {
        let now = self.clock.now_text();
        self.seed(resource, crate::typing::record_update(resource, "", None, value, manager, &now))
    }

    /// Sets uid, creationTimestamp and generation of a new object.
    pub fn stamp_new(&self, value: &mut Value, resource: &Resource) {
        let now = self.clock.now_text();
        let meta = object::metadata(value);
        meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
        meta.insert("creationTimestamp".into(), now.into());
        meta.remove("deletionTimestamp");
        meta.remove("deletionGracePeriodSeconds");
        meta.remove("selfLink");
        meta.remove("resourceVersion");
        if has_generation(resource) && !resource.is("storage.k8s.io", "csidrivers") {
            meta.insert("generation".into(), json!(1));
        }
    }
}

/// Whether the server counts spec changes of this resource in `metadata.generation`.
pub(crate) fn has_generation(resource: &Resource) -> bool {
    if resource.custom.is_some() {
        return true;
    }
    matches!(
        (resource.group.as_str(), resource.plural.as_str()),
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets")
            | ("batch", "jobs" | "cronjobs")
            | ("", "replicationcontrollers" | "pods" | "podtemplates")
            | ("networking.k8s.io", "ingresses" | "networkpolicies" | "ingressclasses")
            | ("policy", "poddisruptionbudgets")
            | ("apiextensions.k8s.io", "customresourcedefinitions")
            | ("admissionregistration.k8s.io", _)
            | ("discovery.k8s.io", "endpointslices")
            | ("flowcontrol.apiserver.k8s.io", _)
            | ("resource.k8s.io", "resourceslices" | "deviceclasses")
            | ("scheduling.k8s.io", "priorityclasses")
            | ("storage.k8s.io", "csidrivers")
    )
}
