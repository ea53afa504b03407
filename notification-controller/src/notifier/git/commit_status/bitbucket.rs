//! Build statuses of Bitbucket Cloud, and of Bitbucket Server and Data Center.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sha1::{Digest, Sha1};
use url::Url;

use super::{State, Status, invalid};
use crate::notifier::git::{Repository, decoded, with_segments};
use crate::notifier::http::{Http, Request};
use crate::notifier::settings::Settings;
use crate::notifier::{Error, Message};

/// The API of Bitbucket Cloud, which has one address.
const CLOUD: &str = "https://api.bitbucket.org/2.0/";

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    key: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    description: Option<String>,
}

/// Whether the settings of a `bitbucket` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.token.is_empty() {
        return Err("bitbucket token cannot be empty".to_owned());
    }
    credentials(settings)?;
    let repository = Repository::parse(&settings.address)?;
    match repository.owner_and_name() {
        Some(_) => Ok(()),
        None => Err(format!("invalid repository id {:?}", repository.id)),
    }
}

fn credentials(settings: &Settings) -> Result<(&str, &str), String> {
    let parts = settings.header_token().split_once(':').filter(|(_, password)| !password.contains(':'));
    parts.ok_or_else(|| "invalid token format, expected to be <user>:<password>".to_owned())
}

pub(super) async fn post(
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
    status: &Status<'_>,
) -> Result<(), Error> {
    let repository = Repository::parse(&settings.address).map_err(Error::Settings)?;
    let (owner, name) = repository
        .owner_and_name()
        .ok_or_else(|| Error::Settings(format!("invalid repository id {:?}", repository.id)))?;
    let (user, password) = credentials(settings).map_err(Error::Settings)?;
    let base = Url::parse(CLOUD).map_err(|error| Error::Settings(error.to_string()))?;
    let statuses = ["repositories", owner, name, "commit", &status.commit, "statuses", "build"];
    let statuses = with_segments(&base, statuses);
    let key = key(status);
    let get = Request::new(Method::GET, with_segments(&statuses, [key.as_str()]));
    let get = get.basic(user, password).map_err(invalid)?;
    let not_read = |error| Error::request("could not get commit status", error);
    let answer = http.send(&get).await.map_err(not_read)?;
    if answer.status != StatusCode::NOT_FOUND {
        let known: Known = answer.success().and_then(|answer| answer.json()).map_err(not_read)?;
        if known.state == state(status.state) && known.description.as_deref() == Some(&status.description) {
            return Ok(());
        }
    }
    let body = json!({
        "key": key,
        "state": state(status.state),
        "name": object(message),
        "url": "https://bitbucket.org",
        "description": status.description,
    });
    let create = Request::post_json(statuses, &body).and_then(|create| create.basic(user, password));
    let sent = http.accepted(&create.map_err(invalid)?).await;
    sent.map(|_| ()).map_err(|error| Error::request("could not create commit status", error))
}

/// Where a repository of a Bitbucket Server is.
struct Server {
    base: Url,
    project: String,
    repository: String,
}

/// Whether the settings of a `bitbucketserver` provider are complete.
pub fn check_server(settings: &Settings) -> Result<(), String> {
    let has_basic = !settings.username.is_empty() && !settings.password.is_empty();
    if settings.token.is_empty() && !has_basic {
        return Err("invalid credentials, expected to be one of username/password or API Token".to_owned());
    }
    server(&settings.address).map(|_| ())
}

fn server(address: &str) -> Result<Server, String> {
    let failed = |reason: &str| format!("could not parse git address: {reason}");
    let mut base = Url::parse(address).map_err(|error| failed(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") {
        let scheme = base.scheme();
        return Err(failed(&format!("unsupported scheme type in address: {scheme}. Must be http or https")));
    }
    let path = decoded(base.path());
    let (context, id) = path
        .rsplit_once("/scm/")
        .ok_or_else(|| failed("supplied provider address is not http(s) git clone url"))?;
    let id = id.strip_suffix(".git").unwrap_or(id);
    let (project, repository) = id
        .split_once('/')
        .filter(|(project, name)| !project.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| failed(&format!("invalid repository id {id:?}")))?;
    base.set_path(context);
    base.set_query(None);
    let no_host = |()| failed("it has no host");
    base.set_username("").map_err(no_host)?;
    base.set_password(None).map_err(no_host)?;
    Ok(Server { base, project: project.to_owned(), repository: repository.to_owned() })
}

pub(super) async fn post_to_server(
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
    status: &Status<'_>,
) -> Result<(), Error> {
    let server = server(&settings.address).map_err(Error::Settings)?;
    let builds = [
        "rest",
        "api",
        "latest",
        "projects",
        &server.project,
        "repos",
        &server.repository,
        "commits",
        &status.commit,
        "builds",
    ];
    let builds = with_segments(&server.base, builds);
    let authorized = |request: Request| {
        let request = request
            .header("x-atlassian-token", "no-check")
            .and_then(|request| request.header("x-requested-with", "XMLHttpRequest"))?;
        if settings.token.is_empty() {
            request.basic(&settings.username, &settings.password)
        } else {
            request.authorization("Bearer", settings.header_token())
        }
    };
    let key = key(status);
    let name = format!("{} [{}]", object(message), status.description);
    let mut get = Request::new(Method::GET, builds.clone());
    get.url.query_pairs_mut().append_pair("key", &key);
    let not_read = |error| Error::request("could not get existing commit status", error);
    let answer = http.send(&authorized(get).map_err(invalid)?).await.map_err(not_read)?;
    if answer.status != StatusCode::NOT_FOUND {
        let known: Known = answer.success().and_then(|answer| answer.json()).map_err(not_read)?;
        if known.key == key
            && known.state == state(status.state)
            && known.description.as_deref() == Some(&status.description)
            && known.name == name
        {
            return Ok(());
        }
    }
    let mut body = json!({"key": key, "name": name, "state": state(status.state), "url": settings.address});
    if !status.description.is_empty() {
        body["description"] = status.description.as_str().into();
    }
    let create = Request::post_json(builds, &body).and_then(authorized).map_err(invalid)?;
    let sent = http.accepted(&create).await;
    sent.map(|_| ()).map_err(|error| Error::request("could not post build status", error))
}

/// A digest, because keys have a limit of 40 characters.
fn key(status: &Status<'_>) -> String {
    hex::encode(Sha1::digest(status.id.as_bytes()))
}

fn state(state: State) -> &'static str {
    match state {
        State::Success => "SUCCESSFUL",
        State::Failure => "FAILED",
        State::Pending => "INPROGRESS",
    }
}

fn object(message: &Message<'_>) -> String {
    let object = &message.event.involved_object;
    format!("{}/{}", object.kind, object.name).to_lowercase()
}
