//! What is sent to each type of provider.
//!
//! [`Kind::of`] is the table of all types: what makes the settings of one complete, and how a message
//! reaches it. Most types are a pure function from settings and event to HTTP requests
//! ([`Transport::Requests`]); the rest ask before they write, or speak another protocol.

mod chat;
mod event_hub;
mod generic;
pub mod git;
pub mod go_json;
pub mod http;
mod identity;
mod incident;
mod nats;
mod otel;
pub mod policy;
mod pubsub;
pub mod redact;
mod sentry;
pub mod settings;
mod slack;
mod token_cache;

#[cfg(test)]
mod tests;

use crate::events::incoming::NO_TIME;
use fluxide_notification_api::ProviderType;
use fluxide_runtime::events::Event;
use kube::Client;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use url::Url;

pub use git::commit_status::Posted;
use git::{change_request, commit_status};
use http::{Clients, Request};
pub use identity::Identities;
pub use settings::Settings;
pub use token_cache::TokenCache;

/// The requests of a message, or what is wrong with the settings or the event.
pub type Requests = Result<Vec<Request>, String>;

/// A message on its way to a provider.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The event, with the metadata of the alert in it.
    pub event: &'a Event,
    /// The alert that selected it.
    pub alert: &'a AlertIdentity,
    /// The name of the commit status it sets.
    pub status_id: &'a str,
}

/// Which alert selected an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AlertIdentity {
    /// Namespace of the alert, and of its provider.
    pub namespace: String,
    /// Name of the alert.
    pub name: String,
    /// UID of the alert.
    pub uid: String,
    /// Resource version of the alert at that time.
    pub resource_version: String,
}

/// Why a message did not reach its provider.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings do not allow to send anything.
    #[error("failed to initialize notifier: {0}")]
    Settings(String),
    /// The message was not accepted.
    #[error("{message}")]
    Send {
        /// What happened.
        message: String,
        /// Whether it may work later without any change.
        transient: bool,
    },
}

impl Error {
    /// A message that will not be accepted later either.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Send { message: message.into(), transient: false }
    }

    /// A failed request, with what it was for.
    pub fn request(context: &str, error: http::Error) -> Self {
        Self::Send { message: format!("{context}: {error}"), transient: error.is_transient() }
    }
}

/// What sending uses beside the settings of the provider.
#[derive(Clone)]
pub struct Connections {
    /// HTTP clients.
    pub clients: Clients,
    /// Tokens for which others were exchanged.
    pub tokens: TokenCache,
    /// The cluster, for tokens of ServiceAccounts; absent in tests of single types.
    pub cluster: Option<Client>,
    /// Where clouds give tokens.
    pub identities: Identities,
    /// The commit statuses that were set last.
    pub posted: Posted,
}

/// Says what is missing in the settings of a type.
type Check = fn(&Settings) -> Result<(), String>;

/// A type of provider.
pub struct Kind {
    check: Check,
    transport: Transport,
}

/// How messages reach a type of provider.
enum Transport {
    /// HTTP requests that depend on nothing but settings and event.
    Requests(fn(&Settings, &Message<'_>) -> Requests),
    /// As before, but the answer is judged by what it says.
    Slack,
    /// A status of the commit that the event is about.
    CommitStatus(commit_status::Forge),
    /// A comment on the change request that the event is about.
    Comment(change_request::Forge),
    /// An event that starts workflows of a repository.
    GithubDispatch,
    /// A subject of a NATS server.
    Nats,
    /// A topic of Google Pub/Sub.
    PubSub,
    /// An Azure event hub.
    EventHub,
}

impl Kind {
    /// The table of all types.
    pub fn of(provider_type: &ProviderType) -> Self {
        use Transport::{Comment, CommitStatus, EventHub, GithubDispatch, Nats, PubSub, Requests, Slack};
        let (check, transport): (Check, Transport) = match provider_type {
            ProviderType::Generic => (generic::check, Requests(generic::requests)),
            ProviderType::GenericHmac => (generic::check_hmac, Requests(generic::signed_requests)),
            ProviderType::Slack => (slack::check_slack, Slack),
            ProviderType::Discord => (slack::check_discord, Requests(slack::discord)),
            ProviderType::Rocket => (slack::check_rocket, Requests(slack::rocket)),
            ProviderType::MsTeams => (chat::check_teams, Requests(chat::teams)),
            ProviderType::GoogleChat => (chat::check_google_chat, Requests(chat::google_chat)),
            ProviderType::Webex => (chat::check_webex, Requests(chat::webex)),
            ProviderType::Telegram => (chat::check_telegram, Requests(chat::telegram)),
            ProviderType::Lark => (chat::check_lark, Requests(chat::lark)),
            ProviderType::Matrix => (chat::check_matrix, Requests(chat::matrix)),
            ProviderType::Zulip => (chat::check_zulip, Requests(chat::zulip)),
            ProviderType::Zoom => (chat::check_zoom, Requests(chat::zoom)),
            ProviderType::Opsgenie => (incident::check_opsgenie, Requests(incident::opsgenie)),
            ProviderType::PagerDuty => (incident::check_pager_duty, Requests(incident::pager_duty)),
            ProviderType::IncidentIo => (incident::check_incident_io, Requests(incident::incident_io)),
            ProviderType::Alertmanager => (incident::check_alertmanager, Requests(incident::alertmanager)),
            ProviderType::Grafana => (incident::check_grafana, Requests(incident::grafana)),
            ProviderType::DataDog => (incident::check_datadog, Requests(incident::datadog)),
            ProviderType::Sentry => (sentry::check, Requests(sentry::requests)),
            ProviderType::Otel => (otel::check, Requests(otel::requests)),
            ProviderType::Github => {
                (commit_status::github::check, CommitStatus(commit_status::Forge::Github))
            }
            ProviderType::Gitlab => {
                (commit_status::gitlab::check, CommitStatus(commit_status::Forge::Gitlab))
            }
            ProviderType::Gitea => (commit_status::gitea::check, CommitStatus(commit_status::Forge::Gitea)),
            ProviderType::Bitbucket => {
                (commit_status::bitbucket::check, CommitStatus(commit_status::Forge::Bitbucket))
            }
            ProviderType::BitbucketServer => {
                (commit_status::bitbucket::check_server, CommitStatus(commit_status::Forge::BitbucketServer))
            }
            ProviderType::AzureDevOps => {
                (commit_status::azure_devops::check, CommitStatus(commit_status::Forge::AzureDevOps))
            }
            ProviderType::GithubDispatch => (commit_status::github::check, GithubDispatch),
            ProviderType::GithubPullRequestComment => {
                (commit_status::github::check, Comment(change_request::Forge::Github))
            }
            ProviderType::GitlabMergeRequestComment => {
                (commit_status::gitlab::check, Comment(change_request::Forge::Gitlab))
            }
            ProviderType::GiteaPullRequestComment => {
                (commit_status::gitea::check, Comment(change_request::Forge::Gitea))
            }
            ProviderType::Nats => (nats::check, Nats),
            ProviderType::GooglePubSub => (pubsub::check, PubSub),
            ProviderType::AzureEventHub => (event_hub::check, EventHub),
            ProviderType::Other(_) => (unsupported, Requests(|_, _| Ok(Vec::new()))),
        };
        Self { check, transport }
    }
}

fn unsupported(settings: &Settings) -> Result<(), String> {
    Err(format!("provider {} not supported", settings.provider_type.as_str()))
}

/// Whether messages can be sent with these settings.
pub fn check(settings: &Settings) -> Result<(), Error> {
    (Kind::of(&settings.provider_type).check)(settings).map_err(Error::Settings)
}

/// Sends a message.
pub async fn send(
    connections: &Connections,
    settings: &Settings,
    message: &Message<'_>,
) -> Result<(), Error> {
    let kind = Kind::of(&settings.provider_type);
    (kind.check)(settings).map_err(Error::Settings)?;
    let http =
        connections.clients.for_settings(settings).map_err(|error| Error::Settings(error.to_string()))?;
    match kind.transport {
        Transport::Requests(requests) => {
            for request in requests(settings, message).map_err(Error::refused)? {
                let sent = http.accepted(&request).await;
                sent.map_err(|error| not_posted(context(&settings.provider_type, &request.url), error))?;
            }
            Ok(())
        }
        Transport::Slack => {
            for request in slack::slack(settings, message).map_err(Error::refused)? {
                let answer =
                    http.send(&request).await.map_err(|error| not_posted("postMessage failed: ", error))?;
                let status = answer.status;
                slack::judge(settings, answer).map_err(|error| Error::Send {
                    message: format!("postMessage failed: {error}"),
                    transient: status.is_server_error(),
                })?;
            }
            Ok(())
        }
        Transport::CommitStatus(forge) => {
            commit_status::post(connections, &http, settings, message, forge).await
        }
        Transport::Comment(forge) => change_request::post(connections, &http, settings, message, forge).await,
        Transport::GithubDispatch => {
            commit_status::github::dispatch(connections, &http, settings, message).await
        }
        Transport::Nats => nats::publish(connections.clients.policy(), settings, message).await,
        Transport::PubSub => pubsub::publish(connections, &http, settings, message).await,
        Transport::EventHub => event_hub::publish(connections, &http, settings, message).await,
    }
}

fn not_posted(context: &str, error: http::Error) -> Error {
    match error {
        http::Error::Status { .. } => Error::request(&format!("{context}request failed"), error),
        error => Error::request(&format!("{context}failed to execute request"), error),
    }
}

/// What Flux says before the reason when a message is not accepted.
fn context(provider_type: &ProviderType, url: &Url) -> &'static str {
    match provider_type {
        ProviderType::Lark | ProviderType::Telegram | ProviderType::Zulip => "",
        ProviderType::PagerDuty if url.path().contains("/change/") => "failed sending change event: ",
        ProviderType::PagerDuty => "failed sending event: ",
        ProviderType::DataDog => "failed to post event to DataDog: ",
        _ => "postMessage failed: ",
    }
}

impl Message<'_> {
    /// Whether it is bad news.
    pub fn is_error(&self) -> bool {
        self.event.severity == "error"
    }

    /// A POST of JSON with the headers of the Secret.
    fn webhook(&self, settings: &Settings, url: Url, body: &impl Serialize) -> Result<Request, String> {
        let mut request = Request::post_json(url, body).map_err(|error| error.to_string())?;
        for (name, value) in &settings.headers {
            // The body is what it is.
            if !name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) {
                request = request.header(name, value).map_err(|error| error.to_string())?;
            }
        }
        Ok(request)
    }
}

/// An absolute HTTP URL, or why it is none, in Go's words.
fn hook_url(address: &str) -> Result<Url, String> {
    if address.is_empty() {
        return Err("parse \"\": empty url".to_owned());
    }
    let url = Url::parse(address).map_err(|_| format!("parse {address:?}: invalid URI for request"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("parse {address:?}: the scheme must be http or https, followed by a host"));
    }
    Ok(url)
}

/// The object of an event: `kustomization/apps.flux-system`.
fn object_name(event: &Event) -> String {
    let object = &event.involved_object;
    format!("{}/{}.{}", object.kind.to_lowercase(), object.name, object.namespace)
}

/// A reason in words: `HealthCheckFailed` is `health check failed`.
pub fn reason_in_words(reason: &str) -> String {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Lower,
        Upper,
        Digit,
        Other,
    }
    let class = |c: char| match c {
        c if c.is_lowercase() => Class::Lower,
        c if c.is_uppercase() => Class::Upper,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Other,
    };
    let mut runs: Vec<(Class, String)> = Vec::new();
    for c in reason.chars() {
        match runs.last_mut() {
            Some((last, run)) if *last == class(c) => run.push(c),
            _ => runs.push((class(c), c.to_string())),
        }
    }
    for at in 1..runs.len() {
        if runs[at - 1].0 == Class::Upper
            && runs[at].0 == Class::Lower
            && let Some(letter) = runs[at - 1].1.pop()
        {
            runs[at].1.insert(0, letter);
        }
    }
    let words: Vec<String> =
        runs.into_iter().map(|(_, run)| run.to_lowercase()).filter(|run| !run.is_empty()).collect();
    words.join(" ")
}

/// The time of an event, where there must be one.
fn time(event: &Event) -> &str {
    if event.timestamp.is_empty() { NO_TIME } else { &event.timestamp }
}

/// The time of an event as Unix seconds.
fn unix_seconds(event: &Event) -> i64 {
    time(event).parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
}

/// An event as Markdown, for comments; the marker says which comment it is.
fn comment_body(event: &Event, marker: Option<&str>) -> String {
    let object = &event.involved_object;
    let mut body = marker.map(|marker| format!("<!-- {marker} -->\n\n")).unwrap_or_default();
    let emoji = if event.severity == "error" { "⚠️" } else { "ℹ️" };
    body.push_str(&format!(
        "## Flux Status\n\n{emoji} {}/{}/{}\n\n{}\n\nMetadata:\n",
        object.kind, object.namespace, object.name, event.message
    ));
    for (key, value) in event.metadata.iter().filter(|(key, _)| *key != "change_request") {
        body.push_str(&format!("* `{key}`: {value}\n"));
    }
    body
}
