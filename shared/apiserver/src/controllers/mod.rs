//! What the server does by itself: establishing definitions, filling and emptying namespaces, collecting garbage.

pub(crate) mod api_services;
pub(crate) mod definitions;
pub(crate) mod expiry;
pub(crate) mod flow_schemas;
pub(crate) mod garbage;
pub(crate) mod ip_addresses;
pub(crate) mod namespaces;
pub(crate) mod policies;
pub(crate) mod workloads;

use std::sync::Arc;

use crate::core::Core;
use crate::crd::establish;
use crate::registry::Resource;
use crate::store::Stored;

/// What follows at once from a stored change.
pub(crate) fn after_write(core: &Arc<Core>, resource: &Resource, stored: &Stored) {
    if *resource.table == *establish::TABLE {
        establish::reconcile(core);
    }
    if *resource.table == *api_services::TABLE {
        api_services::observe(core, resource, stored);
    }
    if *resource.table == *policies::TABLE {
        policies::observe(core, resource, stored);
    }
    match &*resource.table {
        "services" => ip_addresses::observe(core, stored),
        flow_schemas::SCHEMAS => flow_schemas::observe(core, resource, stored),
        flow_schemas::LEVELS => flow_schemas::observe_all(core),
        _ => {}
    }
    garbage::protect(core, resource, stored);
    if *resource.table == *crate::auth::aggregation::TABLE {
        crate::auth::aggregation::reconcile(core);
    }
}

/// Runs the controllers until the server stops.
pub(crate) fn start(core: &Arc<Core>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut tasks = vec![
        tokio::spawn(namespaces::run(core.clone())),
        tokio::spawn(garbage::run(core.clone())),
        tokio::spawn(definitions::run(core.clone())),
        tokio::spawn(expiry::run(core.clone())),
    ];
    if core.settings.simulate_workloads {
        tasks.push(tokio::spawn(workloads::run(core.clone())));
    }
    tasks
}
