//! Credentials for key management services, as they stand in a Secret.

use std::fmt;

use fluxide_auth::{AuthError, aws, gcp};
use fluxide_goyaml::sigs;
use serde::Deserialize;
use serde_json::Value;

/// Credentials that somebody gave.
#[derive(Clone, Default)]
pub struct Credentials {
    pub(crate) aws: Option<aws::Credentials>,
    pub(crate) gcp: Option<gcp::Key>,
    pub(crate) azure: Option<AzureCredentials>,
    pub(crate) vault_token: Option<String>,
}

/// Who to be at Azure.
#[derive(Clone)]
pub(crate) enum AzureCredentials {
    /// An application with a secret.
    Secret { tenant: String, client_id: String, secret: String, authority_host: Option<String> },
    /// An application with a certificate and its key.
    Certificate { tenant: String, client_id: String, certificate: String, authority_host: Option<String> },
    /// An identity of the machine.
    ManagedIdentity { client_id: String },
}

/// Why an entry cannot be used. The text never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It is not text.
    #[error("it is not text")]
    NotText,
    /// It is not YAML of the fields it should have.
    #[error("it is not a YAML map of {0}")]
    Yaml(&'static str),
    /// A field is missing.
    #[error("{0}")]
    Incomplete(&'static str),
    /// It cannot be used for another reason.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("aws", &self.aws.is_some())
            .field("gcp", &self.gcp.is_some())
            .field("azure", &self.azure.is_some())
            .field("vault", &self.vault_token.is_some())
            .finish()
    }
}

impl Credentials {
    /// Adds an entry of a Secret by its key. Says whether the key means credentials.
    pub fn add(&mut self, key: &str, value: &[u8]) -> Result<bool, CredentialsError> {
        match key {
            "sops.aws-kms" => self.aws = Some(aws_keys(value)?),
            "sops.gcp-kms" => self.gcp = Some(gcp::Key::parse(value.trim_ascii())?),
            "sops.azure-kv" => self.azure = Some(azure_credentials(value)?),
            "sops.vault-token" => {
                let token = std::str::from_utf8(value).map_err(|_| CredentialsError::NotText)?.trim();
                // Nothing else can be in a header.
                if !token.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(CredentialsError::Incomplete("it has characters that no Vault token has"));
                }
                self.vault_token = Some(token.to_owned()).filter(|token| !token.is_empty());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Deserialize)]
struct AwsKeys {
    #[serde(default)]
    aws_access_key_id: String,
    #[serde(default)]
    aws_secret_access_key: String,
    #[serde(default)]
    aws_session_token: String,
}

fn aws_keys(value: &[u8]) -> Result<aws::Credentials, CredentialsError> {
    let keys: AwsKeys = yaml(value, "aws_access_key_id, aws_secret_access_key and aws_session_token")?;
    if keys.aws_access_key_id.is_empty() || keys.aws_secret_access_key.is_empty() {
        return Err(CredentialsError::Incomplete("aws_access_key_id or aws_secret_access_key is missing"));
    }
    Ok(aws::Credentials {
        access_key_id: keys.aws_access_key_id.trim().to_owned(),
        secret_access_key: keys.aws_secret_access_key.trim().to_owned(),
        session_token: Some(keys.aws_session_token.trim().to_owned()).filter(|token| !token.is_empty()),
        expires: None,
    })
}

/// The forms that Azure's own tools write.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AzureFile {
    #[serde(default)]
    tenant_id: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    client_certificate: String,
    #[serde(default)]
    client_certificate_password: String,
    #[serde(default)]
    authority_host: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    app_id: String,
    #[serde(default)]
    password: String,
}

fn azure_credentials(value: &[u8]) -> Result<AzureCredentials, CredentialsError> {
    let text = decode_utf16(value).unwrap_or_else(|| value.to_vec());
    let file: AzureFile = yaml(&text, "tenantId, clientId and clientSecret")?;
    let authority_host = Some(file.authority_host).filter(|host| !host.is_empty());
    if authority_host.as_ref().is_some_and(|host| !host.starts_with("https://")) {
        return Err(CredentialsError::Incomplete("authorityHost must start with https://"));
    }
    let has = |values: &[&String]| values.iter().all(|value| !value.is_empty());
    if has(&[&file.tenant_id, &file.client_id, &file.client_secret]) {
        let (tenant, client_id, secret) = (file.tenant_id, file.client_id, file.client_secret);
        return Ok(AzureCredentials::Secret { tenant, client_id, secret, authority_host });
    }
    if has(&[&file.tenant_id, &file.client_id, &file.client_certificate]) {
        if !file.client_certificate_password.is_empty() || !file.client_certificate.contains("-----BEGIN") {
            return Err(CredentialsError::Incomplete(
                "clientCertificate must be PEM with the certificate and its RSA key, without a password: \
                 convert it with 'openssl pkcs12 -nodes'",
            ));
        }
        let (tenant, client_id, certificate) = (file.tenant_id, file.client_id, file.client_certificate);
        return Ok(AzureCredentials::Certificate { tenant, client_id, certificate, authority_host });
    }
    if has(&[&file.tenant, &file.app_id, &file.password]) {
        let (tenant, client_id, secret) = (file.tenant, file.app_id, file.password);
        return Ok(AzureCredentials::Secret { tenant, client_id, secret, authority_host });
    }
    if has(&[&file.client_id]) {
        return Ok(AzureCredentials::ManagedIdentity { client_id: file.client_id });
    }
    Err(CredentialsError::Incomplete(
        "it has neither a service principal (tenantId, clientId, clientSecret or clientCertificate) nor a managed identity (clientId)",
    ))
}

/// Text with the byte order mark of UTF-16, which Azure's tools write on Windows, as UTF-8.
fn decode_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let pairs = |rest: &[u8], unit: fn([u8; 2]) -> u16| -> Vec<u16> {
        rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect()
    };
    let units = match bytes {
        [0xff, 0xfe, rest @ ..] => pairs(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => pairs(rest, u16::from_be_bytes),
        _ => return None,
    };
    Some(String::from_utf16_lossy(&units).into_bytes())
}

fn yaml<T: for<'de> Deserialize<'de>>(text: &[u8], fields: &'static str) -> Result<T, CredentialsError> {
    let value = sigs::from_yaml(text).map_err(|_| CredentialsError::Yaml(fields))?;
    serde_json::from_value(Value::from(value)).map_err(|_| CredentialsError::Yaml(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(key: &str, value: &str) -> Result<Credentials, String> {
        let mut credentials = Credentials::default();
        let known = credentials.add(key, value.as_bytes()).map_err(|error| error.to_string())?;
        assert!(known);
        Ok(credentials)
    }

    #[test]
    fn entries_are_read_as_they_are_written() {
        let aws =
            add("sops.aws-kms", "aws_access_key_id: a\naws_secret_access_key: b\naws_session_token: c\n");
        let aws = aws.unwrap().aws.unwrap();
        assert_eq!((&*aws.access_key_id, &*aws.secret_access_key), ("a", "b"));
        assert_eq!(aws.session_token.as_deref(), Some("c"));
        assert_eq!(add("sops.vault-token", " s.abc\n").unwrap().vault_token.as_deref(), Some("s.abc"));
        let mut none = Credentials::default();
        assert!(!none.add("other", b"x").unwrap());
    }

    #[test]
    fn azure_has_four_forms() {
        let of = |text: &str| add("sops.azure-kv", text).map(|found| found.azure.unwrap());
        assert!(matches!(
            of("tenantId: t\nclientId: c\nclientSecret: s"),
            Ok(AzureCredentials::Secret { .. })
        ));
        let az = r#"{"tenant": "t", "appId": "c", "password": "s"}"#;
        assert!(matches!(of(az), Ok(AzureCredentials::Secret { secret, .. }) if secret == "s"));
        let pem = "tenantId: t\nclientId: c\nclientCertificate: |\n  -----BEGIN CERTIFICATE-----\n";
        assert!(matches!(of(pem), Ok(AzureCredentials::Certificate { .. })));
        assert!(matches!(of("clientId: c"), Ok(AzureCredentials::ManagedIdentity { .. })));
        let utf16: Vec<u8> =
            [0xfeff_u16].into_iter().chain("clientId: c".encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let mut credentials = Credentials::default();
        assert!(credentials.add("sops.azure-kv", &utf16).unwrap());
        assert!(credentials.azure.is_some());
    }

    #[test]
    fn errors_tell_what_to_do_and_no_secret() {
        for (key, value) in [
            ("sops.aws-kms", "aws_secret_access_key: hidden"),
            ("sops.aws-kms", "- hidden"),
            ("sops.azure-kv", "tenantId: hidden"),
            ("sops.azure-kv", "tenantId: t\nclientId: c\nclientSecret: hidden\nauthorityHost: http://x"),
            (
                "sops.azure-kv",
                "tenantId: t\nclientId: c\nclientCertificate: hidden\nclientCertificatePassword: x",
            ),
            ("sops.gcp-kms", "hidden"),
            ("sops.vault-token", "hidden hidden"),
        ] {
            let error = add(key, value).unwrap_err();
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
