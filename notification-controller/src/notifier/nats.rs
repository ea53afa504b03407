//! NATS: the event, published to a subject.

use async_nats::ConnectOptions;
use fluxide_runtime::secrets::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use url::Url;

use super::policy::AddressPolicy;
use super::settings::Settings;
use super::{Error, Message, go_json};

/// Whether the settings of a `nats` provider are complete.
pub fn check(settings: &Settings) -> Result<(), String> {
    if settings.address.is_empty() {
        return Err("NATS server (address) cannot be empty".to_owned());
    }
    if settings.channel.is_empty() {
        return Err("NATS subject (channel) cannot be empty".to_owned());
    }
    Ok(())
}

/// Publishes the event and waits until the server has it.
pub async fn publish(
    policy: &AddressPolicy,
    settings: &Settings,
    message: &Message<'_>,
) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display, transient: bool| Error::Send {
        message: format!("error publishing event to subject {}: {error}", settings.channel),
        transient,
    };
    let payload = go_json::to_vec(message.event)
        .map_err(|error| Error::refused(format!("error json-marshaling event: {error}")))?;
    let servers = servers(policy, settings).await.map_err(|error| failed(&error, false))?;
    let mut options = options(settings).map_err(Error::Settings)?;
    if policy.restricts() {
        // Others that the server knows of have not been judged.
        options = options.ignore_discovered_servers();
    }
    if let Some(tls) = &settings.tls {
        options = options.tls_client_config(client_config(tls).map_err(Error::Settings)?).require_tls(true);
    }
    let sent = timeout(settings.timeout, async {
        let client = options
            .connect(servers)
            .await
            .map_err(|error| failed(&format!("error connecting to server: {error}"), true))?;
        client
            .publish(settings.channel.clone(), payload.into())
            .await
            .map_err(|error| failed(&format!("error publishing message to server: {error}"), true))?;
        client
            .drain()
            .await
            .map_err(|error| failed(&format!("error publishing message to server: {error}"), true))?;
        flushed(&client).await.map_err(|error| failed(&error, true))
    });
    sent.await.map_err(|_| failed(&"context deadline exceeded", true))?
}

/// Waits for the server's answer to everything sent before.
async fn flushed(client: &async_nats::Client) -> Result<(), String> {
    client.flush().await.map_err(|error| format!("error publishing message to server: {error}"))
}

/// The credentials: a credentials file, a seed, or user name and password, in this order.
fn options(settings: &Settings) -> Result<ConnectOptions, String> {
    let text = |key: &str| settings.data.get(key).map(|value| String::from_utf8_lossy(value).into_owned());
    let options = ConnectOptions::new().name("NATS Provider Publisher").max_reconnects(1);
    if let Some(credentials) = text("creds") {
        return options
            .credentials(&credentials)
            .map_err(|_| "the key 'creds' of the secret is no NATS credentials file".to_owned());
    }
    if let Some(seed) = text("nkey") {
        return Ok(options.nkey(seed.trim().to_owned()));
    }
    if !settings.username.is_empty() && !settings.password.is_empty() {
        return Ok(options.user_and_password(settings.username.clone(), settings.password.clone()));
    }
    Ok(options)
}

/// The certificates of the Secret, which must say whom to trust.
fn client_config(tls: &Tls) -> Result<ClientConfig, String> {
    let ca =
        tls.ca.as_ref().ok_or("the secret of certSecretRef must have the key 'ca.crt' for a NATS server")?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca) {
        let authority = authority.map_err(|_| "failed to parse CA certificate")?;
        roots.add(authority).map_err(|_| "failed to parse CA certificate")?;
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some(identity) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let unusable = "failed to parse TLS certificate and key";
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificate).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).map_err(|_| unusable)?;
    builder.with_client_auth_cert(chain.map_err(|_| unusable)?, key).map_err(|_| unusable.to_owned())
}

/// The servers, each allowed by the policy, and then by the address that was judged, so that the name cannot mean
/// another one later. Behind TLS the name stays, because the server must prove that it has it.
async fn servers(policy: &AddressPolicy, settings: &Settings) -> Result<Vec<async_nats::ServerAddr>, String> {
    let mut servers = Vec::new();
    for address in settings.address.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let with_scheme =
            if address.contains("://") { address.to_owned() } else { format!("nats://{address}") };
        let url =
            Url::parse(&with_scheme).map_err(|_| "the address is no URL of a NATS server".to_owned())?;
        if policy.restricts() {
            policy.check_url(&url).map_err(|error| error.to_string())?;
            if let Some(url::Host::Domain(host)) = url.host() {
                let resolved = policy.resolve(host, url.port().unwrap_or(4222)).await;
                let resolved = resolved.map_err(|error| error.to_string())?;
                if settings.tls.is_none() && url.scheme() == "nats" {
                    for address in resolved {
                        let mut pinned = url.clone();
                        pinned
                            .set_ip_host(address.ip())
                            .map_err(|()| "the address has no host".to_owned())?;
                        servers.push(server(pinned)?);
                    }
                    continue;
                }
            }
        }
        servers.push(server(url)?);
    }
    Ok(servers)
}

fn server(url: Url) -> Result<async_nats::ServerAddr, String> {
    async_nats::ServerAddr::from_url(url).map_err(|error| format!("the address cannot be used: {error}"))
}
