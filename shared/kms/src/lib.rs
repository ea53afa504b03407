//! Data keys of SOPS files, opened by key management services: AWS KMS, Google Cloud KMS, Azure Key Vault, and the
//! transit engine of Vault or OpenBao.
//!
//! [`Services`] is a [`KeyService`] that asks them. Who it is there is said by [`Credentials`] that somebody gave, or else by a
//! ServiceAccount or by the process itself ([`Settings`]).
//!
//! The addresses of keys stand in the encrypted file, so whoever wrote that decides whom to ask. Therefore a request goes to
//! the hosts of the cloud and no others; to Vault at any public or private address but none of this machine or its link;
//! and what belongs to the process goes to a Vault only if the process was told so.

mod address;
mod aws;
mod azure;
mod credentials;
mod error;
mod gcp;
mod http;
mod vault;

pub use address::AllowedVaults;
pub use credentials::{Credentials, CredentialsError};
pub use error::KmsError;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fluxide_auth::service_account::Account;
use fluxide_auth::{AuthError, CacheEvents, CacheKey, Environment, Token, TokenCache, Unobserved};
use fluxide_sops::{KeyService, MasterKey};
use tokio::runtime::Handle;

/// How long one service may take for one key, its tokens included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Who wants to know how often a token was at hand, by the name of an operation.
pub type Observer = Arc<dyn Fn(&'static str) -> Box<dyn CacheEvents> + Send + Sync>;

/// How to reach services, and as whom.
#[derive(Clone)]
pub struct Settings {
    /// Credentials that go before all others.
    pub credentials: Credentials,
    /// The ServiceAccount to be where there are no credentials: a client, a namespace and a name.
    pub account: Option<AccountReference>,
    /// How ServiceAccounts log in to a Vault.
    pub vault_logins: Option<vault::Logins>,
    /// The variables of the process.
    pub environment: Environment,
    /// Whether keys may be anywhere, which is right where a person decrypts a file of theirs.
    pub trusts_addresses: bool,
    /// Tokens of earlier decryptions.
    pub tokens: TokenCache,
    /// Who is told about these tokens.
    pub observer: Option<Observer>,
    /// Other addresses of the clouds' services.
    pub endpoints: Endpoints,
}

pub use vault::Logins as VaultLogins;

/// A ServiceAccount of the cluster.
#[derive(Clone)]
pub struct AccountReference {
    /// Who may make tokens for it.
    pub client: kube::Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Addresses in place of the clouds' own, for tests and for emulators.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Of AWS KMS.
    pub aws_kms: Option<String>,
    /// Of the AWS token service.
    pub aws_sts: Option<String>,
    /// Of all Google services.
    pub google: Option<String>,
    /// Of all Azure services but the vaults; those may be anywhere then.
    pub azure: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            account: None,
            vault_logins: None,
            environment: Environment::process(),
            trusts_addresses: false,
            tokens: TokenCache::new(0, Duration::ZERO),
            observer: None,
            endpoints: Endpoints::default(),
        }
    }
}

/// Asks key management services, from a thread that may block.
pub struct Services {
    runtime: Handle,
    settings: Settings,
    client: Option<reqwest::Client>,
    /// Tokens of Vaults that a ServiceAccount has logged in to, by address.
    vaults: HashMap<String, String>,
}

impl Services {
    /// Services whose requests run on a runtime.
    pub fn new(runtime: Handle, settings: Settings) -> Self {
        Self { runtime, settings, client: None, vaults: HashMap::new() }
    }

    async fn open(&mut self, key: &MasterKey) -> Result<Vec<u8>, KmsError> {
        match key {
            MasterKey::AwsKms { arn, role, context, encrypted, .. } => {
                aws::decrypt(self, arn, role.as_deref(), context, encrypted).await
            }
            MasterKey::GcpKms { resource_id, encrypted } => gcp::decrypt(self, resource_id, encrypted).await,
            MasterKey::AzureKeyVault { vault_url, name, version, encrypted } => {
                azure::decrypt(self, vault_url, name, version, encrypted).await
            }
            MasterKey::Vault { address, engine_path, key_name, encrypted } => {
                vault::decrypt(self, address, engine_path, key_name, encrypted).await
            }
            MasterKey::HuaweiKms { .. } => Err(KmsError::Unsupported(
                "keys of Huawei Cloud are not supported: encrypt for another key as well with 'sops rotate'",
            )),
            MasterKey::Age { .. } | MasterKey::Pgp { .. } => {
                Err(KmsError::Unsupported("this key is not at a key management service"))
            }
        }
    }

    fn client(&mut self) -> Result<reqwest::Client, KmsError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = fluxide_auth::ClientSettings::default().client()?;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// The ServiceAccount to be, if there is one.
    async fn account(&self) -> Result<Option<Account>, AuthError> {
        match &self.settings.account {
            Some(account) => Account::get(&account.client, &account.namespace, &account.name).await.map(Some),
            None => Ok(None),
        }
    }

    /// A token for an operation, from the cache or made anew. What one namespace gets is never given to another.
    async fn token<F>(
        &self,
        operation: &'static str,
        more: &str,
        make: impl FnOnce() -> F,
    ) -> Result<Token, KmsError>
    where
        F: Future<Output = Result<Token, AuthError>>,
    {
        let account = self.settings.account.as_ref();
        let parts = [
            operation,
            account.map_or("", |account| &account.namespace),
            account.map_or("", |account| &account.name),
            more,
        ];
        let key = CacheKey::of(parts.into_iter().map(str::as_bytes));
        let events: Box<dyn CacheEvents> = match &self.settings.observer {
            Some(observer) => observer(operation),
            None => Box::new(Unobserved),
        };
        Ok(self.settings.tokens.get(key, &*events, make).await?)
    }
}

impl KeyService for Services {
    fn decrypt(&mut self, key: &MasterKey) -> Result<Vec<u8>, String> {
        let runtime = self.runtime.clone();
        let opened = runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.open(key)).await });
        match opened {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                Err(format!("the key management service did not answer within {} s", TIMEOUT.as_secs()))
            }
        }
    }
}
