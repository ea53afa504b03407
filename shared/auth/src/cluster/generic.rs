//! Clusters that trust the ServiceAccount tokens of this one.

use super::{Access, ClusterError, Location, Settings};
use crate::service_account::{Account, subject};
use crate::{AuthError, CacheEvents, Token};

/// Where the settings say that it is; nobody else knows.
pub(super) fn locate(settings: &Settings) -> Result<Location, ClusterError> {
    let address = settings.address.clone().ok_or(ClusterError::NoAddress)?;
    Ok(Location { address, ca: settings.ca.clone() })
}

/// A ServiceAccount token for the audiences of the settings, or else for the cluster's address.
pub(super) async fn token(access: &Access, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
    let settings = &access.settings;
    let audiences = match settings.audiences.as_slice() {
        [] => settings.address.iter().cloned().collect(),
        given => given.to_vec(),
    };
    let account = match access.account() {
        Some(account) => account,
        None => own_account(access).map_err(ClusterError::Token)?,
    };
    let what: Vec<&str> = audiences.iter().map(String::as_str).collect();
    let made =
        access.tokens().get(access.key(&what, Some(&account)), events, || account.token_for(&audiences));
    made.await.map_err(ClusterError::Token)
}

/// The ServiceAccount this process runs as, from the subject of its token.
fn own_account(access: &Access) -> Result<Account, AuthError> {
    let file = access.clusters.token_file.display();
    let missing =
        |error| AuthError::NoIdentity(format!("failed to read service account token file {file}: {error}"));
    let invalid = || AuthError::NoIdentity(format!("{file} is not the token of a service account"));
    let token = std::fs::read_to_string(&access.clusters.token_file).map_err(missing)?;
    let (namespace, name) = subject(&token).ok_or_else(invalid)?;
    Ok(Account::named(&access.identity.client, &namespace, &name))
}
