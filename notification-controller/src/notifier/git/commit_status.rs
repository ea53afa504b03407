//! Commit statuses: what came of a commit, shown beside it.

pub mod azure_devops;
pub mod bitbucket;
pub mod gitea;
pub mod github;
pub mod gitlab;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::commit;
use crate::notifier::http::{self, Http};
use crate::notifier::settings::Settings;
use crate::notifier::{Connections, Error, Message, reason_in_words};

/// Events about work under way.
const PROGRESSING: &str = "Progressing";

/// For how long a status that was set is taken to be there still.
const POSTED_AGE: Duration = Duration::from_secs(600);
/// How many statuses are remembered.
const POSTED: usize = 10_000;

/// A hosting service that shows commit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forge {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Azure DevOps.
    AzureDevOps,
}

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Success,
    Failure,
    Pending,
}

/// The statuses that were set last: setting one again is a request or two that count against the service's limits.
/// Cloning shares them.
#[derive(Clone, Default)]
pub struct Posted {
    known: Arc<Mutex<HashMap<[u8; 32], Set>>>,
}

/// What a status was set to, and when.
struct Set {
    state: State,
    description: String,
    at: Instant,
}

impl Posted {
    fn holds(&self, name: &[u8; 32], status: &Status<'_>) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).is_some_and(|set| {
            set.at.elapsed() < POSTED_AGE
                && set.state == status.state
                && set.description == status.description
        })
    }

    fn keep(&self, name: [u8; 32], status: &Status<'_>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= POSTED {
            known.retain(|_, set| set.at.elapsed() < POSTED_AGE);
        }
        if known.len() >= POSTED {
            known.clear();
        }
        let set = Set { state: status.state, description: status.description.clone(), at: Instant::now() };
        known.insert(name, set);
    }
}

/// What tells a status from others.
fn name_of(settings: &Settings, message: &Message<'_>, status: &Status<'_>) -> [u8; 32] {
    let summary = message.event.metadata.get("summary").map_or("", String::as_str);
    let mut digest = Sha256::new();
    for part in [&settings.uid, &settings.address, &status.commit, status.id, summary] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A status to set.
struct Status<'a> {
    commit: String,
    id: &'a str,
    state: State,
    description: String,
}

/// Sets the status of the commit that an event is about, unless it is set to the same already.
pub async fn post(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
    forge: Forge,
) -> Result<(), Error> {
    let event = message.event;
    if message.status_id.is_empty() {
        return Err(Error::Settings("commit status cannot be empty".to_owned()));
    }
    let in_progress = event.reason == PROGRESSING;
    if in_progress && forge != Forge::Gitea {
        return Ok(());
    }
    let status = Status {
        commit: commit(&event.metadata).map_err(|error| match forge {
            Forge::BitbucketServer if error.starts_with("failed to extract") => {
                Error::refused(format!("could not parse revision: {error}"))
            }
            _ => Error::refused(error),
        })?,
        id: message.status_id,
        state: state(&event.severity, in_progress).ok_or_else(|| Error::refused(no_state(forge)))?,
        description: reason_in_words(&event.reason),
    };
    let name = name_of(settings, message, &status);
    if connections.posted.holds(&name, &status) {
        return Ok(());
    }
    match forge {
        Forge::Github => github::post(connections, http, settings, &status).await,
        Forge::Gitlab => gitlab::post(http, settings, &status).await,
        Forge::Gitea => gitea::post(http, settings, &status).await,
        Forge::Bitbucket => bitbucket::post(http, settings, message, &status).await,
        Forge::BitbucketServer => bitbucket::post_to_server(http, settings, message, &status).await,
        Forge::AzureDevOps => azure_devops::post(connections, http, settings, message, &status).await,
    }?;
    connections.posted.keep(name, &status);
    Ok(())
}

fn state(severity: &str, in_progress: bool) -> Option<State> {
    match severity {
        _ if in_progress => Some(State::Pending),
        "info" => Some(State::Success),
        "error" => Some(State::Failure),
        _ => None,
    }
}

fn no_state(forge: Forge) -> &'static str {
    match forge {
        Forge::Github => "can't convert to github state",
        Forge::Gitlab => "can't convert to gitlab state",
        Forge::Gitea => "can't convert to gitea state",
        Forge::Bitbucket => "can't convert to bitbucket state",
        Forge::BitbucketServer => {
            "couldn't convert to bitbucket server state: bitbucket server state generated on info or error events only"
        }
        Forge::AzureDevOps => "can't convert to azure devops state",
    }
}

/// A failed list of statuses.
fn not_listed(error: http::Error) -> Error {
    Error::request("could not list commit statuses", error)
}

/// A failed creation of a status.
fn not_created(error: http::Error) -> Error {
    Error::request("could not create commit status", error)
}

/// Something is wrong with a request itself.
fn invalid(error: http::Error) -> Error {
    Error::Settings(error.to_string())
}
