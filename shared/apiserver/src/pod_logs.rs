//! Texts that pods have "logged", for clients that read logs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const LONGEST: usize = 1024 * 1024;

/// The logs of pods, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct PodLogs {
    texts: Mutex<HashMap<(String, String), String>>,
}

impl PodLogs {
    /// Adds to the log of a pod; the oldest lines go when it becomes long.
    pub fn append(&self, namespace: &str, pod: &str, text: &str) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let log = texts.entry((namespace.to_owned(), pod.to_owned())).or_default();
        log.push_str(text);
        if log.len() > LONGEST {
            let excess = log.len() - LONGEST;
            let cut = log.bytes().skip(excess).position(|b| b == b'\n').map_or(log.len(), |i| excess + i + 1);
            log.drain(..cut);
        }
    }

    pub fn read(&self, namespace: &str, pod: &str) -> Option<String> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(&(namespace.to_owned(), pod.to_owned())).cloned()
    }
}
