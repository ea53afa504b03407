//! EKS: clusters that take a signed question to the AWS token service for a password.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use super::{Access, ClusterError, Location};
use crate::aws::{self, Aws, Credentials};
use crate::{AuthError, CacheEvents, Token, http, sigv4};

const SERVICE: &str = "EKS";
const FORM: &str = r"^arn:aws[\w-]*:eks:([^:]{1,100}):[0-9]{1,30}:cluster/(.{1,200})$";

/// The longest that such a password may last.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// Asks EKS for what the settings do not say.
pub(super) async fn locate(access: &Access, events: &dyn CacheEvents) -> Result<Location, ClusterError> {
    let settings = &access.settings;
    let arn = Arn::parse(settings.cluster())?;
    if let Some(location) = settings.location() {
        return Ok(location);
    }
    let credentials = credentials(access, &arn, events).await.map_err(ClusterError::Token)?;
    let failed =
        |source| ClusterError::Describe { service: SERVICE, name: settings.cluster().to_owned(), source };
    let cluster = describe(access, &arn, &credentials).await.map_err(failed)?;
    settings.complete(SERVICE, &cluster.endpoint, &cluster.certificate_authority.data)
}

/// `k8s-aws-v1.` and the URL of a signed question who we are, with the cluster's name signed too, so that it is good for no
/// other cluster.
pub(super) async fn token(access: &Access, events: &dyn CacheEvents) -> Result<Token, ClusterError> {
    let arn = Arn::parse(access.settings.cluster())?;
    let account = access.account();
    let made = access.tokens().get(
        access.key(&["password", arn.region, arn.name], account.as_ref()),
        events,
        || async {
            let credentials = credentials(access, &arn, events).await?;
            let url = format!("{}?Action=GetCallerIdentity&Version=2011-06-15", aws(access).sts(arn.region));
            let url = Url::parse(&url).map_err(|error| AuthError::Settings(format!("{url}: {error}")))?;
            let headers = [("x-k8s-aws-id", arn.name)];
            let request = sigv4::Request { method: "GET", url: &url, headers: &headers, body: b"" };
            let expires = SystemTime::now() + LIFE;
            let url = sigv4::presigned(&credentials, "sts", arn.region, Timestamp::now(), LIFE, &request);
            Ok(Token {
                secret: format!("k8s-aws-v1.{}", BASE64_URL_SAFE_NO_PAD.encode(url.as_str())),
                // With the keys that signed it, it ends.
                expires: credentials.expires.map_or(expires, |end| end.min(expires)),
            })
        },
    );
    made.await.map_err(ClusterError::Token)
}

async fn credentials(
    access: &Access,
    arn: &Arn<'_>,
    events: &dyn CacheEvents,
) -> Result<Credentials, AuthError> {
    let account = access.account();
    let made = access.tokens().get(access.key(&["keys", arn.region], account.as_ref()), events, || async {
        let found = aws(access).credentials(&access.http, account.as_ref(), arn.region).await?;
        Ok(found.to_token())
    });
    made.await.map(|token| Credentials::of_token(&token))
}

fn aws(access: &Access) -> Aws {
    let clusters = &access.clusters;
    let aws = Aws::new(clusters.environment.clone());
    match clusters.endpoint(&clusters.endpoints.aws_sts, "AWS_ENDPOINT_URL_STS") {
        Some(sts) => aws.with_sts(format!("{}/", sts.trim_end_matches('/'))),
        None => aws,
    }
}

async fn describe(access: &Access, arn: &Arn<'_>, credentials: &Credentials) -> Result<Cluster, AuthError> {
    let clusters = &access.clusters;
    let endpoint = match clusters.endpoint(&clusters.endpoints.eks, "AWS_ENDPOINT_URL_EKS") {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => format!("https://{}", aws::host("eks", arn.region)),
    };
    let url = format!("{endpoint}/clusters/{}", arn.name);
    let url = Url::parse(&url).map_err(|error| AuthError::Settings(format!("{url}: {error}")))?;
    let signed = sigv4::Request { method: "GET", url: &url, headers: &[], body: b"" };
    let signature = sigv4::headers(credentials, "eks", arn.region, Timestamp::now(), &signed);
    let mut request = access.http.get(url);
    for (name, value) in signature {
        request = request.header(name, value);
    }
    http::json::<Answer>(SERVICE, request).await.map(|answer| answer.cluster)
}

#[derive(Deserialize)]
struct Answer {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    endpoint: String,
    certificate_authority: Authority,
}

#[derive(Deserialize)]
struct Authority {
    data: String,
}

/// `arn:aws*:eks:<region>:<account>:cluster/<name>`
struct Arn<'a> {
    region: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Result<Self, ClusterError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if let ["arn", partition, "eks", region, account, resource] = parts.as_slice()
            && let Some(name) = resource.strip_prefix("cluster/")
            && partition.strip_prefix("aws").is_some_and(word)
            // It becomes part of a host name.
            && (1..=100).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && (1..=30).contains(&account.len())
            && account.bytes().all(|b| b.is_ascii_digit())
            // It becomes part of a path and a header.
            && (1..=200).contains(&name.len())
            && word(name)
        {
            return Ok(Arn { region, name });
        }
        Err(ClusterError::Name { what: "EKS cluster ARN", name: text.to_owned(), form: FORM })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_eks_and_nowhere_else() {
        let arn = Arn::parse("arn:aws-cn:eks:cn-north-1:123456789012:cluster/my-cluster_1").unwrap();
        assert_eq!((arn.region, arn.name), ("cn-north-1", "my-cluster_1"));
        for text in [
            "",
            "my-cluster",
            "arn:aws:eks:evil.test/#:1:cluster/x",
            "arn:aws:eks:eu-west-1:x:cluster/x",
            "arn:aws:eks:eu-west-1:1:cluster/",
            "arn:aws:eks:eu-west-1:1:cluster/../x",
            "arn:aws:ecs:eu-west-1:1:cluster/x",
        ] {
            assert!(Arn::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Arn::parse("x").err().unwrap().to_string(),
            format!("invalid EKS cluster ARN: 'x'. must match {FORM}")
        );
    }
}
