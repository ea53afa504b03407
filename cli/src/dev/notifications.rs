//! Notifications in and out of `fluxide dev`: the messages of the example's Alert are printed where
//! the user watches, and a push calls the example's Receiver, as a Git host does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fluxide_notification_controller::receiver::webhook_path;
use kube::Client;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::cluster::FLUX_SYSTEM;

/// The Secret with the address of the example's Provider.
pub const MESSAGES_SECRET: &str = "messages";

/// The Secret with the token of the example's Receiver.
pub const WEBHOOK_SECRET: &str = "webhook-token";

/// The name of the example's Receiver.
const RECEIVER: &str = "fleet";

/// How many messages wait to be printed; more are refused, and the controller tries them again.
const WAITING: usize = 1000;

/// How long a call of the Receiver may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A message as a chat would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The object it is about: `kustomization/apps.flux-system`.
    pub about: String,
    /// What happened.
    pub text: String,
    /// Whether it is bad news.
    pub is_bad: bool,
}

/// An endpoint on loopback that takes Slack messages.
pub struct Messages {
    address: SocketAddr,
    received: mpsc::Receiver<Message>,
    task: JoinHandle<()>,
}

/// The part of a Slack message that is shown.
#[derive(Deserialize)]
struct Payload {
    attachments: Vec<Attachment>,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(default)]
    author_name: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    color: String,
}

impl Messages {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::channel(WAITING);
        let app = axum::Router::new().route("/", axum::routing::post(receive)).with_state(sender);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the endpoint for messages stopped");
            }
        });
        Ok(Self { address, received, task })
    }

    /// What a Provider must have as its address.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for the next message.
    pub async fn next(&mut self) -> Message {
        match self.received.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(sender): State<mpsc::Sender<Message>>, Json(payload): Json<Payload>) -> StatusCode {
    for attachment in payload.attachments {
        let is_bad = attachment.color == "danger";
        let message = Message { about: attachment.author_name, text: attachment.text, is_bad };
        if sender.try_send(message).is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    StatusCode::OK
}

/// Calls the example's Receiver.
#[derive(Clone)]
pub struct Webhook {
    url: String,
    token: String,
    client: reqwest::Client,
}

impl Webhook {
    /// A new token, and the path that follows from it below `server`, the address that webhooks call.
    pub fn new(server: &str) -> anyhow::Result<Self> {
        let mut bytes = [0; 20];
        SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers to be had"))?;
        let token = hex::encode(bytes);
        let url = format!("{server}{}", webhook_path(&token, RECEIVER, FLUX_SYSTEM));
        let client = reqwest::Client::builder().timeout(CALL_TIMEOUT).build()?;
        Ok(Self { url, token, client })
    }

    /// Tells that a branch was pushed, signed as GitHub does. Returns how long the answer took.
    pub async fn call(&self, branch: &str) -> anyhow::Result<Duration> {
        let body =
            json!({"ref": format!("refs/heads/{branch}"), "repository": {"name": RECEIVER}}).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.token.as_bytes());
        let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
        let started = Instant::now();
        let answer = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("X-GitHub-Event", "push")
            .header("X-Hub-Signature-256", format!("sha256={signature}"))
            .body(body)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        match answer.status() {
            status if status.is_success() => Ok(started.elapsed()),
            StatusCode::NOT_FOUND => bail!("there is no Receiver {FLUX_SYSTEM}/{RECEIVER} with its token"),
            status => bail!("the Receiver {FLUX_SYSTEM}/{RECEIVER} answered {status}"),
        }
    }
}

/// Creates the Secrets that the example's Provider and Receiver name: they are not for Git.
pub async fn create_secrets(client: &Client, messages: &Messages, webhook: &Webhook) -> anyhow::Result<()> {
    let secret = |name: &str, data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": name, "namespace": FLUX_SYSTEM}})
    };
    let address = secret(MESSAGES_SECRET, json!({"address": messages.url()}));
    super::cluster::apply(client, "", "v1", "Secret", &address).await?;
    let token = secret(WEBHOOK_SECRET, json!({"token": webhook.token}));
    super::cluster::apply(client, "", "v1", "Secret", &token).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_for_slack_arrive() {
        fluxide_runtime::tls::install_provider();
        let mut messages = Messages::start().await.unwrap();
        let body = json!({"channel": "", "attachments": [
            {"author_name": "kustomization/apps.flux-system", "text": "it broke", "color": "danger", "fields": []}]});
        let client = reqwest::Client::new();
        let answer = client.post(messages.url()).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let about = "kustomization/apps.flux-system".to_owned();
        assert_eq!(messages.next().await, Message { about, text: "it broke".to_owned(), is_bad: true });
        let answer = client.post(messages.url()).json(&json!({"text": "x"})).send().await.unwrap();
        assert!(answer.status().is_client_error());
    }

    #[tokio::test]
    async fn a_receiver_that_is_not_there_is_told() {
        fluxide_runtime::tls::install_provider();
        let messages = Messages::start().await.unwrap();
        let webhook = Webhook::new(messages.url().trim_end_matches('/')).unwrap();
        let error = webhook.call("main").await.unwrap_err().to_string();
        assert_eq!(error, "there is no Receiver flux-system/fleet with its token");
    }
}
