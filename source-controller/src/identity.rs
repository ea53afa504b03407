//! Tokens from the identity of a GitHub App, of this process or of a ServiceAccount, kept for most of their life.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fluxide_auth::aws::{self, Aws};
use fluxide_auth::azure::{self, Azure};
use fluxide_auth::github_app::{self, GithubApp, Installation};
use fluxide_auth::service_account::Account;
use fluxide_auth::{AuthError, CacheKey, ClientSettings, Environment, Token, TokenCache};
use fluxide_git::{Auth, Remote};
use fluxide_runtime::feature_gates::OBJECT_LEVEL_WORKLOAD_IDENTITY;
use fluxide_runtime::metrics::{Metrics, TokenEvents};
use fluxide_runtime::{Manager, Pass, secrets};
use jiff::Timestamp;
use url::Url;

use crate::Options;

/// How long a password for CodeCommit is good.
const CODECOMMIT_LIFE: Duration = Duration::from_secs(15 * 60);

/// The longest a token is kept.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Objects may not have identities of their own here.
    #[error(
        "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"
    )]
    GateDisabled,
    /// The URL is none of the provider's.
    #[error(
        "invalid Azure DevOps url: '{0}'. must be https://dev.azure.com/... or https://<org>.visualstudio.com/..."
    )]
    NotAzure(String),
    /// Everybody has to be somebody here, and this namespace has nobody of the right name.
    #[error(
        "the specified default service account does not exist in the object namespace. your cluster is subject to multi-tenant workload identity lockdown, reach out to your cluster administrators for help: {0}"
    )]
    Lockdown(AuthError),
    /// There is no token.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// Everything needed to get tokens.
pub struct Identities {
    cache: TokenCache,
    metrics: Arc<Metrics>,
    gate: bool,
    default_account: String,
    environment: Environment,
}

impl Identities {
    /// As the flags say.
    pub fn new(manager: &Manager, options: &Options) -> Self {
        let life = options.common.token_cache_max_duration.0.min(MAX_DURATION);
        Identities {
            cache: TokenCache::new(options.common.token_cache_max_size, life),
            metrics: manager.metrics(),
            gate: manager.gates().enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY),
            default_account: options.common.default_service_account.clone(),
            environment: Environment::process(),
        }
    }

    /// Credentials of an installation of a GitHub App.
    pub async fn github_app(
        &self,
        pass: &Pass,
        remote: &Remote,
        app: secrets::GithubApp,
    ) -> Result<Auth, IdentityError> {
        let installation = match app.installation {
            secrets::GithubInstallation::Id(id) => Installation::Id(id),
            secrets::GithubInstallation::Owner(owner) => Installation::Owner(owner),
        };
        let app = GithubApp {
            app_id: app.app_id,
            installation,
            private_key: app.private_key.expose().clone(),
            base_url: app.base_url,
        };
        let settings = client_settings(remote);
        let installation = format!("{:?}", app.installation);
        let base_url = app.base_url.clone().unwrap_or_default();
        let parts = [app.app_id.as_bytes(), installation.as_bytes(), &app.private_key, base_url.as_bytes()];
        let key = cache_key("github", pass, &settings, &parts);
        let make = || async { app.token(&settings.client()?, SystemTime::now()).await };
        let token = self.cache.get(key, &self.events(pass), make).await?;
        Ok(Auth::Basic { username: github_app::USERNAME.to_owned(), password: token.secret })
    }

    /// A token for Azure DevOps.
    pub async fn azure(
        &self,
        pass: &Pass,
        remote: &Remote,
        wanted: Option<&str>,
    ) -> Result<Auth, IdentityError> {
        if !is_azure_devops(remote.url()) {
            return Err(IdentityError::NotAzure(remote.url().host_str().unwrap_or_default().to_owned()));
        }
        let account = self.account(wanted)?;
        let settings = client_settings(remote);
        let key = cache_key("azure", pass, &settings, &[account.unwrap_or_default().as_bytes()]);
        let make = || async {
            let account = read(pass, account).await?;
            let azure = Azure::new(self.environment.clone());
            azure.token(&settings.client()?, account.as_ref(), azure::DEVOPS_SCOPE).await
        };
        let token = self.cache.get(key, &self.events(pass), make).await;
        let token = token.map_err(|error| self.explained(wanted, error))?;
        Ok(Auth::Bearer(token.secret))
    }

    /// User name and password for CodeCommit.
    pub async fn codecommit(
        &self,
        pass: &Pass,
        remote: &Remote,
        wanted: Option<&str>,
    ) -> Result<Auth, IdentityError> {
        let region = aws::codecommit_region(remote.url())?;
        let account = self.account(wanted)?;
        let settings = client_settings(remote);
        let parts = [account.unwrap_or_default().as_bytes(), remote.url().as_str().as_bytes()];
        let key = cache_key("aws", pass, &settings, &parts);
        let make = || async {
            let account = read(pass, account).await?;
            let aws = Aws::new(self.environment.clone());
            let found = aws.credentials(&settings.client()?, account.as_ref(), &region).await?;
            let (username, password) = aws::codecommit_password(&found, remote.url(), Timestamp::now())?;
            let end = SystemTime::now() + CODECOMMIT_LIFE;
            let expires = found.expires.map_or(end, |expires| expires.min(end));
            // Neither half can have a line break.
            Ok::<_, AuthError>(Token { secret: format!("{username}\n{password}"), expires })
        };
        let token = self.cache.get(key, &self.events(pass), make).await;
        let token = token.map_err(|error| self.explained(wanted, error))?;
        let (username, password) = token.secret.split_once('\n').unwrap_or_default();
        Ok(Auth::Basic { username: username.to_owned(), password: password.to_owned() })
    }

    /// The ServiceAccount to be, if not this process itself.
    fn account<'a>(&'a self, wanted: Option<&'a str>) -> Result<Option<&'a str>, IdentityError> {
        match wanted {
            Some(_) if !self.gate => Err(IdentityError::GateDisabled),
            Some(name) => Ok(Some(name)),
            None => Ok(Some(self.default_account.as_str()).filter(|name| !name.is_empty())),
        }
    }

    /// An error about an account that the object did not ask for says who did.
    fn explained(&self, wanted: Option<&str>, error: AuthError) -> IdentityError {
        match error {
            AuthError::NoServiceAccount(_) if wanted.is_none() => IdentityError::Lockdown(error),
            error => error.into(),
        }
    }

    fn events(&self, pass: &Pass) -> TokenEvents {
        TokenEvents::new(self.metrics.clone(), "GitRepository", pass.key().clone(), "reconcile")
    }
}

async fn read(pass: &Pass, account: Option<&str>) -> Result<Option<Account>, AuthError> {
    match account {
        Some(name) => Account::get(pass.client(), &pass.key().namespace, name).await.map(Some),
        None => Ok(None),
    }
}

fn client_settings(remote: &Remote) -> ClientSettings {
    let proxy = remote.proxy.as_ref().and_then(|proxy| Url::parse(&proxy.address).ok());
    ClientSettings { ca: remote.tls.ca.clone(), proxy }
}

/// What one namespace gets is never given to another.
fn cache_key(provider: &str, pass: &Pass, settings: &ClientSettings, more: &[&[u8]]) -> CacheKey {
    let proxy = settings.proxy.as_ref().map_or("", Url::as_str);
    let ca = settings.ca.as_deref().unwrap_or_default();
    let parts = [provider.as_bytes(), pass.key().namespace.as_bytes(), proxy.as_bytes(), ca];
    CacheKey::of(parts.into_iter().chain(more.iter().copied()))
}

fn is_azure_devops(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "dev.azure.com" || host.ends_with(".visualstudio.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_for_azure_go_to_azure() {
        let is = |url: &str| is_azure_devops(&Url::parse(url).unwrap());
        assert!(is("https://dev.azure.com/org/project/_git/repo"));
        assert!(is("https://org.visualstudio.com/project/_git/repo"));
        assert!(!is("http://dev.azure.com/x") && !is("https://dev.azure.com.evil.com/x"));
        assert!(!is("https://evil.com/dev.azure.com") && !is("https://evilvisualstudio.com/x"));
    }
}
