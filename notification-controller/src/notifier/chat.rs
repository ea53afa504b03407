//! Chat services with messages of their own: Microsoft Teams, Google Chat, Webex, Telegram, Lark,
//! Matrix, Zulip and Zoom.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use url::Url;

use super::http::Request;
use super::settings::Settings;
use super::{Message, Requests, comment_body, go_json, hook_url, object_name};

/// Connectors, which Teams calls legacy, have addresses below this one.
const TEAMS_CONNECTOR: &str = ".webhook.office.com";

/// Whether the settings of an `msteams` provider are complete.
pub fn check_teams(settings: &Settings) -> Result<(), String> {
    url(settings, "MS Teams webhook").map(|_| ())
}

/// A card for Microsoft Teams.
pub fn teams(settings: &Settings, message: &Message<'_>) -> Requests {
    let url = url(settings, "MS Teams webhook")?;
    let is_connector = url.host_str().is_some_and(|host| host.ends_with(TEAMS_CONNECTOR));
    let card = if is_connector { connector_card(message) } else { adaptive_card(message) };
    Ok(vec![message.webhook(settings, url, &card)?])
}

fn connector_card(message: &Message<'_>) -> Value {
    let (event, name) = (message.event, object_name(message.event));
    let facts: Vec<Value> =
        event.metadata.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let section = json!({"activityTitle": event.message, "activitySubtitle": name, "facts": facts});
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": if message.is_error() { "FF0000" } else { "0076D7" },
        "summary": name,
        "sections": [section],
    })
}

fn adaptive_card(message: &Message<'_>) -> Value {
    let event = message.event;
    let mut text = json!({"type": "TextBlock", "wrap": true});
    if !event.message.is_empty() {
        text["text"] = event.message.as_str().into();
    }
    if message.is_error() {
        text["color"] = "attention".into();
    }
    let mut facts: Vec<(&String, &String)> = event.metadata.iter().collect();
    facts.sort_by_key(|(key, _)| (*key != "summary", *key));
    let facts: Vec<Value> =
        facts.into_iter().map(|(title, value)| json!({"title": title, "value": value})).collect();
    let mut set = json!({"type": "FactSet"});
    if !facts.is_empty() {
        set["facts"] = facts.into();
    }
    let title = json!({
        "type": "TextBlock", "text": object_name(event), "size": "large", "weight": "bolder", "wrap": true,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [{"type": "Container", "items": [title, text, set]}],
                "msteams": {"width": "Full"},
            },
        }],
    })
}

/// Whether the settings of a `googlechat` provider are complete.
pub fn check_google_chat(settings: &Settings) -> Result<(), String> {
    hook_url(&settings.address)
        .map(|_| ())
        .map_err(|_| format!("invalid Google Chat hook URL {}", settings.address))
}

/// A card for Google Chat. What is absent is an explicit null, as Flux sends it.
pub fn google_chat(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let text = if message.is_error() {
        format!("<font color=\"#ff0000\">{}</font>", event.message)
    } else {
        event.message.clone()
    };
    let mut sections =
        vec![json!({"header": "", "widgets": [{"textParagraph": {"text": text}, "keyValue": null}]})];
    let pair = |(key, value): (&String, &String)| {
        json!({"textParagraph": null, "keyValue": {
            "topLabel": key, "content": value, "contentMultiline": false, "bottomLabel": null, "icon": null,
        }})
    };
    let pairs: Vec<Value> = event.metadata.iter().map(pair).collect();
    if !pairs.is_empty() {
        sections.push(json!({"header": "", "widgets": pairs}));
    }
    let header = json!({
        "title": object_name(event), "subtitle": event.reporting_controller, "imageUrl": null, "imageStyle": null,
    });
    let card = json!({"cards": [{"header": header, "sections": sections}]});
    Ok(vec![message.webhook(settings, url(settings, "Google Chat hook")?, &card)?])
}

/// Whether the settings of a `webex` provider are complete.
pub fn check_webex(settings: &Settings) -> Result<(), String> {
    url(settings, "Webex hook").map(|_| ())
}

/// A message for Webex.
pub fn webex(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let emoji = if message.is_error() { "💣" } else { "✅" };
    let mut markdown = format!("{emoji} **{}**\n{}\n", object_name(event), event.message);
    for (key, value) in &event.metadata {
        markdown.push_str(&format!(">**{key}**: {value}\n"));
    }
    let mut body = json!({"markdown": markdown});
    if !settings.channel.is_empty() {
        body["roomId"] = settings.channel.as_str().into();
    }
    let request = message.webhook(settings, url(settings, "Webex hook")?, &body)?;
    Ok(vec![bearer(request, settings)?])
}

/// Whether the settings of a `telegram` provider are complete.
pub fn check_telegram(settings: &Settings) -> Result<(), String> {
    if settings.channel.is_empty() {
        return Err("empty Telegram channel".to_owned());
    }
    if settings.token.is_empty() { Err("empty Telegram token".to_owned()) } else { Ok(()) }
}

/// A message for Telegram, whose address is always the same.
pub fn telegram(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let object = &event.involved_object;
    let emoji = emoji(message);
    let heading = format!("{emoji} {}/{}/{}", object.kind.to_lowercase(), object.name, object.namespace);
    let mut text = format!("*{}*\n{}\n", escape(&heading), escape(&event.message));
    for (key, value) in &event.metadata {
        text.push_str(&format!("\\- *{}*: {}\n", escape(key), escape(value)));
    }
    let (chat, thread) = settings.channel.split_once(':').unwrap_or((&settings.channel, ""));
    let mut body = json!({"chat_id": chat, "text": text, "parse_mode": "MarkdownV2"});
    if !thread.is_empty() {
        body["message_thread_id"] = thread.into();
    }
    let address = format!("https://api.telegram.org/bot{}/sendMessage", settings.header_token());
    let url = Url::parse(&address).map_err(|_| "failed to construct API URL".to_owned())?;
    Ok(vec![message.webhook(settings, url, &body)?])
}

/// Escapes what means something in Telegram's MarkdownV2.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.-_[]()~>`#+=|{}!*".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Whether the settings of a `lark` provider are complete.
pub fn check_lark(settings: &Settings) -> Result<(), String> {
    hook_url(&settings.address).map(|_| ()).map_err(|_| format!("invalid Lark hook URL {}", settings.address))
}

/// A card for Lark.
pub fn lark(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let mut content = format!("**{}**\n\n", event.message);
    for (key, value) in &event.metadata {
        content.push_str(&format!("{key}: {value}\n"));
    }
    let title = format!("{} {}", emoji(message), object_name(event));
    let card = json!({
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": true},
            "header": {
                "title": {"tag": "plain_text", "content": title},
                "template": if message.is_error() { "red" } else { "turquoise" },
            },
            "elements": [{"tag": "div", "text": {"tag": "lark_md", "content": content}}],
        },
    });
    Ok(vec![message.webhook(settings, url(settings, "Lark hook")?, &card)?])
}

/// Whether the settings of a `matrix` provider are complete.
pub fn check_matrix(settings: &Settings) -> Result<(), String> {
    url(settings, "Matrix homeserver").map(|_| ())
}

/// A message for Matrix. The transaction id makes a retry the same message.
pub fn matrix(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let mut text = format!("{} {}\n{}\n", emoji(message), object_name(event), event.message);
    for (key, value) in &event.metadata {
        text.push_str(&format!("- {key}: {value}\n"));
    }
    let event_json =
        go_json::to_vec(event).map_err(|error| format!("unable to generate unique tx id: {error}"))?;
    let transaction = hex::encode(Sha1::digest(&event_json));
    let mut url = url(settings, "Matrix homeserver")?;
    url.path_segments_mut()
        .map_err(|()| format!("invalid Matrix homeserver URL {}", settings.address))?
        .pop_if_empty()
        .extend([
            "_matrix",
            "client",
            "r0",
            "rooms",
            &settings.channel,
            "send",
            "m.room.message",
            &transaction,
        ]);
    let mut request = message.webhook(settings, url, &json!({"body": text, "msgtype": "m.text"}))?;
    request.method = Method::PUT;
    Ok(vec![bearer(request, settings)?])
}

/// Whether the settings of a `zulip` provider are complete.
pub fn check_zulip(settings: &Settings) -> Result<(), String> {
    zulip_url(settings)?;
    zulip_topic(settings).map(|_| ())
}

/// A message for Zulip.
pub fn zulip(settings: &Settings, message: &Message<'_>) -> Requests {
    let (channel, topic) = zulip_topic(settings)?;
    let content = comment_body(message.event, None);
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("content", &content)
        .append_pair("to", channel)
        .append_pair("topic", topic)
        .append_pair("type", "stream")
        .finish()
        // As Go encodes forms.
        .replace('*', "%2A")
        .replace("%7E", "~");
    let mut request = message.webhook(settings, zulip_url(settings)?, &Value::Null)?;
    request.body = form.into_bytes();
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if settings.username.is_empty() && settings.password.is_empty() {
        return Ok(vec![request]);
    }
    let request = request.basic(&settings.username, &settings.password);
    Ok(vec![request.map_err(|error| error.to_string())?])
}

fn zulip_url(settings: &Settings) -> Result<Url, String> {
    let mut url =
        hook_url(&settings.address).map_err(|reason| format!("invalid Zulip endpoint URL: {reason}"))?;
    url.set_path("/api/v1/messages");
    Ok(url)
}

fn zulip_topic(settings: &Settings) -> Result<(&str, &str), String> {
    let parts = settings.channel.split_once('/');
    parts.filter(|(channel, topic)| !channel.is_empty() && !topic.is_empty()).ok_or_else(|| {
        format!("invalid Zulip channel format, expected <channel>/<topic>, got '{}'", settings.channel)
    })
}

/// Whether the settings of a `zoom` provider are complete.
pub fn check_zoom(settings: &Settings) -> Result<(), String> {
    url(settings, "Zoom hook")?;
    if settings.token.is_empty() { Err("empty Zoom verification token".to_owned()) } else { Ok(()) }
}

/// A message for Zoom.
pub fn zoom(settings: &Settings, message: &Message<'_>) -> Requests {
    let event = message.event;
    let mut url = url(settings, "Zoom hook")?;
    if !url.query_pairs().any(|(key, _)| key == "format") {
        url.query_pairs_mut().append_pair("format", "full");
    }
    let mut body = vec![json!({"type": "message", "text": event.message})];
    let items: Vec<Value> =
        event.metadata.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    if !items.is_empty() {
        body.push(json!({"type": "fields", "items": items}));
    }
    let head = json!({"text": object_name(event), "sub_head": {"text": event.severity}});
    let request = message.webhook(settings, url, &json!({"content": {"head": head, "body": body}}))?;
    let request = request.header("Authorization", settings.header_token());
    Ok(vec![request.map_err(|error| error.to_string())?])
}

fn url(settings: &Settings, what: &str) -> Result<Url, String> {
    hook_url(&settings.address)
        .map_err(|reason| format!("invalid {what} URL {}: '{reason}'", settings.address))
}

fn bearer(request: Request, settings: &Settings) -> Result<Request, String> {
    request.authorization("Bearer", settings.header_token()).map_err(|error| error.to_string())
}

fn emoji(message: &Message<'_>) -> &'static str {
    if message.is_error() { "🚨" } else { "💫" }
}
