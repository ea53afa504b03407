//! Google Cloud KMS.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fluxide_auth::gcp::{CLOUD_PLATFORM_SCOPE, Gcp};
use serde_json::json;

use crate::{KmsError, Services, http};

const SERVICE: &str = "Google Cloud KMS";
const OPERATION: &str = "decrypt_with_gcp";
const ENDPOINT: &str = "https://cloudkms.googleapis.com";

/// Opens a data key with a key of Google Cloud KMS.
pub async fn decrypt(
    services: &mut Services,
    resource_id: &str,
    encrypted: &str,
) -> Result<Vec<u8>, KmsError> {
    check(resource_id)?;
    let ciphertext = BASE64_STANDARD.decode(encrypted.trim()).map_err(|_| KmsError::Encoding("base64"))?;
    let client = services.client()?;
    let mut gcp = Gcp::new(services.settings.environment.clone());
    let endpoint = services.settings.endpoints.google.clone();
    if let Some(endpoint) = &endpoint {
        gcp = gcp.with_endpoint(endpoint);
    }
    let token = match &services.settings.credentials.gcp {
        Some(key) => gcp.of_key(&client, key, CLOUD_PLATFORM_SCOPE).await?,
        None => {
            let make = || async {
                let account = services.account().await?;
                gcp.token(&client, &client, account.as_ref(), CLOUD_PLATFORM_SCOPE).await
            };
            services.token(OPERATION, "", make).await?
        }
    };
    let url = format!("{}/v1/{resource_id}:decrypt", endpoint.as_deref().unwrap_or(ENDPOINT));
    let request = client
        .post(url)
        .bearer_auth(&token.secret)
        .json(&json!({"ciphertext": BASE64_STANDARD.encode(ciphertext)}));
    let refused = |source| KmsError::Refused { with: "with GCP KMS key".to_owned(), source };
    let answer = http::send(SERVICE, request).await.map_err(refused)?;
    let plain = answer["plaintext"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    plain.ok_or_else(|| refused(http::incomplete(SERVICE, "plaintext")))
}

/// `projects/../locations/../keyRings/../cryptoKeys/..`, with the characters that such names have.
fn check(resource_id: &str) -> Result<(), KmsError> {
    let parts: Vec<&str> = resource_id.split('/').collect();
    let words = ["projects", "locations", "keyRings", "cryptoKeys"];
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    let is_key = parts.len() == 8
        && parts.iter().step_by(2).copied().eq(words)
        && parts.iter().skip(1).step_by(2).all(|part| word(part));
    if is_key {
        return Ok(());
    }
    Err(KmsError::Key {
        field: "resource_id",
        value: resource_id.to_owned(),
        reason: "is not projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        let key = "projects/my-project/locations/global/keyRings/ring/cryptoKeys/key_1";
        assert!(check(key).is_ok());
        assert!(check(&format!("{key}/cryptoKeyVersions/1")).is_err());
        assert!(check(&key.replace("ring/", "../")).is_err());
        assert!(check(&key.replace("global", "a?b=c")).is_err());
        assert!(check("").is_err());
    }
}
