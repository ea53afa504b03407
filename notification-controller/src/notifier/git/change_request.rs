//! Comments on change requests: one for each object, edited as the object goes on.

use std::num::{IntErrorKind, ParseIntError};

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::CHANGE_REQUEST;
use super::commit_status::{gitea, github, gitlab};
use crate::notifier::http::{self, Http, Request};
use crate::notifier::settings::Settings;
use crate::notifier::{Connections, Error, Message, comment_body};

/// A hosting service that has change requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forge {
    /// Pull requests of GitHub.
    Github,
    /// Merge requests of GitLab.
    Gitlab,
    /// Pull requests of Gitea and Forgejo.
    Gitea,
}

/// What the service calls things.
struct Words {
    comment: &'static str,
    marker: &'static str,
    update: Method,
}

/// A comment of the list. The services call its author by different names.
#[derive(Deserialize)]
struct Comment {
    id: u64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default, alias = "author")]
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default, alias = "username")]
    login: String,
}

/// GitLab sends both `username` and `name`; only the first is a login.
#[derive(Deserialize)]
struct WhoAmI {
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    username: Option<String>,
}

/// Writes the comment of the object that an event is about, or edits the one that is there.
pub async fn post(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
    forge: Forge,
) -> Result<(), Error> {
    if settings.uid.is_empty() {
        return Err(Error::Settings("provider UID cannot be empty".to_owned()));
    }
    let number = number(message, forge)?;
    let words = words(forge);
    let object = &message.event.involved_object;
    let marker =
        format!("{}:{}/{}/{}/{}", words.marker, settings.uid, object.kind, object.namespace, object.name);
    let body = comment_body(message.event, Some(&marker));
    let github = match forge {
        Forge::Github => Some(github::Api::new(connections, http, settings, true).await?),
        Forge::Gitlab | Forge::Gitea => None,
    };
    let calls = Calls { forge, settings, github: github.as_ref(), number: &number };

    let login = match &github {
        Some(api) if !api.login.is_empty() => api.login.clone(),
        _ => {
            let who = http.accepted(&calls.who_am_i()?).await.and_then(|answer| answer.json::<WhoAmI>());
            let who = who.map_err(|error| Error::request("failed to get authenticated user info", error))?;
            who.login.or(who.username).unwrap_or_default()
        }
    };
    let failed = |action: &str, error: http::Error| {
        Error::request(&format!("failed to {action} {}", words.comment), error)
    };
    let listed = http.accepted(&calls.list()?).await.and_then(|answer| answer.json::<Vec<Comment>>());
    let listed = listed.map_err(|error| failed("list", error).plural())?;
    let comment = format!("<!-- {marker} -->");
    let ours = listed.iter().find(|listed| {
        listed.user.as_ref().is_some_and(|user| user.login == login)
            && listed.body.as_ref().is_some_and(|body| body.contains(&comment))
    });
    let content = json!({"body": body});
    let (action, request) = match ours {
        Some(ours) => ("update", calls.update(ours.id, words.update)?),
        None => ("create", calls.create()?),
    };
    let request = request.json(&content).map_err(|error| Error::Settings(error.to_string()))?;
    http.accepted(&request).await.map(|_| ()).map_err(|error| failed(action, error))
}

/// The number of the change request; what is none is complained about in Go's words.
fn number(message: &Message<'_>, forge: Forge) -> Result<String, Error> {
    let value = message.event.metadata.get(CHANGE_REQUEST);
    let value = value.ok_or_else(|| Error::refused(format!("missing {CHANGE_REQUEST:?} metadata key")))?;
    let number: i64 = value.parse().map_err(|error: ParseIntError| {
        let function = if forge == Forge::Gitlab { "ParseInt" } else { "Atoi" };
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Error::refused(format!(
            "invalid {CHANGE_REQUEST:?} metadata value {value:?}: strconv.{function}: parsing {value:?}: {reason}"
        ))
    })?;
    Ok(number.to_string())
}

fn words(forge: Forge) -> Words {
    match forge {
        Forge::Github | Forge::Gitea => {
            Words { comment: "pull request comment", marker: "flux-pr-comment-key", update: Method::PATCH }
        }
        Forge::Gitlab => {
            Words { comment: "merge request note", marker: "flux-mr-comment-key", update: Method::PUT }
        }
    }
}

/// The calls of a service.
struct Calls<'a> {
    forge: Forge,
    settings: &'a Settings,
    github: Option<&'a github::Api>,
    number: &'a str,
}

impl Calls<'_> {
    fn who_am_i(&self) -> Result<Request, Error> {
        match (self.forge, self.github) {
            (Forge::Github, Some(api)) => api.request(Method::GET, &["user"]),
            (Forge::Gitlab, _) => gitlab::request(self.settings, Method::GET, &["user"]),
            _ => gitea::request(self.settings, Method::GET, &["user"]),
        }
    }

    /// The comments of the change request itself.
    fn comments(&self, method: Method) -> Result<Request, Error> {
        let issue = ["issues", self.number, "comments"];
        match (self.forge, self.github) {
            (Forge::Github, Some(api)) => api.in_repository(method, &issue),
            (Forge::Gitlab, _) => {
                gitlab::in_project(self.settings, method, &["merge_requests", self.number, "notes"])
            }
            _ => gitea::in_repository(self.settings, method, &issue),
        }
    }

    fn list(&self) -> Result<Request, Error> {
        let mut request = self.comments(Method::GET)?;
        let parameters: &[(&str, &str)] = match self.forge {
            Forge::Github => &[("direction", "asc"), ("per_page", "100"), ("sort", "created")],
            Forge::Gitlab => &[("order_by", "created_at"), ("per_page", "100"), ("sort", "asc")],
            Forge::Gitea => &[("limit", "100"), ("page", "1")],
        };
        request.url.query_pairs_mut().extend_pairs(parameters);
        Ok(request)
    }

    fn create(&self) -> Result<Request, Error> {
        self.comments(Method::POST)
    }

    fn update(&self, id: u64, method: Method) -> Result<Request, Error> {
        let id = id.to_string();
        let comment = ["issues", "comments", &id];
        match (self.forge, self.github) {
            (Forge::Github, Some(api)) => api.in_repository(method, &comment),
            (Forge::Gitlab, _) => {
                let note = ["merge_requests", self.number, "notes", &id];
                gitlab::in_project(self.settings, method, &note)
            }
            _ => gitea::in_repository(self.settings, method, &comment),
        }
    }
}

impl Error {
    /// The list is of several.
    fn plural(self) -> Self {
        match self {
            Self::Send { message, transient } => Self::Send {
                message: message.replacen("comment:", "comments:", 1).replacen("note:", "notes:", 1),
                transient,
            },
            other => other,
        }
    }
}
