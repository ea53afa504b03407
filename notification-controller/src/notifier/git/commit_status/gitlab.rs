//! Commit statuses of GitLab.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{State, Status, invalid, not_created};
use crate::notifier::Error;
use crate::notifier::git::Repository;
use crate::notifier::http::{Http, Request};
use crate::notifier::settings::Settings;

/// Whether the settings are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.token_or_password().is_empty() {
        return Err("gitlab token cannot be empty".to_owned());
    }
    Repository::parse(&settings.address).map(|_| ())
}

/// A request to a path of the API. The id of a project is one segment, slashes included.
pub(in crate::notifier::git) fn request(
    settings: &Settings,
    method: Method,
    path: &[&str],
) -> Result<Request, Error> {
    let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
    let mut segments = vec!["api", "v4"];
    segments.extend(path);
    Request::new(method, repository.url(segments))
        .header("Accept", "application/json")
        .and_then(|request| request.header("PRIVATE-TOKEN", settings.token_or_password()))
        .map_err(invalid)
}

/// A request to a path of the project.
pub(in crate::notifier::git) fn in_project(
    settings: &Settings,
    method: Method,
    path: &[&str],
) -> Result<Request, Error> {
    let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
    let mut segments = vec!["projects", repository.id.as_str()];
    segments.extend(path);
    let mut request = request(settings, method, &segments)?;
    // GitLab takes what follows a dot for the format of the answer.
    let path = request.url.path().splitn(6, '/').enumerate().map(|(at, segment)| match at {
        4 => segment.replace('.', "%2E"),
        _ => segment.to_owned(),
    });
    let path = path.collect::<Vec<_>>().join("/");
    request.url.set_path(&path);
    Ok(request)
}

pub(super) async fn post(http: &Http, settings: &Settings, status: &Status<'_>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        name: String,
        #[serde(default)]
        sha: String,
        #[serde(default)]
        status: String,
        #[serde(default)]
        description: Option<String>,
    }
    let state = match status.state {
        State::Success => "success",
        State::Failure => "failed",
        State::Pending => "pending",
    };
    let commit = status.commit.as_str();
    let mut list = in_project(settings, Method::GET, &["repository", "commits", commit, "statuses"])?;
    list.url.query_pairs_mut().append_pair("name", status.id);
    let listed = http.accepted(&list).await.and_then(|answer| answer.json::<Vec<Listed>>());
    let listed = listed.map_err(|error| Error::request("unable to list commit status", error))?;
    if listed.iter().any(|listed| {
        listed.name == status.id
            && listed.sha == commit
            && listed.status == state
            && listed.description.as_deref() == Some(&status.description)
    }) {
        return Ok(());
    }
    let body = json!({"state": state, "name": status.id, "description": status.description});
    let create = in_project(settings, Method::POST, &["statuses", commit])?.json(&body).map_err(invalid)?;
    http.accepted(&create).await.map(|_| ()).map_err(not_created)
}
