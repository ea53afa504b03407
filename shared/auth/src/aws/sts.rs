//! What the AWS token service answers when somebody takes a role. AWS answers in JSON if asked to; services that stand in for
//! it answer in XML all the same.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde_json::Value;

use super::Credentials;
use crate::{AuthError, http};

const SERVICE: &str = "AWS STS";

/// Asks for a role and reads its keys.
pub(super) async fn credentials(request: RequestBuilder) -> Result<Credentials, AuthError> {
    let (status, body) = http::send(SERVICE, request).await?;
    if !(200..300).contains(&status) {
        return Err(http::refused(SERVICE, status, &body));
    }
    let incomplete = || AuthError::Answer {
        service: SERVICE.to_owned(),
        reason: "it has no credentials with AccessKeyId, SecretAccessKey, SessionToken and Expiration"
            .to_owned(),
    };
    let text = String::from_utf8_lossy(&body);
    let found = if text.trim_start().starts_with('<') { of_xml(&text) } else { of_json(&body) };
    found.ok_or_else(incomplete)
}

fn of_json(body: &[u8]) -> Option<Credentials> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    // `<Action>Response`, and in it `<Action>Result`.
    let (_, response) = answer.as_object()?.iter().find(|(name, _)| name.ends_with("Response"))?;
    let (_, result) = response.as_object()?.iter().find(|(name, _)| name.ends_with("Result"))?;
    let found = &result["Credentials"];
    let text = |name: &str| Some(found[name].as_str()?.to_owned()).filter(|text| !text.is_empty());
    let expires = match &found["Expiration"] {
        Value::Number(seconds) => {
            SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds.as_f64()?.clamp(0.0, 1e11))
        }
        Value::String(time) => time.parse::<Timestamp>().ok()?.into(),
        _ => return None,
    };
    Some(Credentials {
        access_key_id: text("AccessKeyId")?,
        secret_access_key: text("SecretAccessKey")?,
        session_token: Some(text("SessionToken")?),
        expires: Some(expires),
    })
}

fn of_xml(text: &str) -> Option<Credentials> {
    let found = element(text, "Credentials")?;
    let text = |name: &str| Some(element(found, name)?.trim().to_owned()).filter(|text| !text.is_empty());
    Some(Credentials {
        access_key_id: text("AccessKeyId")?,
        secret_access_key: text("SecretAccessKey")?,
        session_token: Some(text("SessionToken")?),
        expires: Some(text("Expiration")?.parse::<Timestamp>().ok()?.into()),
    })
}

/// What stands in the first element of a name that has no attributes. Keys and tokens have no characters that XML escapes.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_answer_are_read() {
        let json = r#"{"AssumeRoleResponse":{"AssumeRoleResult":{"Credentials":{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"t/+=","Expiration":4070908800.0},"PackedPolicySize":6},"ResponseMetadata":{"RequestId":"x"}}}"#;
        let xml = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\n<AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
            <SessionToken>t/+=</SessionToken><Expiration>2099-01-01T00:00:00.000Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let json = of_json(json.as_bytes()).unwrap();
        assert_eq!(json.session_token.as_deref(), Some("t/+="));
        assert!(json == of_xml(xml).unwrap());
    }

    #[test]
    fn incomplete_answers_are_refused() {
        for text in
            ["{}", "[]", "null", "{\"AResponse\":{\"AResult\":{\"Credentials\":{\"AccessKeyId\":\"\"}}}}"]
        {
            assert!(of_json(text.as_bytes()).is_none(), "{text}");
        }
        for text in ["<a>", "<Credentials></Credentials>", "<Credentials><AccessKeyId>A</AccessKeyId>"] {
            assert!(of_xml(text).is_none(), "{text}");
        }
    }
}
