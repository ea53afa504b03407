//! AWS KMS.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fluxide_auth::aws::{Aws, Credentials};
use fluxide_auth::{AuthError, sigv4};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{KmsError, Services, http};

const SERVICE: &str = "AWS KMS";
const OPERATION: &str = "decrypt_with_aws";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "TrentService.Decrypt";

/// The longest name of a session.
const MAX_SESSION: usize = 64;

/// Opens a data key with a key of AWS KMS, in the role that the file wants to be taken.
pub async fn decrypt(
    services: &mut Services,
    arn: &str,
    role: Option<&str>,
    context: &[(String, String)],
    encrypted: &str,
) -> Result<Vec<u8>, KmsError> {
    let region = region(arn)?;
    let blob = BASE64_STANDARD.decode(encrypted.trim()).map_err(|_| KmsError::Encoding("base64"))?;
    let client = services.client()?;
    let endpoint = |given: &Option<String>, variable: &str| {
        let environment = &services.settings.environment;
        given.clone().or_else(|| environment.get(variable)).or_else(|| environment.get("AWS_ENDPOINT_URL"))
    };
    let kms_endpoint = endpoint(&services.settings.endpoints.aws_kms, "AWS_ENDPOINT_URL_KMS");
    let sts_endpoint = endpoint(&services.settings.endpoints.aws_sts, "AWS_ENDPOINT_URL_STS");
    let mut aws = Aws::new(services.settings.environment.clone());
    if let Some(sts) = sts_endpoint {
        aws = aws.with_sts(sts);
    }
    let mut credentials = match services.settings.credentials.aws.clone() {
        Some(credentials) => credentials,
        None => {
            let token = services
                .token(OPERATION, region, || async {
                    let account = services.account().await?;
                    let found = aws.credentials(&client, account.as_ref(), region).await?;
                    Ok(found.to_token())
                })
                .await?;
            Credentials::of_token(&token)
        }
    };
    if let Some(role) = role {
        let session = session_name(&services.settings.environment.get("HOSTNAME").unwrap_or_default());
        credentials = aws
            .assume_role(&client, &credentials, role, &session, region)
            .await
            .map_err(|source| KmsError::Refused { with: format!("in the role '{role}'"), source })?;
    }

    let url = match kms_endpoint {
        Some(endpoint) => endpoint,
        None => {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://kms.{region}.amazonaws.com{suffix}/")
        }
    };
    let url = Url::parse(&url).map_err(|error| AuthError::Settings(format!("{url}: {error}")))?;
    let mut body = json!({"KeyId": arn, "CiphertextBlob": BASE64_STANDARD.encode(blob)});
    if !context.is_empty() {
        let context: Map<String, Value> =
            context.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        body["EncryptionContext"] = context.into();
    }
    let body = body.to_string().into_bytes();
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
    let signed = sigv4::Request { method: "POST", url: &url, headers: &headers, body: &body };
    let signature = sigv4::headers(&credentials, "kms", region, Timestamp::now(), &signed);
    let mut request = client.post(url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in signature {
        request = request.header(name, value);
    }
    let refused = |source| KmsError::Refused { with: "with AWS KMS".to_owned(), source };
    let answer = http::send(SERVICE, request).await.map_err(refused)?;
    let plain = answer["Plaintext"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    plain.ok_or_else(|| refused(http::incomplete(SERVICE, "Plaintext")))
}

/// The region of `arn:aws*:kms:<region>:<account>:key|alias/<name>`.
fn region(arn: &str) -> Result<&str, KmsError> {
    let invalid = || KmsError::Key {
        field: "arn",
        value: arn.to_owned(),
        reason: "is not the ARN of a key, arn:aws:kms:<region>:<account>:key/<id>".to_owned(),
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = parts.as_slice() else {
        return Err(invalid());
    };
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let name = resource.strip_prefix("key/").or_else(|| resource.strip_prefix("alias/")).unwrap_or_default();
    let is_arn = *scheme == "arn"
        && partition.strip_prefix("aws").is_some_and(word)
        && *service == "kms"
        // It becomes part of a host name.
        && !region.is_empty()
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !account.is_empty()
        && account.bytes().all(|b| b.is_ascii_digit())
        && !name.is_empty();
    if is_arn { Ok(region) } else { Err(invalid()) }
}

/// `sops@<host>` with the characters that names of sessions may have.
fn session_name(host: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '=' | ',' | '.' | '@' | '-' | '_');
    "sops@".chars().chain(host.chars().filter(allowed)).take(MAX_SESSION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_those_of_keys_and_lead_nowhere_else() {
        assert_eq!(region("arn:aws:kms:eu-west-1:123456789012:key/a-b").unwrap(), "eu-west-1");
        assert_eq!(region("arn:aws-cn:kms:cn-north-1:1:alias/x").unwrap(), "cn-north-1");
        for arn in [
            "arn:aws:kms:evil.test/#:1:key/x",
            "arn:aws:kms:a@evil:1:key/x",
            "arn:aws:kms::1:key/x",
            "arn:aws:kms:eu-west-1:x:key/x",
            "arn:aws:s3:eu-west-1:1:key/x",
            "arn:aws:kms:eu-west-1:1:key/",
            "eu-west-1",
        ] {
            assert!(region(arn).is_err(), "{arn}");
        }
    }

    #[test]
    fn sessions_are_named_after_the_host() {
        assert_eq!(session_name("pod-1 (x)"), "sops@pod-1x");
        assert_eq!(session_name(&"a".repeat(100)).len(), 64);
    }
}
