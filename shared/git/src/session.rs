//! One conversation with a server: handshake, list references, fetch objects.

use std::future::Future;
use std::io::{self, BufRead, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use gix::hash::ObjectId;
use gix::progress::Discard;
use gix::protocol::fetch::{Arguments, Negotiate, Response, Shallow, Tags, negotiate};
use gix::protocol::handshake::Ref;
use gix::protocol::ls_refs::RefPrefixes;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::{Protocol, Service};
use gix::protocol::{Handshake, LsRefsCommand, indicate_end_of_interaction};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::GitError;
use crate::http::{self, Failure};
use crate::remote::Remote;
use crate::ssh;

/// Ends blocking work when its time is over or nobody waits for it any more.
#[derive(Clone)]
pub(crate) struct Guard {
    pub runtime: Handle,
    pub deadline: Instant,
    pub cancelled: CancellationToken,
}

impl Guard {
    /// Runs a future to its end from a thread that may block.
    pub fn run<F: Future>(&self, future: F) -> Result<F::Output, GitError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancelled.cancelled() => Err(GitError::Cancelled),
                () = tokio::time::sleep_until(self.deadline.into()) => Err(GitError::DeadlineExceeded),
                output = future => Ok(output),
            }
        })
    }

    /// Sets a flag when there is no reason to go on; not any more once what it returns is dropped.
    pub fn interrupt(&self, flag: Arc<AtomicBool>) -> AbortOnDrop {
        let guard = self.clone();
        AbortOnDrop(self.runtime.spawn(async move {
            tokio::select! {
                () = guard.cancelled.cancelled() => {}
                () = tokio::time::sleep_until(guard.deadline.into()) => {}
            }
            flag.store(true, Ordering::Relaxed);
        }))
    }

    /// Fails when there is no reason to go on.
    pub fn check(&self) -> Result<(), GitError> {
        if self.cancelled.is_cancelled() {
            return Err(GitError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(GitError::DeadlineExceeded);
        }
        Ok(())
    }
}

/// A task that ends when this is dropped.
pub(crate) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many bytes the server may still send before it is hung up on.
#[derive(Clone)]
pub(crate) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Fails when the server has sent more than it may.
    pub fn take(&self, bytes: usize) -> Result<(), GitError> {
        let bytes = bytes as u64;
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        left.map(|_| ())
            .map_err(|_| GitError::Protocol("the server sends more than was asked for".to_owned()))
    }
}

/// What greetings and lists of references may have together.
const MAX_TALK: u64 = 64 << 20;

/// A conversation after its handshake.
pub(crate) struct Session {
    transport: Box<dyn Transport>,
    handshake: Handshake,
    failure: Failure,
    allowance: Allowance,
    guard: Guard,
}

impl Session {
    /// Connects and learns what the server can do.
    pub fn connect(remote: &Remote, guard: Guard) -> Result<Self, GitError> {
        let failure = Failure::default();
        let allowance = Allowance(Arc::new(AtomicU64::new(MAX_TALK)));
        let mut transport: Box<dyn Transport> = match remote.url().scheme() {
            "ssh" => Box::new(ssh::transport(remote, guard.clone(), failure.clone(), allowance.clone())?),
            _ => Box::new(http::transport(remote, guard.clone(), failure.clone(), allowance.clone())?),
        };
        let handshake = gix::protocol::handshake(
            &mut transport,
            Service::UploadPack,
            |_| Ok(None),
            Vec::new(),
            &mut Discard,
        )
        .map_err(|error| take_failure(&failure, error))?;
        Ok(Session { transport, handshake, failure, allowance, guard })
    }

    /// The server's references that begin with one of the prefixes; more on old servers.
    pub fn list(&mut self, prefixes: &[String]) -> Result<Vec<RemoteRef>, GitError> {
        let refs = match &self.handshake.refs {
            Some(refs) => refs.clone(),
            None => {
                let mut ref_prefixes = RefPrefixes::new();
                ref_prefixes.extend(prefixes.iter().map(|p| p.as_str().into()));
                LsRefsCommand::new(Some(ref_prefixes), &self.handshake.capabilities, agent())
                    .invoke_blocking(&mut self.transport, &mut Discard, false)
                    .map_err(|error| take_failure(&self.failure, error))?
            }
        };
        Ok(refs.into_iter().filter_map(RemoteRef::new).collect())
    }

    /// Fetches objects into a pack in `directory`, with no history if `shallow`. Takes their size from the bytes that
    /// are left.
    pub fn fetch(
        &mut self,
        wants: &[ObjectId],
        shallow: bool,
        directory: &Path,
        budget: &mut u64,
    ) -> Result<(), GitError> {
        let result = self.try_fetch(wants, shallow, directory, budget);
        result.map_err(|error| {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            match failure {
                Some(failure) => failure,
                None => match self.guard.check() {
                    Err(ended) => ended,
                    Ok(()) => error,
                },
            }
        })
    }

    fn try_fetch(
        &mut self,
        wants: &[ObjectId],
        shallow: bool,
        directory: &Path,
        budget: &mut u64,
    ) -> Result<(), GitError> {
        let pack_directory = directory.join("pack");
        std::fs::create_dir_all(&pack_directory).map_err(GitError::io(&pack_directory))?;
        let interrupt = Arc::new(AtomicBool::new(false));
        let _watch = self.guard.interrupt(interrupt.clone());
        let failure = self.failure.clone();
        let max_bytes = *budget;
        // Packs travel in packets of at least some bytes, with reports on the progress between them.
        self.allowance.set(max_bytes.saturating_add(max_bytes / 8).saturating_add(MAX_TALK));
        let received = AtomicU64::new(0);
        let consume =
            |pack: &mut dyn BufRead, progress: &mut dyn gix::DynNestedProgress, interrupt: &AtomicBool| {
                let mut limited = io::BufReader::new(LimitedReader {
                    inner: pack,
                    remaining: max_bytes,
                    limit: max_bytes,
                    failure: &failure,
                    received: &received,
                });
                let options = gix::odb::pack::bundle::write::Options {
                    thread_limit: Some(1),
                    alloc_limit_bytes: usize::try_from(max_bytes).ok(),
                    ..Default::default()
                };
                gix::odb::pack::Bundle::write_to_directory(
                    &mut limited,
                    Some(&pack_directory),
                    progress,
                    interrupt,
                    None::<gix::odb::Handle>,
                    gix::hash::Kind::Sha1,
                    options,
                )?;
                Ok(true)
            };
        let depth = match shallow {
            true => NonZeroU32::new(1).map_or(Shallow::NoChange, Shallow::DepthAtRemote),
            false => Shallow::NoChange,
        };
        let mut wanted = Wanted(wants);
        gix::protocol::fetch(
            &mut wanted,
            consume,
            Discard,
            &interrupt,
            gix::protocol::fetch::Context {
                handshake: &mut self.handshake,
                transport: &mut self.transport,
                user_agent: agent(),
                trace_packetlines: false,
            },
            gix::protocol::fetch::Options {
                shallow_file: directory.join("shallow"),
                shallow: &depth,
                tags: Tags::None,
                reject_shallow_remote: false,
            },
        )
        .map_err(|error| {
            let text = causes(&error);
            // The library keeps no other trace of the limit on a single object.
            match text.contains("too large to fit in memory") {
                true => GitError::TooLarge { limit: max_bytes, unit: "bytes in one object" },
                false => GitError::Protocol(text),
            }
        })?;
        *budget = max_bytes.saturating_sub(received.into_inner());
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.handshake.server_protocol_version == Protocol::V2
            && self.transport.connection_persists_across_multiple_requests()
        {
            // A courtesy to the server.
            let _ = indicate_end_of_interaction(&mut self.transport, false);
        }
    }
}

/// A reference as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteRef {
    /// The full name, `refs/heads/main`.
    pub name: String,
    /// The object it points to, a tag object if it is an annotated tag.
    pub id: ObjectId,
    /// The commit it means in the end.
    pub commit: ObjectId,
}

impl RemoteRef {
    fn new(reference: Ref) -> Option<Self> {
        let (name, id, commit) = match reference {
            Ref::Peeled { full_ref_name, tag, object } => (full_ref_name, tag, object),
            Ref::Direct { full_ref_name, object } => (full_ref_name, object, object),
            Ref::Symbolic { full_ref_name, tag, object, .. } => {
                (full_ref_name, tag.unwrap_or(object), object)
            }
            Ref::Unborn { .. } => return None,
        };
        Some(RemoteRef { name: String::from_utf8(name.into()).ok()?, id, commit })
    }
}

/// A negotiation in which we want some objects and have none.
struct Wanted<'a>(&'a [ObjectId]);

impl Negotiate for Wanted<'_> {
    fn mark_complete_and_common_ref(&mut self) -> gix::Result<negotiate::Action> {
        Ok(negotiate::Action::MustNegotiate { remote_ref_target_known: Vec::new() })
    }

    fn add_wants(&mut self, arguments: &mut Arguments, _known: &[bool]) -> bool {
        for id in self.0 {
            arguments.want(id);
        }
        !self.0.is_empty()
    }

    fn one_round(
        &mut self,
        _state: &mut negotiate::one_round::State,
        _arguments: &mut Arguments,
        _previous: Option<&Response>,
    ) -> gix::Result<(negotiate::Round, bool)> {
        let round = negotiate::Round {
            haves_sent: 0,
            in_vain: 0,
            haves_to_send: 0,
            previous_response_had_at_least_one_in_common: false,
        };
        Ok((round, true))
    }
}

/// Stops a pack that is larger than allowed.
struct LimitedReader<'a> {
    inner: &'a mut dyn BufRead,
    remaining: u64,
    limit: u64,
    failure: &'a Failure,
    received: &'a AtomicU64,
}

impl Read for LimitedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count as u64 > self.remaining {
            let error = GitError::TooLarge { limit: self.limit, unit: "bytes" };
            let text = error.to_string();
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            return Err(io::Error::other(text));
        }
        self.remaining -= count as u64;
        self.received.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn agent() -> gix::protocol::command::Feature {
    ("agent", Some(http::USER_AGENT.to_owned()))
}

/// Our own error if there was one, else the library's.
fn take_failure(failure: &Failure, error: gix::Error) -> GitError {
    let own = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    own.unwrap_or_else(|| GitError::Protocol(causes(&error)))
}

/// An error with everything that caused it.
fn causes(error: &gix::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let next = inner.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = inner.source();
    }
    text
}

/// Marks the work as abandoned when dropped, so that its thread ends soon.
pub(crate) struct CancelOnDrop(pub Arc<CancellationToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
