//! From a GitRepository's URL and Secrets to a remote.

use fluxide_git::ssh::{SshCredentials, SshCredentialsError};
use fluxide_git::{Auth, ClientCertificate, Proxy, Remote, TlsSettings};
use fluxide_runtime::Pass;
use fluxide_runtime::secrets::{self, Secret};
use fluxide_source_api::git_repository::{GitProvider, GitRepositorySpec};
use kube::Client;

use crate::identity::{Identities, IdentityError};
use crate::source::{Problem, blocking, reason};

/// The remote a spec describes, with its credentials.
pub async fn remote(
    identities: &Identities,
    pass: &Pass,
    spec: &GitRepositorySpec,
) -> Result<Remote, Problem> {
    let (client, namespace) = (pass.client(), pass.key().namespace.as_str());
    let proxy = match &spec.proxy_secret_ref {
        Some(reference) => Some(proxy(client, namespace, &reference.name).await?),
        None => None,
    };
    let mut remote = Remote::new(&spec.url).map_err(|error| {
        let url = strip_credentials(&spec.url);
        Problem::stall(reason::URL_INVALID, format!("failed to parse url '{url}': {error}"))
    })?;
    remote.proxy = proxy;
    let provider = spec.provider.clone().unwrap_or_default();
    let secret = match &spec.secret_ref {
        Some(reference) => Some(get(client, namespace, &reference.name).await?),
        None => None,
    };
    let app = match &secret {
        Some(secret) => secret
            .github_app()
            .map_err(|error| Problem::retry(reason::AUTHENTICATION_FAILED, error.to_string()))?,
        None => None,
    };
    let is_ssh = remote.url().scheme() == "ssh";
    match (&provider, &secret, &app) {
        (GitProvider::Github, None, _) => {
            return Err(Problem::stall(reason::INVALID_PROVIDER_CONFIGURATION, NO_APP));
        }
        (GitProvider::Github, Some(_), None) => {
            return Err(Problem::retry(reason::INVALID_PROVIDER_CONFIGURATION, NO_APP));
        }
        (GitProvider::Github, Some(_), Some(_)) => {}
        (_, Some(secret), Some(_)) => {
            let name = secret.key();
            return Err(Problem::retry(
                reason::INVALID_PROVIDER_CONFIGURATION,
                format!("secretRef '{name}' has github app data but provider is not set to github"),
            ));
        }
        _ => {}
    }
    match &secret {
        Some(secret) if is_ssh => ssh(&mut remote, secret).await?,
        Some(secret) => http(&mut remote, secret)?,
        None if is_ssh => return Err(options_error("invalid 'ssh' auth option: 'identity' is required")),
        None => {}
    }
    if is_ssh {
        return Ok(remote);
    }
    let auth = match (provider, app) {
        (GitProvider::Github, Some(app)) => Some(identities.github_app(pass, &remote, app).await),
        (GitProvider::Azure, _) => Some(identities.azure(pass, &remote, account(spec)).await),
        (GitProvider::Aws, _) => Some(identities.codecommit(pass, &remote, account(spec)).await),
        _ => None,
    };
    match auth {
        Some(Ok(auth)) => remote.auth = auth,
        Some(Err(IdentityError::GateDisabled)) => {
            let message = IdentityError::GateDisabled.to_string();
            return Err(Problem::stall(reason::FEATURE_GATE_DISABLED, message));
        }
        Some(Err(error)) => return Err(options_error(&error.to_string())),
        None => {}
    }
    Ok(remote)
}

const NO_APP: &str = "secretRef with github app data must be specified when provider is set to github";

fn account(spec: &GitRepositorySpec) -> Option<&str> {
    spec.service_account_name.as_deref().filter(|name| !name.is_empty())
}

fn http(remote: &mut Remote, secret: &Secret) -> Result<(), Problem> {
    let text = |key| secret.text(key).map_err(|error| options_error(&error.to_string()));
    let bearer = text("bearerToken")?.filter(|token| !token.is_empty());
    let username = text("username")?.unwrap_or_default();
    let password = text("password")?.unwrap_or_default();
    if let Some(token) = bearer {
        if !matches!(remote.auth, Auth::None) {
            return Err(options_error("basic auth and bearer token cannot be set at the same time"));
        }
        remote.auth = Auth::Bearer(token);
    } else if !username.is_empty() {
        remote.auth = Auth::Basic { username, password };
    } else if !password.is_empty() {
        let scheme = remote.url().scheme();
        return Err(options_error(&format!(
            "invalid '{scheme}' auth option: 'password' requires 'username' to be set"
        )));
    }
    match secret.tls() {
        Ok(tls) => {
            remote.tls = TlsSettings {
                ca: tls.ca,
                client_certificate: tls.identity.map(|identity| ClientCertificate {
                    certificate: identity.certificate,
                    key: identity.key.expose().clone(),
                }),
            };
            Ok(())
        }
        Err(secrets::Error::NoTls(_)) => Ok(()),
        Err(error) => Err(options_error(&error.to_string())),
    }
}

async fn ssh(remote: &mut Remote, secret: &Secret) -> Result<(), Problem> {
    let required = |key: &'static str| {
        let text = secret.text(key).map_err(|error| options_error(&error.to_string()))?;
        let missing = || options_error(&format!("invalid 'ssh' auth option: '{key}' is required"));
        text.filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    let identity = required("identity")?;
    let known_hosts = required("known_hosts")?;
    let passphrase = secret.text("password").map_err(|error| options_error(&error.to_string()))?;
    // Encrypted keys are slow to open, by design.
    let credentials =
        blocking(move || SshCredentials::new(&identity, passphrase.as_deref(), &known_hosts)).await;
    let credentials = credentials.map_err(|error| {
        let name = secret.key();
        options_error(&match error {
            SshCredentialsError::PassphraseNeeded => format!(
                "SSH identity key is encrypted but no 'password' field was provided in the secret '{name}'"
            ),
            SshCredentialsError::Key(error) => {
                format!("failed to parse SSH identity key from secret '{name}': {error}")
            }
            SshCredentialsError::KnownHosts(error) => format!("secret '{name}': {error}"),
        })
    })?;
    remote.auth = Auth::Ssh(credentials);
    Ok(())
}

async fn proxy(client: &Client, namespace: &str, name: &str) -> Result<Proxy, Problem> {
    let failed = |error: String| {
        let message = format!("failed to configure proxy options: {error}");
        Problem::retry(reason::AUTHENTICATION_FAILED, message)
    };
    let secret = Secret::get(client, namespace, name).await.map_err(|error| failed(secret_error(&error)))?;
    let url = secret.proxy().map_err(|error| failed(error.to_string()))?;
    Ok(Proxy { address: url.expose().to_string(), credentials: None })
}

/// Reads a Secret that a spec names.
pub async fn get(client: &Client, namespace: &str, name: &str) -> Result<Secret, Problem> {
    Secret::get(client, namespace, name).await.map_err(|error| {
        let message = format!("failed to get secret '{namespace}/{name}': {}", secret_error(&error));
        Problem::retry(reason::AUTHENTICATION_FAILED, message)
    })
}

/// A missing Secret in the words of the API server.
fn secret_error(error: &secrets::Error) -> String {
    match error {
        secrets::Error::NotFound(key) => {
            format!("failed to get secret '{key}': secrets \"{}\" not found", key.name)
        }
        error => error.to_string(),
    }
}

fn options_error(message: &str) -> Problem {
    let message = format!("failed to configure authentication options: {message}");
    Problem::retry(reason::AUTHENTICATION_FAILED, message)
}

/// A URL that could not be parsed, for a message, without what may be a password.
fn strip_credentials(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}{}", &url[..scheme + 3], &url[at + 1..]),
        _ => url.to_owned(),
    }
}
