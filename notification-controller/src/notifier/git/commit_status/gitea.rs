//! Commit statuses of Gitea and Forgejo.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{State, Status, invalid, not_created, not_listed};
use crate::notifier::Error;
use crate::notifier::git::Repository;
use crate::notifier::http::{Http, Request};
use crate::notifier::settings::Settings;

/// Whether the settings are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.token_or_password().is_empty() {
        return Err("gitea token cannot be empty".to_owned());
    }
    let repository =
        Repository::parse(&settings.address).map_err(|error| format!("failed parsing host: {error}"))?;
    match repository.owner_and_name() {
        Some(_) => Ok(()),
        None => Err(format!("invalid repository id {:?}", repository.id)),
    }
}

/// A request to a path of the API.
pub(in crate::notifier::git) fn request(
    settings: &Settings,
    method: Method,
    path: &[&str],
) -> Result<Request, Error> {
    let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
    let mut segments = vec!["api", "v1"];
    segments.extend(path);
    let request = Request::new(method, repository.url(segments));
    request.authorization("token", settings.token_or_password()).map_err(invalid)
}

/// A request to a path of the repository.
pub(in crate::notifier::git) fn in_repository(
    settings: &Settings,
    method: Method,
    path: &[&str],
) -> Result<Request, Error> {
    let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
    let (owner, name) = repository
        .owner_and_name()
        .ok_or_else(|| Error::Settings(format!("invalid repository id {:?}", repository.id)))?;
    let mut segments = vec!["repos", owner, name];
    segments.extend(path);
    request(settings, method, &segments)
}

pub(super) async fn post(http: &Http, settings: &Settings, status: &Status<'_>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        context: String,
        #[serde(default)]
        status: String,
        #[serde(default)]
        description: Option<String>,
    }
    let state = match status.state {
        State::Success => "success",
        State::Failure => "failure",
        State::Pending => "pending",
    };
    let mut list = in_repository(settings, Method::GET, &["commits", &status.commit, "statuses"])?;
    list.url.query_pairs_mut().append_pair("limit", "50").append_pair("page", "1");
    let listed = http.accepted(&list).await.and_then(|answer| answer.json::<Vec<Listed>>());
    let listed = listed.map_err(not_listed)?;
    let newest = listed.iter().find(|listed| {
        listed.context == status.id
            && !listed.status.is_empty()
            && listed.description.as_ref().is_some_and(|text| !text.is_empty())
    });
    if newest.is_some_and(|newest| {
        newest.status == state && newest.description.as_ref() == Some(&status.description)
    }) {
        return Ok(());
    }
    let body = json!({
        "state": state, "target_url": "", "description": status.description, "context": status.id,
    });
    let create = in_repository(settings, Method::POST, &["statuses", &status.commit])?;
    let create = create.json(&body).map_err(invalid)?;
    http.accepted(&create).await.map(|_| ()).map_err(not_created)
}
