//! The load itself: objects, watches, writes, and what came of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::client::{Error, Line, Target};
use crate::process::{Usage, usage};

const NAMESPACES: usize = 100;
/// How many values the label has that some watches select by.
const SHARDS: usize = 96;
/// The length of each object's JSON, about.
pub const OBJECT_BYTES: usize = 4096;
const CREATING: usize = 16;
const STREAMS_PER_CONNECTION: usize = 100;
const LISTS: usize = 5;
/// How long watches may take to catch up after the last write.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much to do.
pub struct Load {
    pub objects: usize,
    pub watches: usize,
    pub writes_per_second: u64,
    pub seconds: u64,
}

/// What came of it. Times in milliseconds unless they say otherwise.
#[derive(Default)]
pub struct Figures {
    created_per_second: f64,
    after_creating: Usage,
    first_list: f64,
    lists: Vec<f64>,
    opening_watches: f64,
    writes_per_second: f64,
    writes: Vec<f64>,
    busy_lists: Vec<f64>,
    events: u64,
    expected: u64,
    broken_watches: usize,
    failed_requests: u64,
    delays: Vec<f64>,
    writing: Usage,
}

impl Figures {
    /// Whether every watch saw every event of its selection, once and in order.
    pub fn complete(&self) -> bool {
        self.events == self.expected && self.broken_watches == 0 && self.failed_requests == 0
    }

    /// Names and values, in the order to print them in.
    pub fn rows(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("objects created per second", self.created_per_second),
            ("resident after creating, MiB", self.after_creating.resident_mib),
            ("first list of 10,000, ms", self.first_list),
            ("list of 10,000 again, median, ms", quantile(&self.lists, 0.5)),
            ("opening all watches, ms", self.opening_watches),
            ("writes answered per second", self.writes_per_second),
            ("write, median, ms", quantile(&self.writes, 0.5)),
            ("write, p99, ms", quantile(&self.writes, 0.99)),
            ("list of 10,000 while writing, median, ms", quantile(&self.busy_lists, 0.5)),
            ("events that watches should see", self.expected as f64),
            ("events that watches saw", self.events as f64),
            ("watches that ended or were out of order", self.broken_watches as f64),
            ("requests that failed", self.failed_requests as f64),
            ("from write to watch, median, ms", quantile(&self.delays, 0.5)),
            ("from write to watch, p99, ms", quantile(&self.delays, 0.99)),
            ("from write to watch, latest, ms", quantile(&self.delays, 1.0)),
            ("processor while writing, s", self.writing.cpu_seconds),
            ("resident after writing, MiB", self.writing.resident_mib),
            ("peak, MiB", self.writing.peak_mib),
        ]
    }
}

/// The value below which this part of the values is.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

fn sort(values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
}

impl Load {
    /// Runs it against a server whose processes are these.
    pub async fn run(&self, target: Arc<Target>, pids: &[u32]) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        // Apart from those of an earlier run against a server that goes on.
        let prefix = format!("load-{:x}", SystemTime::UNIX_EPOCH.elapsed()?.as_secs());
        let failed = Arc::new(AtomicU64::new(0));
        let line = || Line::new(target.clone(), failed.clone());
        let started = Instant::now();
        self.create(&line, &prefix).await?;
        figures.created_per_second = self.objects as f64 / started.elapsed().as_secs_f64();
        figures.after_creating = usage(pids);

        let own = line();
        figures.first_list = list(&own).await.unwrap_or_default();
        for _ in 0..LISTS {
            figures.lists.extend(list(&own).await);
        }
        sort(&mut figures.lists);

        let connection = target.connect().await?;
        let listed = target.get(&connection, "/api/v1/configmaps?limit=1").await?;
        let from = listed["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let started = Instant::now();
        let seen = Arc::new(AtomicU64::new(0));
        let over = watch::Sender::new(false);
        let mut watches = JoinSet::new();
        let mut expected = Vec::new();
        let mut streams = line();
        for n in 0..self.watches {
            if n % STREAMS_PER_CONNECTION == 0 {
                streams = line();
            }
            let scope = Scope::of(n);
            let body = streams.open(&scope.path(&prefix, &from)).await;
            let (line, prefix) = (streams.clone(), prefix.clone());
            let again = move |from: u128| {
                let (line, path) = (line.clone(), Scope::of(n).path(&prefix, &from.to_string()));
                async move { line.open(&path).await }
            };
            watches.spawn(follow(body, again, seen.clone(), over.subscribe()));
            expected.push(scope);
        }
        figures.opening_watches = milliseconds(started.elapsed());

        let before = usage(pids);
        let (stop, stopped) = oneshot::channel();
        let busy = tokio::spawn(list_now_and_then(line(), stopped));
        let written = self.write(&line, &prefix, &mut figures).await?;
        drop(stop);
        figures.busy_lists = busy.await?;
        sort(&mut figures.busy_lists);
        figures.expected = expected.iter().map(|scope| scope.events(&written)).sum();
        let end = Instant::now() + PATIENCE;
        while seen.load(Ordering::Relaxed) < figures.expected && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        figures.writing = usage(pids);
        figures.writing.cpu_seconds -= before.cpu_seconds;
        // What comes now is an event too many.
        tokio::time::sleep(Duration::from_millis(300)).await;
        figures.events = seen.load(Ordering::Relaxed);
        over.send_replace(true);
        figures.failed_requests = failed.load(Ordering::Relaxed);
        for n in 0..NAMESPACES {
            own.send("DELETE", &format!("/api/v1/namespaces/{prefix}-{n}"), "").await;
        }
        while let Some(watch) = watches.join_next().await {
            let watch = watch?;
            figures.broken_watches += usize::from(!watch.in_order);
            figures.delays.extend(watch.delays);
        }
        sort(&mut figures.delays);
        Ok(figures)
    }

    async fn create(&self, line: &impl Fn() -> Arc<Line>, prefix: &str) -> Result<(), Error> {
        let own = line();
        for n in 0..NAMESPACES {
            let body =
                format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{prefix}-{n}"}}}}"#);
            own.send("POST", "/api/v1/namespaces", &body).await.ok_or("no namespace could be created")?;
        }
        let mut workers = JoinSet::new();
        for worker in 0..CREATING {
            let (line, prefix) = (line(), prefix.to_owned());
            let objects = self.objects;
            workers.spawn(async move {
                for i in (worker..objects).step_by(CREATING) {
                    let path = format!("/api/v1/namespaces/{prefix}-{}/configmaps", i % NAMESPACES);
                    line.send("POST", &path, &object(i, 0)).await;
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker?;
        }
        Ok(())
    }

    /// Replaces objects at a steady rate, spread over all namespaces. Answers the objects written.
    async fn write(
        &self,
        line: &impl Fn() -> Arc<Line>,
        prefix: &str,
        figures: &mut Figures,
    ) -> Result<Vec<usize>, Error> {
        let lines: Vec<Arc<Line>> = (0..8).map(|_| line()).collect();
        let count = self.writes_per_second * self.seconds;
        let mut ticks =
            tokio::time::interval(Duration::from_micros(1_000_000 / self.writes_per_second.max(1)));
        // A server that cannot keep up slows the writing down, as it does the writing of real clients.
        let under_way = Arc::new(Semaphore::new(400));
        let started = Instant::now();
        let mut pending = JoinSet::new();
        let mut written = Vec::new();
        for i in 0..usize::try_from(count)? {
            ticks.tick().await;
            let permit = under_way.clone().acquire_owned().await?;
            let n = i.wrapping_mul(7919) % self.objects;
            let line = lines[i % lines.len()].clone();
            let path = format!("/api/v1/namespaces/{prefix}-{}/configmaps/c{n}", n % NAMESPACES);
            pending.spawn(async move {
                let sent = Instant::now();
                let answered = line.send("PUT", &path, &object(n, now_micros())).await;
                drop(permit);
                answered.map(|_| (n, milliseconds(sent.elapsed())))
            });
        }
        while let Some(done) = pending.join_next().await {
            if let Some((n, took)) = done? {
                written.push(n);
                figures.writes.push(took);
            }
        }
        figures.writes_per_second = written.len() as f64 / started.elapsed().as_secs_f64();
        sort(&mut figures.writes);
        Ok(written)
    }
}

/// What a watch follows.
enum Scope {
    Everything,
    Shard(usize),
    Namespace(usize),
}

impl Scope {
    fn of(watch: usize) -> Self {
        match watch {
            0..4 => Scope::Everything,
            4..100 => Scope::Shard(watch - 4),
            _ => Scope::Namespace(watch % NAMESPACES),
        }
    }

    fn path(&self, prefix: &str, from: &str) -> String {
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=3000&resourceVersion={from}");
        match self {
            Scope::Everything => format!("/api/v1/configmaps?{query}"),
            Scope::Shard(shard) => format!("/api/v1/configmaps?labelSelector=shard%3Ds{shard}&{query}"),
            Scope::Namespace(n) => format!("/api/v1/namespaces/{prefix}-{n}/configmaps?{query}"),
        }
    }

    /// How many of these writes it is to see.
    fn events(&self, written: &[usize]) -> u64 {
        let count = match self {
            Scope::Everything => written.len(),
            Scope::Shard(shard) => written.iter().filter(|n| **n % SHARDS == *shard).count(),
            Scope::Namespace(namespace) => written.iter().filter(|n| **n % NAMESPACES == *namespace).count(),
        };
        count as u64
    }
}

fn object(n: usize, stamp: u128) -> String {
    let filling = "x".repeat(OBJECT_BYTES - 500);
    let shard = n % SHARDS;
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{n}","labels":{{"shard":"s{shard}"}}}},"data":{{"a-stamp":"{stamp}","filling":"{filling}"}}}}"#
    )
}

/// What one watch saw.
struct Watched {
    delays: Vec<f64>,
    in_order: bool,
}

/// Reads a watch until the run is over. One that ends is opened again where it was, and counts as broken.
async fn follow<F: Future<Output = Option<Incoming>>>(
    mut body: Option<Incoming>,
    again: impl Fn(u128) -> F,
    seen: Arc<AtomicU64>,
    mut over: watch::Receiver<bool>,
) -> Watched {
    let mut watched = Watched { delays: Vec::new(), in_order: true };
    let mut last = 0;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let Some(open) = &mut body else {
            watched.in_order = false;
            rest.clear();
            body = tokio::select! {
                body = again(last) => body,
                _ = over.changed() => return watched,
            };
            continue;
        };
        let frame = tokio::select! {
            frame = open.frame() => frame,
            _ = over.changed() => return watched,
        };
        let Some(Ok(frame)) = frame else {
            body = None;
            continue;
        };
        let Ok(data) = frame.into_data() else { continue };
        rest.extend_from_slice(&data);
        let mut start = 0;
        while let Some(length) = rest[start..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&rest[start..start + length]);
            start += length + 1;
            let Some(stamp) = number_after(&line, "\"a-stamp\":\"") else { continue };
            let revision = number_after(&line, "\"resourceVersion\":\"").unwrap_or_default();
            watched.in_order &= revision > last;
            last = revision;
            if stamp > 0 {
                watched.delays.push(now_micros().saturating_sub(stamp) as f64 / 1000.0);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
        rest.drain(..start);
    }
}

fn number_after(line: &str, name: &str) -> Option<u128> {
    let (_, rest) = line.split_once(name)?;
    rest.split_once('"')?.0.parse().ok()
}

async fn list(line: &Line) -> Option<f64> {
    let started = Instant::now();
    line.send("GET", "/api/v1/configmaps?limit=10000", "").await?;
    Some(milliseconds(started.elapsed()))
}

/// Lists every few seconds until the other end of the channel is gone.
async fn list_now_and_then(line: Arc<Line>, mut stopped: oneshot::Receiver<()>) -> Vec<f64> {
    let mut took = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = &mut stopped => return took,
            _ = ticks.tick() => took.extend(list(&line).await),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn now_micros() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros())
}
