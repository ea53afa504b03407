//! Kinds without a status: they exist, and that is all there is to say about them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use fluxide_meta::Condition;
use fluxide_notification_api::reference::ANY_NAME;
use fluxide_notification_api::{Alert, Provider};
use fluxide_runtime::{FINALIZER, Failure, Object, Outcome, Pass, Reconciler, Severity};
use kube::Resource;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use serde::{Deserialize, Serialize};

use crate::complaint::Reason;

/// An object without a status, with the room for conditions that the manager asks for. Nothing of it is
/// written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Static<K> {
    #[serde(flatten)]
    object: K,
    #[serde(skip)]
    conditions: Vec<Condition>,
}

/// A kind that may be suspended.
pub trait Suspend {
    /// Whether it is.
    fn is_suspended(&self) -> bool;
}

impl Suspend for Alert {
    fn is_suspended(&self) -> bool {
        self.spec.suspend
    }
}

impl Suspend for Provider {
    /// A suspended provider is looked after like any other.
    fn is_suspended(&self) -> bool {
        false
    }
}

impl<K: Suspend> Object for Static<K> {
    fn suspended(&self) -> bool {
        self.object.is_suspended()
    }

    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&self) -> i64 {
        0
    }

    fn set_observed_generation(&mut self, _: i64) {}

    fn last_handled_reconcile_at(&self) -> Option<&str> {
        None
    }

    fn set_last_handled_reconcile_at(&mut self, _: String) {}
}

impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>> Resource for Static<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

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
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

/// Holds the finalizer of Providers, during whose deletion nothing is to be done.
pub struct ProviderReconciler;

impl Reconciler for ProviderReconciler {
    type Kind = Static<Provider>;

    async fn reconcile(&self, _: &mut Static<Provider>, _: &Pass) -> Result<Outcome, Failure> {
        Ok(Outcome::Done)
    }

    async fn finalize(&self, _: &mut Static<Provider>, _: &Pass) -> Result<(), Failure> {
        Ok(())
    }

    fn settle(&self, _: &mut Static<Provider>, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        result
    }
}

/// Removes the finalizer that older versions put on Alerts.
pub struct AlertReconciler;

impl Reconciler for AlertReconciler {
    type Kind = Static<Alert>;

    async fn reconcile(&self, alert: &mut Static<Alert>, pass: &Pass) -> Result<Outcome, Failure> {
        let sources = alert.object.spec.event_sources.iter().enumerate();
        let unmatched = sources.filter(|(_, source)| source.namespace.as_deref() == Some(ANY_NAME));
        let places: Vec<String> =
            unmatched.map(|(index, _)| format!("spec.eventSources[{index}].namespace")).collect();
        if !places.is_empty() {
            let message = format!(
                "{} is '*', which is the name of no namespace and selects nothing: name each namespace in an entry of its own",
                places.join(", ")
            );
            pass.event(alert, Severity::Error, Reason::InvalidConfig.as_str(), message, BTreeMap::new());
        }
        Ok(Outcome::Done)
    }

    async fn finalize(&self, _: &mut Static<Alert>, _: &Pass) -> Result<(), Failure> {
        Ok(())
    }

    fn finalizer(&self) -> Option<&'static str> {
        None
    }

    fn legacy_finalizer(&self) -> Option<&'static str> {
        Some(FINALIZER)
    }

    fn settle(&self, _: &mut Static<Alert>, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        result
    }
}
