//! Signatures of requests to AWS, version 4.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use ring::{digest, hmac};
use url::Url;

use crate::aws::Credentials;

/// A request to sign.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// Where it goes.
    pub url: &'a Url,
    /// Headers to sign besides `host` and those that the signature adds, their names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// The headers that make a request a signed one: time, session and signature.
pub fn headers(
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: Timestamp,
    request: &Request<'_>,
) -> Vec<(&'static str, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let mut signed: BTreeMap<&str, String> =
        request.headers.iter().map(|(name, value)| (*name, value.trim().to_owned())).collect();
    signed.insert("host", host(request.url));
    signed.insert("x-amz-date", time.clone());
    if let Some(token) = &credentials.session_token {
        signed.insert("x-amz-security-token", token.clone());
    }
    let names = signed.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let signature = signature(credentials, &time, &scope, request, &query(request.url), &lines, &names);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id
    );
    let mut headers = vec![("x-amz-date", time), ("authorization", authorization)];
    headers.extend(credentials.session_token.clone().map(|token| ("x-amz-security-token", token)));
    headers
}

/// The URL of a request that is signed in its query, so that whoever has the URL can send it until `life` is over. Headers of
/// the request must be sent as they are.
pub fn presigned(
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: Timestamp,
    life: Duration,
    request: &Request<'_>,
) -> Url {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let mut signed: BTreeMap<&str, String> =
        request.headers.iter().map(|(name, value)| (*name, value.trim().to_owned())).collect();
    signed.insert("host", host(request.url));
    let names = signed.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut url = request.url.clone();
    url.query_pairs_mut()
        .append_pair("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
        .append_pair("X-Amz-Credential", &format!("{}/{scope}", credentials.access_key_id))
        .append_pair("X-Amz-Date", &time)
        .append_pair("X-Amz-Expires", &life.as_secs().to_string())
        .append_pair("X-Amz-SignedHeaders", &names)
        .extend_pairs(credentials.session_token.iter().map(|token| ("X-Amz-Security-Token", token)));
    let query = query(&url);
    let signature = signature(credentials, &time, &scope, request, &query, &lines, &names);
    url.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
    url
}

/// The signature of a request at a time, with its query, its headers and their names in the canonical form.
fn signature(
    credentials: &Credentials,
    time: &str,
    scope: &str,
    request: &Request<'_>,
    query: &str,
    lines: &str,
    names: &str,
) -> String {
    let (path, body) = (request.url.path(), sha256(request.body));
    let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{body}", request.method);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    for part in scope.split('/') {
        key = sign(&key, part);
    }
    hex::encode(sign(&key, &text))
}

/// As the client sends it: the port only when it is not that of the scheme.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn query(url: &Url) -> String {
    let mut pairs: Vec<String> =
        url.query_pairs().map(|(name, value)| format!("{}={}", escape(&name), escape(&value))).collect();
    pairs.sort();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

pub(crate) fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(session: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: session.map(str::to_owned),
            expires: None,
        }
    }

    /// The example in AWS's own description of the signature.
    #[test]
    fn signs_as_the_documentation_does() {
        let url = Url::parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08").unwrap();
        let request = Request {
            method: "GET",
            url: &url,
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: b"",
        };
        let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let headers = headers(&credentials(None), "iam", "us-east-1", now, &request);
        assert_eq!(headers[0].1, "20150830T123600Z");
        assert_eq!(
            headers[1].1,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn a_session_is_signed_too() {
        let url = Url::parse("https://kms.eu-west-1.amazonaws.com:8443/").unwrap();
        let request = Request { method: "POST", url: &url, headers: &[], body: b"{}" };
        let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let headers = headers(&credentials(Some("session")), "kms", "eu-west-1", now, &request);
        assert!(headers[1].1.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"));
        assert_eq!(headers[2], ("x-amz-security-token", "session".to_owned()));
    }

    /// What botocore makes of the same request.
    #[test]
    fn signs_in_the_query_as_botocore_does() {
        let url = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";
        let url = Url::parse(url).unwrap();
        let request = Request { method: "GET", url: &url, headers: &[("x-k8s-aws-id", "prod")], body: b"" };
        let now: Timestamp = "2026-08-03T09:14:07Z".parse().unwrap();
        let life = Duration::from_secs(900);
        let presigned =
            |session| presigned(&credentials(session), "sts", "eu-west-1", now, life, &request).to_string();
        assert_eq!(
            presigned(None),
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260803%2Feu-west-1%2Fsts%2Faws4_request\
             &X-Amz-Date=20260803T091407Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
             &X-Amz-Signature=f53ded03c3faafe96ec8acfd3d9eca3cdc522b5b029f1af4b0d3e5d2ce8f8991"
        );
        let of_session = presigned(Some("session/token+="));
        assert!(of_session.contains("&X-Amz-Security-Token=session%2Ftoken%2B%3D&"), "{of_session}");
        let signature = "&X-Amz-Signature=efa22592eaab643018c4fc117c6bf5ac3929fb4aa67ab8ab19117f1eb405da84";
        assert!(of_session.ends_with(signature), "{of_session}");
    }
}
