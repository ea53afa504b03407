//! Slack, and the services that understand Slack's messages: Discord and Rocket.Chat.

use serde::{Deserialize, Serialize};
use url::Url;

use super::http::{Answer, Request};
use super::settings::Settings;
use super::{Message, Requests, hook_url, object_name};

/// Slack's own API answers every call with 200 and says in the body what came of it.
const POST_MESSAGE: &str = "https://slack.com/api/chat.postMessage";

#[derive(Serialize)]
struct Payload<'a> {
    channel: &'a str,
    username: &'a str,
    icon_url: &'a str,
    icon_emoji: &'a str,
    attachments: [Attachment<'a>; 1],
}

#[derive(Serialize)]
struct Attachment<'a> {
    fallback: String,
    color: &'a str,
    author_name: String,
    text: &'a str,
    mrkdwn_in: [&'a str; 1],
    fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct Field<'a> {
    title: &'a str,
    value: &'a str,
    short: bool,
}

/// What differs between the services.
struct Dialect {
    good: &'static str,
    danger: &'static str,
    fallback: bool,
    channel: bool,
    default_username: bool,
}

const SLACK: Dialect =
    Dialect { good: "good", danger: "danger", fallback: true, channel: true, default_username: true };
const DISCORD: Dialect = Dialect { fallback: false, channel: false, ..SLACK };
const ROCKET: Dialect =
    Dialect { good: "#0076D7", danger: "#FF0000", fallback: false, channel: true, default_username: false };

/// Whether the settings of a `slack` provider are complete.
pub fn check_slack(settings: &Settings) -> Result<(), String> {
    url(settings, "Slack").map(|_| ())
}

/// Whether the settings of a `discord` provider are complete.
pub fn check_discord(settings: &Settings) -> Result<(), String> {
    url(settings, "Discord").map(|_| ())
}

/// Whether the settings of a `rocket` provider are complete.
pub fn check_rocket(settings: &Settings) -> Result<(), String> {
    url(settings, "Rocket").map(|_| ())
}

/// A message for Slack.
pub fn slack(settings: &Settings, message: &Message<'_>) -> Requests {
    let mut request = request(settings, message, url(settings, "Slack")?, &SLACK)?;
    if !settings.token.is_empty() {
        let bearer = request.authorization("Bearer", settings.header_token());
        request = bearer.map_err(|error| error.to_string())?;
    }
    Ok(vec![request])
}

/// A message for Discord, which understands Slack's under a path of its own.
pub fn discord(settings: &Settings, message: &Message<'_>) -> Requests {
    let mut url = url(settings, "Discord")?;
    if !url.path().ends_with("/slack") {
        let path = format!("{}/slack", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(vec![request(settings, message, url, &DISCORD)?])
}

/// A message for Rocket.Chat.
pub fn rocket(settings: &Settings, message: &Message<'_>) -> Requests {
    Ok(vec![request(settings, message, url(settings, "Rocket")?, &ROCKET)?])
}

/// What Slack's own API says came of it.
pub fn judge(settings: &Settings, answer: Answer) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        ok: bool,
        #[serde(default)]
        error: String,
    }
    if settings.address != POST_MESSAGE {
        return answer.success().map(|_| ()).map_err(|error| format!("request failed: {error}"));
    }
    let verdict: Verdict = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("request failed: unable to unmarshal response body: {error}"))?;
    if verdict.ok {
        Ok(())
    } else {
        Err(format!("request failed: Slack responded with error: {}", verdict.error))
    }
}

fn url(settings: &Settings, service: &str) -> Result<Url, String> {
    hook_url(&settings.address)
        .map_err(|reason| format!("invalid {service} hook URL {}: '{reason}'", settings.address))
}

fn request(
    settings: &Settings,
    message: &Message<'_>,
    url: Url,
    dialect: &Dialect,
) -> Result<Request, String> {
    let event = message.event;
    let name = object_name(event);
    let first_line = event.message.split('\n').next().unwrap_or_default();
    let username = match settings.username.as_str() {
        "" if dialect.default_username => &event.reporting_controller,
        username => username,
    };
    let payload = Payload {
        channel: if dialect.channel { &settings.channel } else { "" },
        username,
        icon_url: "",
        icon_emoji: "",
        attachments: [Attachment {
            fallback: if dialect.fallback { format!("{name}: {first_line}") } else { String::new() },
            color: if message.is_error() { dialect.danger } else { dialect.good },
            author_name: name,
            text: &event.message,
            mrkdwn_in: ["text"],
            fields: event
                .metadata
                .iter()
                .map(|(title, value)| Field { title, value, short: false })
                .collect(),
        }],
    };
    message.webhook(settings, url, &payload)
}
