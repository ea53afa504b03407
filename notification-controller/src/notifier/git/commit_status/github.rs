//! Commit statuses and repository dispatches of GitHub.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{State, Status, invalid, not_created, not_listed};
use crate::notifier::git::{Repository, github_app, with_segments};
use crate::notifier::http::{Http, Request};
use crate::notifier::settings::Settings;
use crate::notifier::{Connections, Error, Message, object_name};

const ACCEPT: &str = "application/vnd.github.v3+json";
const API_VERSION: &str = "2022-11-28";

/// The API of a repository, and who asks.
pub(in crate::notifier::git) struct Api {
    base: Url,
    owner: String,
    name: String,
    token: String,
    /// The login of the GitHub App, if it was wanted; empty for a token of a user.
    pub(in crate::notifier::git) login: String,
}

/// Whether the settings are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.token_or_password().is_empty() && settings.github_app.is_none() {
        return Err("github token or github app details must be specified".to_owned());
    }
    let repository = Repository::parse(&settings.address)?;
    match repository.owner_and_name() {
        Some(_) => Ok(()),
        None => Err(format!("invalid repository id: '{}'", repository.id)),
    }
}

impl Api {
    /// The API of the repository that the settings name.
    pub(in crate::notifier::git) async fn new(
        connections: &Connections,
        http: &Http,
        settings: &Settings,
        with_login: bool,
    ) -> Result<Self, Error> {
        let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
        let (owner, name) = repository
            .owner_and_name()
            .ok_or_else(|| Error::Settings(format!("invalid repository id: '{}'", repository.id)))?;
        let base = match repository.host.host_str() {
            Some("github.com") => Url::parse("https://api.github.com/"),
            _ => repository.host.join("/api/v3/"),
        };
        let base = base.map_err(|error| Error::Settings(error.to_string()))?;
        let (token, login) = match (&settings.github_app, settings.token_or_password()) {
            (Some(app), "") => github_app::token(connections, http, settings, app, &base, with_login).await?,
            (_, token) => (token.to_owned(), String::new()),
        };
        Ok(Self { base, owner: owner.to_owned(), name: name.to_owned(), token, login })
    }

    /// A request to a path of the API.
    pub(in crate::notifier::git) fn request(&self, method: Method, path: &[&str]) -> Result<Request, Error> {
        Request::new(method, with_segments(&self.base, path.iter().copied()))
            .header("Accept", ACCEPT)
            .and_then(|request| request.header("X-GitHub-Api-Version", API_VERSION))
            .and_then(|request| request.authorization("Bearer", &self.token))
            .map_err(invalid)
    }

    /// A request to a path of the repository.
    pub(in crate::notifier::git) fn in_repository(
        &self,
        method: Method,
        path: &[&str],
    ) -> Result<Request, Error> {
        let mut segments = vec!["repos", &self.owner, &self.name];
        segments.extend(path);
        self.request(method, &segments)
    }
}

pub(super) async fn post(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    status: &Status<'_>,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        context: Option<String>,
        #[serde(default)]
        state: Option<String>,
        #[serde(default)]
        description: Option<String>,
    }
    let api = Api::new(connections, http, settings, false).await?;
    let state = match status.state {
        State::Success => "success",
        State::Failure => "failure",
        State::Pending => "pending",
    };
    let mut list = api.in_repository(Method::GET, &["commits", &status.commit, "statuses"])?;
    list.url.query_pairs_mut().append_pair("per_page", "50");
    let listed = http.accepted(&list).await.and_then(|answer| answer.json::<Vec<Listed>>());
    let newest = listed.map_err(not_listed)?;
    let newest =
        newest.iter().find_map(|listed| match (&listed.context, &listed.state, &listed.description) {
            (Some(context), Some(state), Some(description)) if context == status.id => {
                Some((state, description))
            }
            _ => None,
        });
    if newest.is_some_and(|(known, description)| known == state && *description == status.description) {
        return Ok(());
    }
    let body = json!({"state": state, "description": status.description, "context": status.id});
    let create =
        api.in_repository(Method::POST, &["statuses", &status.commit])?.json(&body).map_err(invalid)?;
    http.accepted(&create).await.map(|_| ()).map_err(not_created)
}

/// Starts the workflows of a repository with the event.
pub async fn dispatch(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
) -> Result<(), Error> {
    let api = Api::new(connections, http, settings, false).await?;
    let name = object_name(message.event);
    let kind = &message.event.involved_object.kind;
    let event_type = format!("{kind}{}", &name[name.find('/').unwrap_or(0)..]);
    let body = json!({"event_type": event_type, "client_payload": message.event});
    let request = api.in_repository(Method::POST, &["dispatches"])?.json(&body).map_err(invalid)?;
    let sent = http.accepted(&request).await;
    sent.map(|_| ())
        .map_err(|error| Error::request("could not send github repository dispatch webhook", error))
}
