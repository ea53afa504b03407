//! The identity of a ServiceAccount: what its annotations say, and tokens the API server makes for it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::Value;

use crate::{AuthError, Token};

/// Where a pod finds the token of its own ServiceAccount.
pub const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A ServiceAccount of the cluster.
#[derive(Clone)]
pub struct Account {
    client: Client,
    namespace: String,
    name: String,
    annotations: BTreeMap<String, String>,
    audiences: Vec<String>,
}

impl Account {
    /// A ServiceAccount whose annotations do not matter.
    pub fn named(client: &Client, namespace: &str, name: &str) -> Self {
        Account {
            client: client.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            annotations: BTreeMap::new(),
            audiences: Vec::new(),
        }
    }

    /// Reads a ServiceAccount.
    pub async fn get(client: &Client, namespace: &str, name: &str) -> Result<Self, AuthError> {
        let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        let failed =
            |reason: String| AuthError::ServiceAccount { account: format!("{namespace}/{name}"), reason };
        let found = api.get_opt(name).await.map_err(|error| failed(words(error)))?;
        let found = found.ok_or_else(|| AuthError::NoServiceAccount(format!("{namespace}/{name}")))?;
        let annotations = found.metadata.annotations.unwrap_or_default();
        Ok(Account { annotations, ..Self::named(client, namespace, name) })
    }

    /// The same with audiences of its tokens in place of those that a cloud usually wants.
    pub fn with_audiences(self, audiences: Vec<String>) -> Self {
        Account { audiences, ..self }
    }

    /// What its annotations say.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An annotation that must be there.
    pub fn annotation(&self, key: &str) -> Result<&str, AuthError> {
        self.optional_annotation(key).ok_or_else(|| self.failed(format!("the annotation '{key}' is missing")))
    }

    /// An annotation, if it is there and not empty.
    pub fn optional_annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A token that names the account to whom trusts this cluster.
    pub async fn token(&self, audience: &str) -> Result<String, AuthError> {
        let usual = [audience.to_owned()];
        let audiences = if self.audiences.is_empty() { &usual[..] } else { &self.audiences };
        self.token_for(audiences).await.map(|token| token.secret)
    }

    /// The same for given audiences, with when it ends.
    pub async fn token_for(&self, audiences: &[String]) -> Result<Token, AuthError> {
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace);
        let spec = TokenRequestSpec {
            audiences: Some(audiences.to_vec()),
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let made = api.create_token_request(&self.name, &PostParams::default(), &request).await;
        let made = made.map_err(|error| self.failed(format!("cannot make a token: {}", words(error))))?;
        let status = made.status.unwrap_or_default();
        let secret = status.token.filter(|token| !token.is_empty());
        Ok(Token {
            secret: secret.ok_or_else(|| self.failed("the API server made no token".to_owned()))?,
            expires: status.expiration_timestamp.map_or(SystemTime::UNIX_EPOCH, |time| time.0.into()),
        })
    }

    pub(crate) fn failed(&self, reason: String) -> AuthError {
        AuthError::ServiceAccount { account: format!("{}/{}", self.namespace, self.name), reason }
    }
}

/// The ServiceAccount that a token says it is of: namespace and name. The signature is not looked at.
pub fn subject(jwt: &str) -> Option<(String, String)> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(jwt.trim().split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let rest = claims["sub"].as_str()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, name) = rest.split_once(':')?;
    Some((namespace.to_owned(), name.to_owned()))
}

/// What the API server said, where it spoke.
fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message,
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_service_accounts() {
        let jwt = |claims: &str| format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let found = subject(&jwt(r#"{"sub":"system:serviceaccount:apps:web"}"#));
        assert_eq!(found, Some(("apps".to_owned(), "web".to_owned())));
        assert_eq!(subject(&jwt(r#"{"sub":"somebody"}"#)), None);
        assert_eq!(subject("nonsense"), None);
    }
}
