//! Commit statuses of Azure DevOps.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{State, Status, invalid, not_created, not_listed};
use crate::notifier::git::Repository;
use crate::notifier::http::{Http, Request};
use crate::notifier::settings::Settings;
use crate::notifier::{Connections, Error, Message, identity};

/// What tokens of Entra are for.
const SCOPE: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";
const ACCEPT: &str = "application/json;api-version=6.0";

/// Whether the settings are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    statuses(settings, "0").map(|_| ())
}

/// The statuses of a commit; the id of a repository has four parts.
fn statuses(settings: &Settings, commit: &str) -> Result<Url, String> {
    let repository = Repository::parse(&settings.address)?;
    let parts: Vec<&str> = repository.id.split('/').collect();
    match parts.as_slice() {
        [organization, project, "_git", name] => Ok(repository.url([
            organization,
            project,
            "_apis",
            "git",
            "repositories",
            name,
            "commits",
            commit,
            "statuses",
        ])),
        _ => Err(format!("invalid repository id {:?}", repository.id)),
    }
}

pub(super) async fn post(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
    status: &Status<'_>,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        value: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        context: Context,
        #[serde(default)]
        state: String,
        #[serde(default)]
        description: Option<String>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Context {
        genre: String,
        name: String,
    }
    let url = statuses(settings, &status.commit).map_err(Error::Settings)?;
    let token = if settings.token.is_empty() {
        let token = identity::azure(connections, settings, SCOPE).await;
        token.map_err(|error| Error::Send {
            message: format!("failed to acquire azure devops token: {error}"),
            transient: error.is_transient(),
        })?
    } else {
        settings.header_token().to_owned()
    };
    let authorized = |request: Request| {
        request.header("Accept", ACCEPT).and_then(|request| request.basic("", &token)).map_err(invalid)
    };
    let state = match status.state {
        State::Success => "succeeded",
        State::Failure => "error",
        State::Pending => "pending",
    };
    let genre = match message.event.metadata.get("summary") {
        Some(summary) if !summary.is_empty() => format!("fluxcd:{summary}"),
        _ => "fluxcd".to_owned(),
    };
    let list = authorized(Request::new(Method::GET, url.clone()))?;
    let listed = http.accepted(&list).await.and_then(|answer| answer.json::<List>()).map_err(not_listed)?;
    let newest = listed.value.iter().find(|listed| {
        listed.context.genre == genre
            && listed.context.name == status.id
            && !listed.state.is_empty()
            && listed.description.is_some()
    });
    if newest.is_some_and(|newest| {
        newest.state == state && newest.description.as_deref() == Some(&status.description)
    }) {
        return Ok(());
    }
    let body = json!({
        "context": {"genre": genre, "name": status.id}, "description": status.description, "state": state,
    });
    let create = Request::post_json(url, &body)
        .and_then(|create| create.header("Content-Type", "application/json;charset=utf-8"));
    let create = authorized(create.map_err(invalid)?)?;
    http.accepted(&create).await.map(|_| ()).map_err(not_created)
}
