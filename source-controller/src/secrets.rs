//! Secrets as sources use them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// The decoded data of a Secret, and its name for messages.
pub struct SecretData {
    name: String,
    data: BTreeMap<String, Vec<u8>>,
}

impl SecretData {
    /// Reads a Secret from the cluster.
    pub async fn get(client: &Client, namespace: &str, name: &str) -> Result<Self, String> {
        let full = format!("{namespace}/{name}");
        let api = Api::<Secret>::namespaced(client.clone(), namespace);
        match api.get(name).await {
            Ok(secret) => Ok(SecretData {
                name: full,
                data: secret
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, value.0))
                    .collect(),
            }),
            Err(error) => {
                let error = fluxide_runtime::client::message(&error);
                Err(format!("failed to get secret '{full}': {error}"))
            }
        }
    }

    /// `namespace/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of a key, if they are there.
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }

    /// The text of a key, if it is there.
    pub fn text(&self, key: &str) -> Result<Option<&str>, String> {
        match self.bytes(key).map(std::str::from_utf8) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("secret '{}': key '{key}' is not text", self.name)),
        }
    }

    /// All keys with their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.data.iter().map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// The bytes of a key, or of its older name.
    pub fn renamed(&self, key: &str, older: &str) -> Option<&[u8]> {
        self.bytes(key).or_else(|| {
            let value = self.bytes(older)?;
            tracing::info!("warning: secret '{}' uses the deprecated key '{older}', rename it to '{key}'", self.name);
            Some(value)
        })
    }
}
