//! Which alerts an event is for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fluxide_notification_api::Alert;
use fluxide_notification_api::alert::EventSeverity;
use fluxide_notification_api::reference::{ANY_NAME, CrossNamespaceObjectReference};
use fluxide_runtime::events::Event;
use fluxide_runtime::{Key, Store};
use futures::StreamExt;
use kube::{Client, ResourceExt};
use tokio::sync::OnceCell;

use super::go_regex;
use crate::complaint::{Complaints, Reason};
use crate::target;

/// Memory for the expressions of one alert.
const ALERT_SIZE: usize = 4 * 1024 * 1024;
/// Memory for the expressions that are kept for the next event.
const KEPT_SIZE: usize = 64 * 1024 * 1024;
/// Expressions that take less are matched where they are; others might hold up everything else.
const QUICK_SIZE: usize = 512 * 1024;
/// The longest message that is matched at once.
const QUICK_MESSAGE: usize = 64 * 1024;
/// How long the expressions of an alert may take.
const MATCHING_TIMEOUT: Duration = Duration::from_secs(3);
/// How many alerts are asked at the same time.
const CONCURRENCY: usize = 8;

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
    inclusion: Vec<Result<go_regex::Compiled, Invalid>>,
    exclusion: Vec<Result<go_regex::Compiled, Invalid>>,
    size: usize,
}

#[derive(Clone)]
struct Invalid {
    expression: String,
    reason: String,
}

/// The labels of the object an event is about, read when first needed.
type Labels = OnceCell<Result<BTreeMap<String, String>, String>>;

impl Matcher {
    /// Selects from the alerts of a store.
    pub fn new(alerts: Store<Alert>, client: Client, complaints: Complaints) -> Self {
        Self { alerts, client, complaints, compiled: Mutex::default() }
    }

    /// The alerts that an event is for.
    pub async fn alerts_for(&self, event: &Event) -> Vec<Arc<Alert>> {
        let mut alerts = self.alerts.list();
        alerts.sort_by_key(|alert| Key::of(alert.as_ref()));
        let labels = Labels::new();
        let each = alerts.into_iter().filter(|alert| !alert.spec.suspend).map(|alert| {
            let labels = &labels;
            async move { self.matches(&alert, event, labels).await.then_some(alert) }
        });
        futures::stream::iter(each).buffered(CONCURRENCY).filter_map(std::future::ready).collect().await
    }

    async fn matches(&self, alert: &Arc<Alert>, event: &Event, labels: &Labels) -> bool {
        for source in &alert.spec.event_sources {
            if self.selects(alert, source, event, labels).await {
                return self.passes(alert, event).await;
            }
        }
        false
    }

    async fn selects(
        &self,
        alert: &Alert,
        source: &CrossNamespaceObjectReference,
        event: &Event,
        labels: &Labels,
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
        match labels.get_or_init(|| target::labels(&self.client, object)).await {
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
    async fn passes(&self, alert: &Alert, event: &Event) -> bool {
        let lists = self.lists(alert);
        let verdict = if lists.size <= QUICK_SIZE && event.message.len() <= QUICK_MESSAGE {
            lists.judge(&event.message, Instant::now() + MATCHING_TIMEOUT)
        } else {
            let (message, until) = (event.message.clone(), Instant::now() + MATCHING_TIMEOUT);
            let judged = tokio::task::spawn_blocking(move || lists.judge(&message, until));
            match tokio::time::timeout(MATCHING_TIMEOUT, judged).await {
                Ok(judged) => judged.unwrap_or_default(),
                Err(_) => Verdict { timed_out: true, ..Verdict::default() },
            }
        };
        if verdict.timed_out {
            let message = "the expressions in spec.inclusionList and spec.exclusionList take too long: the event was not sent".to_owned();
            tracing::error!(logger = "event-server", alert = %Key::of(alert), error = "deadline exceeded", "{message}");
            self.complaints.about(alert, Reason::InvalidConfig, message, BTreeMap::new());
        }
        for (list, invalid) in verdict.invalid {
            let message = format!("failed to compile {list} regex: {}", invalid.expression);
            tracing::error!(logger = "event-server", error = invalid.reason.as_str(), "{message}");
            self.complaints.about(alert, Reason::InvalidConfig, message, BTreeMap::new());
        }
        verdict.passes
    }

    fn lists(&self, alert: &Alert) -> Arc<Lists> {
        let key = Key::of(alert);
        let version = alert.resource_version();
        {
            let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = compiled.get(&key).filter(|known| known.version == version) {
                return Arc::clone(&known.lists);
            }
        }
        let lists = Arc::new(Lists::compile(&alert.spec.inclusion_list, &alert.spec.exclusion_list));
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        // Alerts that are gone leave their expressions behind until there are too many of them.
        if compiled.len() > 2 * self.alerts.len() + 16 {
            compiled.retain(|key, _| self.alerts.get(key).is_some());
        }
        let kept: usize = compiled.values().map(|known| known.lists.size).sum();
        if kept + lists.size > KEPT_SIZE {
            compiled.clear();
        }
        compiled.insert(key, Compiled { version, lists: Arc::clone(&lists) });
        lists
    }
}

/// What the lists of an alert say to a message.
#[derive(Default)]
struct Verdict {
    passes: bool,
    timed_out: bool,
    invalid: Vec<(&'static str, Invalid)>,
}

impl Lists {
    fn compile(inclusion: &[String], exclusion: &[String]) -> Self {
        let mut size = 0;
        let mut compile = |list: &[String]| {
            let each = list.iter().map(|expression| {
                let compiled = go_regex::compile(expression).and_then(|compiled| {
                    if size + compiled.size > ALERT_SIZE {
                        return Err("the expressions of the alert are too large together".to_owned());
                    }
                    size += compiled.size;
                    Ok(compiled)
                });
                compiled.map_err(|reason| Invalid { expression: expression.clone(), reason })
            });
            each.collect()
        };
        let (inclusion, exclusion) = (compile(inclusion), compile(exclusion));
        Self { inclusion, exclusion, size }
    }

    fn judge(&self, message: &str, until: Instant) -> Verdict {
        let (mut invalid, mut timed_out) = (Vec::new(), false);
        let mut any = |list: &[Result<go_regex::Compiled, Invalid>], name: &'static str| {
            list.iter().any(|expression| match expression {
                Ok(_) if timed_out => false,
                Ok(expression) => {
                    let found = expression.regex.is_match(message);
                    timed_out = Instant::now() > until;
                    found
                }
                Err(reason) => {
                    invalid.push((name, reason.clone()));
                    false
                }
            })
        };
        let included = self.inclusion.is_empty() || any(&self.inclusion, "inclusion");
        let passes = included && !any(&self.exclusion, "exclusion");
        Verdict { passes: passes && !timed_out, timed_out, invalid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(inclusion: &[&str], exclusion: &[&str]) -> Lists {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Lists::compile(&owned(inclusion), &owned(exclusion))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_takes_too_long_is_not_sent() {
        let verdict = lists(&[], &["nothing", "like it"]).judge("created", Instant::now());
        assert!(verdict.timed_out && !verdict.passes);
    }

    #[test]
    fn exclusions_go_before_inclusions_and_what_is_invalid_never_matches() {
        let passes = |inclusion: &[&str], exclusion: &[&str]| {
            lists(inclusion, exclusion).judge("created", soon()).passes
        };
        assert!(passes(&[], &[]));
        assert!(passes(&["(", "created"], &["("]));
        assert!(!passes(&["("], &[]));
        assert!(!passes(&["created"], &["creat"]));
        let verdict = lists(&["("], &["["]).judge("created", soon());
        assert_eq!(verdict.invalid.iter().map(|(list, _)| *list).collect::<Vec<_>>(), ["inclusion"]);
    }

    #[test]
    fn many_expressions_take_a_bounded_amount_of_memory() {
        let bombs = vec!["(x{1,100}){10}"; 5000];
        let lists = lists(&[], &bombs);
        assert!(lists.size <= ALERT_SIZE);
        let mut refused = lists.exclusion.iter().filter_map(|compiled| compiled.as_ref().err());
        assert!(refused.next_back().unwrap().reason.ends_with("too large together"));
    }
}
