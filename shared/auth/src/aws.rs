//! AWS: credentials of a workload, and what CodeCommit makes of them.

mod sts;

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use ring::digest;
use serde::Deserialize;
use url::Url;

use crate::service_account::Account;
use crate::sigv4::{self, sign};
use crate::{AuthError, Environment, Token, http};

/// Whom ServiceAccount tokens are for.
pub const AUDIENCE: &str = "sts.amazonaws.com";

const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
const METADATA: &str = "http://169.254.169.254";
const CONTAINER_METADATA: &str = "http://169.254.170.2";

/// How long keys are used that do not say when they end.
const LIFE: Duration = Duration::from_secs(3600);

/// Keys that sign requests for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The id of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// What goes with temporary keys.
    pub session_token: Option<String>,
    /// When they end; keys of people do not.
    pub expires: Option<SystemTime>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The keys as one text, for a cache of tokens; none of its parts can have a line break.
    pub fn to_token(&self) -> Token {
        let session = self.session_token.as_deref().unwrap_or_default();
        let secret = format!("{}\n{}\n{session}", self.access_key_id, self.secret_access_key);
        Token { secret, expires: self.expires.unwrap_or_else(|| SystemTime::now() + LIFE) }
    }

    /// The keys of such a text.
    pub fn of_token(token: &Token) -> Self {
        let mut parts = token.secret.splitn(3, '\n').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self {
            access_key_id: next(),
            secret_access_key: next(),
            session_token: Some(next()).filter(|token| !token.is_empty()),
            expires: Some(token.expires).filter(|expires| *expires > SystemTime::UNIX_EPOCH),
        }
    }
}

/// Where AWS's services are.
#[derive(Clone, Debug)]
pub struct Aws {
    environment: Environment,
    metadata: String,
    sts: Option<String>,
}

impl Aws {
    /// As the environment says.
    pub fn new(environment: Environment) -> Self {
        Aws { environment, metadata: METADATA.to_owned(), sts: None }
    }

    /// The same with other addresses of the metadata and the token service, for tests.
    pub fn with_endpoints(self, metadata: impl Into<String>, sts: impl Into<String>) -> Self {
        Aws { metadata: metadata.into(), sts: Some(sts.into()), ..self }
    }

    /// The same with another address of the token service.
    pub fn with_sts(self, sts: impl Into<String>) -> Self {
        Aws { sts: Some(sts.into()), ..self }
    }

    /// Credentials of the account or else of the process: its keys, its web identity, its container's or its machine's
    /// role, the first that the environment speaks of.
    pub async fn credentials(
        &self,
        client: &Client,
        account: Option<&Account>,
        region: &str,
    ) -> Result<Credentials, AuthError> {
        if let Some(account) = account {
            let role = account.annotation(ROLE_ARN)?;
            if !is_role(role) {
                return Err(account.failed(format!("the annotation '{ROLE_ARN}' is not the ARN of a role")));
            }
            let token = account.token(AUDIENCE).await?;
            let session = format!("{}.{}.{region}.fluxcd.io", account.name(), account.namespace());
            return self.assume(client, role, &session, &token, region).await;
        }
        let variable = |name: &str| self.environment.get(name);
        if let (Some(id), Some(key)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            return Ok(Credentials {
                access_key_id: id,
                secret_access_key: key,
                session_token: variable("AWS_SESSION_TOKEN"),
                expires: None,
            });
        }
        if let (Some(role), Some(token)) =
            (variable("AWS_ROLE_ARN"), self.environment.file("AWS_WEB_IDENTITY_TOKEN_FILE")?)
        {
            let session = variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "fluxide".to_owned());
            return self.assume(client, &role, &session, &token, region).await;
        }
        let container = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").or_else(|| {
            variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                .map(|path| format!("{CONTAINER_METADATA}{path}"))
        });
        if let Some(url) = container {
            let mut request = client.get(url);
            let token = match self.environment.file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")? {
                Some(token) => Some(token),
                None => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            };
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, token);
            }
            return http::json::<RoleAnswer>("the AWS container credentials", request)
                .await
                .map(Credentials::from);
        }
        self.of_machine(client).await
    }

    /// Version 2 of the instance metadata service.
    async fn of_machine(&self, client: &Client) -> Result<Credentials, AuthError> {
        const SERVICE: &str = "the AWS metadata service";
        let text = |answer: (u16, Vec<u8>)| match answer {
            (200, body) => Ok(String::from_utf8_lossy(&body).trim().to_owned()),
            (status, body) => Err(http::refused(SERVICE, status, &body)),
        };
        let latest = format!("{}/latest", self.metadata);
        let request =
            client.put(format!("{latest}/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", "300");
        let session = text(http::send(SERVICE, request).await?)?;
        let roles = format!("{latest}/meta-data/iam/security-credentials");
        let get = |url: String| client.get(url).header("X-aws-ec2-metadata-token", &session);
        let role = text(http::send(SERVICE, get(format!("{roles}/"))).await?)?;
        let role = role.lines().next().unwrap_or_default();
        if role.is_empty() {
            return Err(AuthError::NoIdentity("the machine has no role".to_owned()));
        }
        http::json::<RoleAnswer>(SERVICE, get(format!("{roles}/{role}"))).await.map(Credentials::from)
    }

    /// Credentials of a role that other credentials may assume.
    pub async fn assume_role(
        &self,
        client: &Client,
        credentials: &Credentials,
        role: &str,
        session: &str,
        region: &str,
    ) -> Result<Credentials, AuthError> {
        if !is_role(role) {
            return Err(AuthError::Settings(format!("'{role}' is not the ARN of a role")));
        }
        let form = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
        ];
        let request = client.post(self.sts(region)).header(ACCEPT, "application/json").form(&form);
        let mut request = request.build().map_err(|error| AuthError::Settings(error.to_string()))?;
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
        let url = request.url().clone();
        let signed = sigv4::Request { method: "POST", url: &url, headers: &[], body: &body };
        for (name, value) in sigv4::headers(credentials, "sts", region, Timestamp::now(), &signed) {
            let value = value.parse().map_err(|_| {
                AuthError::Settings("the AWS credentials have characters that are not allowed".to_owned())
            })?;
            request.headers_mut().insert(name, value);
        }
        let request = reqwest::RequestBuilder::from_parts(client.clone(), request);
        sts::credentials(request).await
    }

    /// The address of the token service of a region.
    pub fn sts(&self, region: &str) -> String {
        self.sts.clone().unwrap_or_else(|| format!("https://{}/", host("sts", region)))
    }

    async fn assume(
        &self,
        client: &Client,
        role: &str,
        session: &str,
        token: &str,
        region: &str,
    ) -> Result<Credentials, AuthError> {
        let url = self.sts(region);
        // The longest name it may have.
        let session: String = session.chars().take(64).collect();
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", &session),
            ("WebIdentityToken", token),
        ];
        let request = client.post(url).header(ACCEPT, "application/json").form(&form);
        sts::credentials(request).await
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleAnswer {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Option<Timestamp>,
}

impl From<RoleAnswer> for Credentials {
    fn from(answer: RoleAnswer) -> Self {
        Credentials {
            access_key_id: answer.access_key_id,
            secret_access_key: answer.secret_access_key,
            session_token: Some(answer.token),
            expires: answer.expiration.map(SystemTime::from),
        }
    }
}

/// The host of a service in a region.
pub(crate) fn host(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("{service}.{region}.amazonaws.com{suffix}")
}

/// The region of a CodeCommit repository; an error for any other URL, because the password is for CodeCommit alone.
pub fn codecommit_region(url: &Url) -> Result<String, AuthError> {
    let invalid = || {
        let host = url.host_str().unwrap_or_default();
        AuthError::Settings(format!(
            "invalid AWS CodeCommit url: '{host}'. must be https://git-codecommit[-fips].<region>.amazonaws.com[.cn]/..."
        ))
    };
    let host = url.host_str().filter(|_| url.scheme() == "https" && url.port().is_none());
    let region = host.and_then(|host| {
        let host = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
        host.strip_prefix("git-codecommit.").or_else(|| host.strip_prefix("git-codecommit-fips."))
    });
    let plain = |region: &&str| {
        !region.is_empty()
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    region.filter(plain).map(str::to_owned).ok_or_else(invalid)
}

/// User name and password for a CodeCommit repository, good for a quarter of an hour.
pub fn codecommit_password(
    credentials: &Credentials,
    url: &Url,
    now: Timestamp,
) -> Result<(String, String), AuthError> {
    let region = codecommit_region(url)?;
    let timestamp = now.strftime("%Y%m%dT%H%M%S").to_string();
    let scope = format!("{}/{region}/codecommit/aws4_request", &timestamp[..8]);
    let host = url.host_str().unwrap_or_default();
    // The line of the payload's hash is empty.
    let request = format!("GIT\n{}\n\nhost:{host}\n\nhost\n", url.path());
    let hash = hex::encode(digest::digest(&digest::SHA256, request.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hash}");
    let mut key = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    for part in scope.split('/') {
        key = sign(&key, part);
    }
    let signature = hex::encode(sign(&key, &text));
    let username = match &credentials.session_token {
        Some(token) => format!("{}%{token}", credentials.access_key_id),
        None => credentials.access_key_id.clone(),
    };
    Ok((username, format!("{timestamp}Z{signature}")))
}

/// `arn:aws*:iam::<account>:role/<name>`
fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let name = resource.strip_prefix("role/").unwrap_or_default();
    arn == "arn"
        && partition.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(word))
        && service == "iam"
        && region.is_empty()
        && (1..=30).contains(&account.len())
        && account.bytes().all(|b| b.is_ascii_digit())
        && (1..=200).contains(&name.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecommit_hosts_and_no_others() {
        let region = |url: &str| codecommit_region(&Url::parse(url).unwrap()).ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(region("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/x"), some("eu-west-1"));
        assert_eq!(
            region("https://git-codecommit-fips.us-east-2.amazonaws.com/v1/repos/x"),
            some("us-east-2")
        );
        assert_eq!(
            region("https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/x"),
            some("cn-north-1")
        );
        for other in [
            "http://git-codecommit.eu-west-1.amazonaws.com/v1/repos/x",
            "https://git-codecommit.eu-west-1.amazonaws.com:8443/v1/repos/x",
            "https://git-codecommit.eu-west-1.amazonaws.com.evil.com/v1/repos/x",
            "https://git-codecommit.x.evil.amazonaws.com/v1/repos/x",
            "https://github.com/x",
        ] {
            assert_eq!(region(other), None, "{other}");
        }
    }

    #[test]
    fn roles() {
        assert!(is_role("arn:aws:iam::123456789012:role/reader"));
        assert!(is_role("arn:aws-us-gov:iam::1:role/a/b"));
        for other in [
            "",
            "arn:aws:iam::x:role/a",
            "arn:aws:iam::1:user/a",
            "arn:aws:iam::1:role/",
            "x:aws:iam::1:role/a",
        ] {
            assert!(!is_role(other), "{other}");
        }
    }

    #[test]
    fn the_password_is_a_signature() {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: Some("session".to_owned()),
            expires: None,
        };
        let url = Url::parse("https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo").unwrap();
        let now: Timestamp = "2026-08-03T09:14:07Z".parse().unwrap();
        let (username, password) = codecommit_password(&credentials, &url, now).unwrap();
        assert_eq!(username, "AKIDEXAMPLE%session");
        assert_eq!(
            password,
            "20260803T091407Z39b33058b38529081baf6755745bb69d66e682bad4f1b7200635d1b93b8bdc22"
        );
    }

    #[test]
    fn keys_survive_a_cache_of_tokens() {
        let keys = Credentials {
            access_key_id: "a".to_owned(),
            secret_access_key: "b".to_owned(),
            session_token: Some("c".to_owned()),
            expires: Some(SystemTime::now()),
        };
        assert!(Credentials::of_token(&keys.to_token()) == keys);
    }
}
