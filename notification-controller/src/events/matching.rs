//! Which alerts an event is for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use fluxide_notification_api::Alert;
use fluxide_notification_api::alert::EventSeverity;
use fluxide_notification_api::reference::{ANY_NAME, CrossNamespaceObjectReference};
use fluxide_runtime::events::Event;
use fluxide_runtime::{Key, Store};
use kube::{Client, ResourceExt};
use regex::Regex;

use super::go_regex;
use crate::complaint::{Complaints, Reason};
use crate::target;

/// Selects alerts for events.
pub struct Matcher {
    alerts: Store<Alert>,
    client: Client,
    complaints: Complaints,
    compiled: Mutex<HashMap<Key, Compiled>>,
}

/// The expressions of an alert, for as long as it is the same.
#[derive(Clone)]
struct Compiled {
    version: Option<String>,
    lists: Arc<Lists>,
}

struct Lists {
    inclusion: Vec<Result<Regex, Invalid>>,
    exclusion: Vec<Result<Regex, Invalid>>,
}

struct Invalid {
    expression: String,
    reason: String,
}

/// The labels of the object an event is about, read when first needed.
#[derive(Default)]
struct Labels {
    read: Option<Result<BTreeMap<String, String>, String>>,
}

impl Matcher {
    /// Selects from the alerts of a store.
    pub fn new(alerts: Store<Alert>, client: Client, complaints: Complaints) -> Self {
        Self { alerts, client, complaints, compiled: Mutex::default() }
    }

    /// The alerts that an event is for.
    pub async fn alerts_for(&self, event: &Event) -> Vec<Arc<Alert>> {
        let mut alerts = self.alerts.list();
        alerts.sort_by_key(|alert| Key::of(alert.as_ref()));
        let mut labels = Labels::default();
        let mut matching = Vec::new();
        for alert in alerts {
            if !alert.spec.suspend && self.matches(&alert, event, &mut labels).await {
                matching.push(alert);
            }
        }
        matching
    }

    async fn matches(&self, alert: &Alert, event: &Event, labels: &mut Labels) -> bool {
        let mut selected = false;
        for source in &alert.spec.event_sources {
            if self.selects(alert, source, event, labels).await {
                selected = true;
                break;
            }
        }
        selected && self.passes(alert, event)
    }

    async fn selects(
        &self,
        alert: &Alert,
        source: &CrossNamespaceObjectReference,
        event: &Event,
        labels: &mut Labels,
    ) -> bool {
        let object = &event.involved_object;
        let own_namespace = alert.namespace().unwrap_or_default();
        let severity = match alert.spec.event_severity {
            EventSeverity::Info => true,
            ref severity => severity.as_str() == event.severity,
        };
        let names_it = source.namespace_or(&own_namespace) == object.namespace
            && source.kind.as_str() == object.kind
            && severity
            && (source.name == ANY_NAME || source.name == object.name);
        if !names_it {
            return false;
        }
        let Some(wanted) = &source.match_labels else {
            return true;
        };
        let found = match &mut labels.read {
            Some(found) => found,
            unread => {
                let read = target::labels(&self.client, object).await;
                unread.insert(read)
            }
        };
        match found {
            Ok(found) => wanted.iter().all(|(key, value)| found.get(key) == Some(value)),
            Err(reason) => {
                let message = format!(
                    "error getting source object {}/{}/{}",
                    object.kind, object.namespace, object.name
                );
                tracing::error!(logger = "event-server", error = reason.as_str(), "{message}");
                self.complaints.about(alert, Reason::SourceFetchFailed, message, BTreeMap::new());
                false
            }
        }
    }

    /// Whether the message passes the lists: one of the inclusions, if there are any, and none of the
    /// exclusions. An expression that cannot be compiled never matches.
    fn passes(&self, alert: &Alert, event: &Event) -> bool {
        let lists = self.lists(alert);
        let any = |list: &[Result<Regex, Invalid>], name: &str| {
            let mut found = false;
            for expression in list {
                match expression {
                    Ok(expression) => found |= expression.is_match(&event.message),
                    Err(invalid) => {
                        let message = format!("failed to compile {name} regex: {}", invalid.expression);
                        tracing::error!(
                            logger = "event-server",
                            error = invalid.reason.as_str(),
                            "{message}"
                        );
                        self.complaints.about(alert, Reason::InvalidConfig, message, BTreeMap::new());
                    }
                }
                if found {
                    break;
                }
            }
            found
        };
        let included = lists.inclusion.is_empty() || any(&lists.inclusion, "inclusion");
        included && !any(&lists.exclusion, "exclusion")
    }

    fn lists(&self, alert: &Alert) -> Arc<Lists> {
        let key = Key::of(alert);
        let version = alert.resource_version();
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&key).filter(|known| known.version == version) {
            return Arc::clone(&known.lists);
        }
        let compile = |list: &[String]| {
            let each = list.iter().map(|expression| {
                go_regex::compile(expression)
                    .map_err(|reason| Invalid { expression: expression.clone(), reason })
            });
            each.collect()
        };
        let lists = Arc::new(Lists {
            inclusion: compile(&alert.spec.inclusion_list),
            exclusion: compile(&alert.spec.exclusion_list),
        });
        // Alerts that are gone leave their expressions behind until there are too many of them.
        if compiled.len() > 2 * self.alerts.len() + 16 {
            compiled.retain(|key, _| self.alerts.get(key).is_some());
        }
        compiled.insert(key, Compiled { version, lists: Arc::clone(&lists) });
        lists
    }
}
