//! Azure Event Hubs: the event, sent by the HTTPS API of the hub.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use ring::hmac;
use url::Url;

use super::git::with_segments;
use super::http::{Http, Request};
use super::settings::Settings;
use super::{Connections, Error, Message, go_json, identity};

/// What tokens are for; the double slash is how the service is called.
const SCOPE: &str = "https://eventhubs.azure.net//.default";
/// How long a signature is good for.
const SIGNATURE_LIFE: i64 = 3600;

/// A connection string with a key.
#[derive(Debug, PartialEq, Eq)]
struct Shared<'a> {
    host: &'a str,
    hub: &'a str,
    key_name: &'a str,
    key: &'a str,
}

/// Whether the settings of an `azureeventhub` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    let invalid = |reason: &str| Err(format!("invalid authentication options: {reason}"));
    let has_account = !settings.service_account.is_empty();
    let has_token = !settings.token.is_empty();
    if settings.address.is_empty() {
        return invalid("endpoint URL cannot be empty");
    }
    if is_shared(settings) {
        if has_account {
            return invalid("serviceAccountName and SAS authentication cannot be set at the same time");
        }
        if has_token {
            return invalid("jwt token and SAS authentication cannot be set at the same time");
        }
        return shared(&settings.address)
            .map(|_| ())
            .map_err(|reason| format!("failed to create a eventhub using SAS: {reason}"));
    }
    if has_account && has_token {
        return invalid("serviceAccountName and jwt token authentication cannot be set at the same time");
    }
    if settings.channel.is_empty() {
        return Err("the namespace of the event hub (channel) cannot be empty".to_owned());
    }
    Ok(())
}

/// Sends the event.
pub async fn publish(
    connections: &Connections,
    http: &Http,
    settings: &Settings,
    message: &Message<'_>,
) -> Result<(), Error> {
    let invalid = |error: super::http::Error| Error::Settings(error.to_string());
    let (url, authorization) = if is_shared(settings) {
        let shared = shared(&settings.address).map_err(Error::Settings)?;
        let url = messages(shared.host, shared.hub)?;
        let expires = Timestamp::now().as_second() + SIGNATURE_LIFE;
        (url, signature(&shared, expires))
    } else {
        let url = messages(&qualified(&settings.channel), &settings.address)?;
        let token = if settings.token.is_empty() {
            let token = identity::azure(connections, settings, SCOPE).await;
            token.map_err(|error| Error::Send {
                message: format!("failed to send msg: {error}"),
                transient: error.is_transient(),
            })?
        } else {
            tracing::info!(
                provider = %format_args!("{}/{}", settings.namespace, settings.name),
                "warning: a static token for Azure Event Hubs is deprecated, use workload identity instead"
            );
            settings.header_token().to_owned()
        };
        (url, format!("Bearer {token}"))
    };
    let mut request = Request::new(Method::POST, url);
    request.body = go_json::to_vec(message.event)
        .map_err(|error| Error::refused(format!("unable to marshall event: {error}")))?;
    let request = request
        .header("Content-Type", "application/json")
        .and_then(|request| request.header("Authorization", &authorization))
        .map_err(invalid)?;
    http.accepted(&request).await.map(|_| ()).map_err(|error| Error::request("failed to send msg", error))
}

fn is_shared(settings: &Settings) -> bool {
    settings.address.contains("SharedAccessKey")
}

fn shared(address: &str) -> Result<Shared<'_>, String> {
    let part = |name: &str| {
        let parts = address.split(';').filter_map(|part| part.split_once('='));
        let found = parts.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        found.filter(|value| !value.is_empty())
    };
    let missing = |name: &str| format!("the connection string has no {name}");
    let endpoint = part("Endpoint").ok_or_else(|| missing("Endpoint"))?;
    let host = endpoint.strip_prefix("sb://").unwrap_or(endpoint).trim_end_matches('/');
    Ok(Shared {
        host,
        hub: part("EntityPath").ok_or_else(|| missing("EntityPath"))?,
        key_name: part("SharedAccessKeyName").ok_or_else(|| missing("SharedAccessKeyName"))?,
        key: part("SharedAccessKey").ok_or_else(|| missing("SharedAccessKey"))?,
    })
}

fn signature(shared: &Shared<'_>, expires: i64) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let resource = encode(&format!("https://{}/{}", shared.host, shared.hub));
    let key = hmac::Key::new(hmac::HMAC_SHA256, shared.key.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, format!("{resource}\n{expires}").as_bytes()));
    format!(
        "SharedAccessSignature sr={resource}&sig={}&se={expires}&skn={}",
        encode(&signature),
        encode(shared.key_name)
    )
}

/// The host of a namespace, in the cloud that this pod runs in.
fn qualified(namespace: &str) -> String {
    if namespace.contains(".servicebus.") {
        return namespace.to_owned();
    }
    let authority = std::env::var("AZURE_AUTHORITY_HOST").unwrap_or_default();
    let suffix = if authority.contains("chinacloudapi.cn") {
        "servicebus.chinacloudapi.cn"
    } else if authority.contains("microsoftonline.us") {
        "servicebus.usgovcloudapi.net"
    } else {
        "servicebus.windows.net"
    };
    format!("{namespace}.{suffix}")
}

fn messages(host: &str, hub: &str) -> Result<Url, Error> {
    let base = Url::parse(&format!("https://{host}/"))
        .map_err(|_| Error::Settings("the namespace of the event hub is no host name".to_owned()))?;
    Ok(with_segments(&base, [hub, "messages"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_signed() {
        let text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a2V5==;EntityPath=hub";
        let shared = shared(text).unwrap();
        assert_eq!((shared.host, shared.hub, shared.key), ("ns.servicebus.windows.net", "hub", "a2V5=="));
        let signed = signature(&shared, 1_700_000_000);
        assert!(
            signed.starts_with("SharedAccessSignature sr=https%3A%2F%2Fns.servicebus.windows.net%2Fhub&sig=")
        );
        assert!(signed.ends_with("&se=1700000000&skn=send"));
        assert!(super::shared("Endpoint=sb://x;SharedAccessKeyName=a;SharedAccessKey=b").is_err());
        assert_eq!(messages("h", "a b").unwrap().as_str(), "https://h/a%20b/messages");
    }
}
