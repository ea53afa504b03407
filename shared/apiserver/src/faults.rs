//! Faults on demand, for tests: status codes, delays and dropped connections.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::request::Target;

/// What happens to a request that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answer a Status with this code instead of serving the request.
    Status(u16),
    /// Serve the request after this time.
    Delay(Duration),
    /// Close the connection without an answer.
    Reset,
}

/// Which requests a fault hits. Empty texts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultRule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`; empty for all.
    pub verb: String,
    /// Plural name of the resource; empty for all.
    pub resource: String,
    /// Name of the object; empty for all.
    pub name: String,
}

/// The faults that are waiting for their requests.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(FaultRule, Fault, u64)>>,
}

impl Faults {
    /// Hits the next `times` requests that `rule` matches.
    pub fn inject(&self, rule: FaultRule, fault: Fault, times: u64) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push((rule, fault, times));
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn take(&self, target: &Target) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = |want: &str, have: &str| want.is_empty() || want == have;
        let i = rules.iter().position(|(r, _, n)| {
            *n > 0
                && matches(&r.verb, target.verb)
                && matches(&r.resource, &target.resource)
                && matches(&r.name, &target.name)
        })?;
        rules[i].2 -= 1;
        let fault = rules[i].1.clone();
        rules.retain(|(_, _, n)| *n > 0);
        Some(fault)
    }
}
