//! One rendering: its limits and what they have been used up to, its clock, its random source, its services.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::collection::Map;
use crate::error::Error;
use crate::template::Parsed;
use crate::text::Text;
use crate::value::Value;

/// Bounds on what one session may use, so that a hostile template ends in an error.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nodes, commands and loop iterations.
    pub steps: u64,
    /// Bytes of output, `include`d output counted each time.
    pub output: u64,
    /// Bytes that functions allocate, freed or not.
    pub memory: u64,
    /// Nested executions of templates.
    pub depth: u32,
}

impl Default for Limits {
    /// Far more than any real chart needs: 200 million steps, 256 MiB of output, 1 GiB of allocations, Go's depth.
    fn default() -> Limits {
        Limits { steps: 200_000_000, output: 256 << 20, memory: 1 << 30, depth: 100_000 }
    }
}

/// The state of one rendering, shared by all templates executed in it.
pub struct Session {
    limits: Limits,
    steps: u64,
    output: u64,
    memory: u64,
    now: Timestamp,
    random: Option<StdRng>,
    pub(crate) depth: u32,
    pub(crate) nested: HashMap<Text, u32>,
    pub(crate) parsed: HashMap<Text, Arc<Parsed>>,
    pub(crate) regexes: HashMap<Text, Arc<crate::regexp::Regexp>>,
    /// Output buffers to be used again.
    pub(crate) buffers: Vec<Vec<u8>>,
    services: HashMap<&'static str, Arc<dyn Any + Send + Sync>>,
    tied: Vec<Map>,
}

impl Session {
    /// A session with nothing used yet, at the Unix epoch until [`Session::at`] says otherwise.
    pub fn new(limits: Limits) -> Session {
        Session {
            limits,
            steps: 0,
            output: 0,
            memory: 0,
            now: Timestamp::UNIX_EPOCH,
            random: None,
            depth: 0,
            nested: HashMap::new(),
            parsed: HashMap::new(),
            regexes: HashMap::new(),
            buffers: Vec::new(),
            services: HashMap::new(),
            tied: Vec::new(),
        }
    }

    /// Sets the moment that `now` gives.
    pub fn at(mut self, now: Timestamp) -> Session {
        self.now = now;
        self
    }

    /// Makes the random functions repeatable. Without a seed they draw on the operating system.
    pub fn with_seed(mut self, seed: u64) -> Session {
        self.random = Some(StdRng::seed_from_u64(seed));
        self
    }

    /// The moment of the rendering.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The random source.
    pub fn random(&mut self) -> &mut (dyn RngCore + Send) {
        self.random.get_or_insert_with(StdRng::from_os_rng)
    }

    /// Hands a service to the functions that ask for it by name.
    pub fn provide<T: Any + Send + Sync>(&mut self, name: &'static str, service: Arc<T>) {
        self.services.insert(name, service);
    }

    /// Takes a service away.
    pub fn withdraw(&mut self, name: &str) {
        self.services.remove(name);
    }

    /// The service of a name.
    pub fn service<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.services.get(name)?.clone().downcast().ok()
    }

    /// Counts one step.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            return Err(Error::limit(format!("template takes more than {} steps", self.limits.steps)));
        }
        Ok(())
    }

    /// Counts steps of a loop inside a function.
    pub fn charge_steps(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(steps as u64);
        self.step()
    }

    /// Counts bytes that a function is about to allocate.
    pub fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.memory = self.memory.saturating_add(bytes as u64);
        if self.memory > self.limits.memory {
            return Err(Error::limit(format!(
                "functions of the template allocate more than {} bytes",
                self.limits.memory
            )));
        }
        Ok(())
    }

    /// How much more functions may allocate.
    pub(crate) fn remaining_memory(&self) -> u64 {
        self.limits.memory.saturating_sub(self.memory)
    }

    pub(crate) fn written(&mut self, bytes: usize) -> Result<(), Error> {
        self.output = self.output.saturating_add(bytes as u64);
        if self.output > self.limits.output {
            return Err(Error::limit(format!("template output is larger than {} bytes", self.limits.output)));
        }
        Ok(())
    }

    pub(crate) fn max_depth(&self) -> u32 {
        self.limits.depth
    }

    /// Remembers a map that was given a collection, which may tie it into a ring of references.
    pub(crate) fn may_be_tied(&mut self, map: &Map, value: &Value) {
        if value.is_collection() {
            self.tied.push(map.clone());
        }
    }
}

impl Drop for Session {
    /// Unties the maps that templates made to contain themselves; nothing else would ever free them.
    fn drop(&mut self) {
        crate::value::walk::untie(std::mem::take(&mut self.tied));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("limits", &self.limits)
            .field("steps", &self.steps)
            .field("output", &self.output)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
