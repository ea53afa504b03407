//! CDEvents 0.4: whether a body is one, and of a type that the specification knows.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::lenient_json::member;

/// The types: name with version, type of the subject, and the members of its content. `!` marks those
/// that must be there; a link is an object with an `id`.
#[rustfmt::skip]
const TYPES: &[(&str, &str, &str)] = &[
    ("artifact.deleted.0.1.0", "artifact", "user:text"),
    ("artifact.downloaded.0.1.0", "artifact", "user:text"),
    ("artifact.packaged.0.2.0", "artifact", "change!:link sbom:uri"),
    ("artifact.published.0.2.0", "artifact", "sbom:uri user:text"),
    ("artifact.signed.0.2.0", "artifact", "signature!:text"),
    ("branch.created.0.2.0", "branch", "repository:link"),
    ("branch.deleted.0.2.0", "branch", "repository:link"),
    ("build.finished.0.2.0", "build", "artifactId:any-text"),
    ("build.queued.0.2.0", "build", ""),
    ("build.started.0.2.0", "build", ""),
    ("change.abandoned.0.2.0", "change", "repository:link"),
    ("change.created.0.3.0", "change", "description:text repository:link"),
    ("change.merged.0.2.0", "change", "repository:link"),
    ("change.reviewed.0.2.0", "change", "repository:link"),
    ("change.updated.0.2.0", "change", "repository:link"),
    ("environment.created.0.2.0", "environment", "name:any-text url:any-text"),
    ("environment.deleted.0.2.0", "environment", "name:any-text"),
    ("environment.modified.0.2.0", "environment", "name:any-text url:any-text"),
    ("incident.detected.0.2.0", "incident", "description:any-text environment!:link service:link artifactId:text"),
    ("incident.reported.0.2.0", "incident", "description:any-text environment!:link ticketURI!:text service:link artifactId:text"),
    ("incident.resolved.0.2.0", "incident", "description:any-text environment!:link service:link artifactId:text"),
    ("pipelinerun.finished.0.2.0", "pipelineRun", "pipelineName:any-text url:any-text outcome:any-text errors:any-text"),
    ("pipelinerun.queued.0.2.0", "pipelineRun", "pipelineName:any-text url:any-text"),
    ("pipelinerun.started.0.2.0", "pipelineRun", "pipelineName!:any-text url!:any-text"),
    ("repository.created.0.2.0", "repository", "name!:text owner:any-text url!:text viewUrl:any-text"),
    ("repository.deleted.0.2.0", "repository", "name:any-text owner:any-text url:any-text viewUrl:any-text"),
    ("repository.modified.0.2.0", "repository", "name:any-text owner:any-text url:any-text viewUrl:any-text"),
    ("service.deployed.0.2.0", "service", "environment!:link artifactId!:text"),
    ("service.published.0.2.0", "service", "environment:link"),
    ("service.removed.0.2.0", "service", "environment:link"),
    ("service.rolledback.0.2.0", "service", "environment!:link artifactId!:text"),
    ("service.upgraded.0.2.0", "service", "environment!:link artifactId!:text"),
    ("taskrun.finished.0.2.0", "taskRun", "taskName:any-text url:any-text pipelineRun:link outcome:any-text errors:any-text"),
    ("taskrun.started.0.2.0", "taskRun", "taskName:any-text url:any-text pipelineRun:link"),
    ("testcaserun.finished.0.2.0", "testCaseRun", "outcome!:pass|fail|cancel|error severity:low|medium|high|critical reason:any-text environment!:link testSuiteRun:link testCase:link"),
    ("testcaserun.queued.0.2.0", "testCaseRun", "trigger:object environment!:link testSuiteRun:link testCase:link"),
    ("testcaserun.skipped.0.1.0", "testCaseRun", "reason:any-text environment:link testSuiteRun:link testCase:link"),
    ("testcaserun.started.0.2.0", "testCaseRun", "trigger:object environment!:link testSuiteRun:link testCase:link"),
    ("testoutput.published.0.2.0", "testOutput", "outputType!:report|video|image|log|other format!:any-text uri:any-text testCaseRun:link"),
    ("testsuiterun.finished.0.2.0", "testSuiteRun", "environment!:link testSuite:link outcome!:pass|fail|cancel|error severity:low|medium|high|critical reason:any-text"),
    ("testsuiterun.queued.0.2.0", "testSuiteRun", "trigger:object environment!:link testSuite:link"),
    ("testsuiterun.started.0.2.0", "testSuiteRun", "trigger:object environment!:link testSuite:link"),
    ("ticket.closed.0.1.0", "ticket", "summary:any-text ticketType:any-text group:any-text creator:text assignees:texts priority:any-text labels:texts milestone:any-text uri!:text resolution!:any-text updatedBy:any-text"),
    ("ticket.created.0.1.0", "ticket", "summary!:any-text ticketType:any-text group:any-text creator!:text assignees:texts priority:any-text labels:texts milestone:any-text uri!:text"),
    ("ticket.updated.0.1.0", "ticket", "summary:any-text ticketType:any-text group:any-text creator:text assignees:texts priority:any-text labels:texts milestone:any-text updatedBy:any-text uri!:text"),
];

const PREFIX: &str = "dev.cdevents.";
const CONTEXT: [&str; 5] = ["version", "id", "source", "type", "timestamp"];

/// Why a body is no CDEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NotJson,
    /// The type is not in the specification.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    /// Its schema is not in the specification.
    #[error("schema with id {0} could not be found")]
    UnknownSchema(String),
    /// Something is missing.
    #[error("{0} is missing or has the wrong form")]
    Missing(String),
}

/// Checks a body.
pub fn check(body: &[u8]) -> Result<(), Error> {
    let event: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Error::NotJson)?;
    let context = object(&event, "context")?;
    for member in CONTEXT {
        text(context, "context", member)?;
    }
    links(context)?;
    let time = text(context, "context", "timestamp")?;
    time.parse::<Timestamp>().map_err(|_| Error::Missing("context.timestamp".to_owned()))?;
    // Events of a schema of its own are of use to those who know it.
    let schema = member(context, "schemaUri").and_then(Value::as_str).unwrap_or_default();
    if !schema.is_empty() {
        return Err(Error::UnknownSchema(schema.to_owned()));
    }
    let kind = text(context, "context", "type")?;
    let (_, subject_type, content_members) = find(kind).ok_or_else(|| Error::UnknownType(kind.to_owned()))?;

    let subject = object(&event, "subject")?;
    text(subject, "subject", "id")?;
    if member(subject, "type").and_then(Value::as_str) != Some(subject_type) {
        return Err(Error::Missing("subject.type".to_owned()));
    }
    content(object(subject, "content")?, content_members)
}

/// The type with this name; the last two parts of its version may differ.
fn find(kind: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let (name, version) = split(kind.strip_prefix(PREFIX)?)?;
    let major = version.split('.').next()?;
    let numbers = version.split('-').next()?.split('.');
    if numbers.clone().count() != 3 || !numbers.clone().all(|part| part.parse::<u32>().is_ok()) {
        return None;
    }
    TYPES.iter().find(|(known, ..)| {
        split(known).is_some_and(|(known, version)| known == name && version.split('.').next() == Some(major))
    })
}

/// `artifact.published.0.2.0` is `artifact.published` and `0.2.0`.
fn split(kind: &str) -> Option<(&str, &str)> {
    let (at, _) = kind.match_indices('.').nth(1)?;
    Some((&kind[..at], &kind[at + 1..]))
}

fn content(content: &Map<String, Value>, members: &str) -> Result<(), Error> {
    let members: Vec<(&str, bool, &str)> = members
        .split_whitespace()
        .filter_map(|member| member.split_once(':'))
        .map(|(name, kind)| (name.trim_end_matches('!'), name.ends_with('!'), kind))
        .collect();
    for (name, required, kind) in members {
        let fits = match member(content, name) {
            None => !required,
            Some(value) => fits(value, kind),
        };
        if !fits {
            return Err(Error::Missing(format!("subject.content.{name}")));
        }
    }
    Ok(())
}

fn fits(value: &Value, kind: &str) -> bool {
    let names = |name: &str| {
        let found = value.as_object().and_then(|object| member(object, name)).and_then(Value::as_str);
        found.is_some_and(|text| !text.is_empty())
    };
    match kind {
        "link" => names("id"),
        "uri" => names("uri"),
        "object" => value.is_object(),
        "texts" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        "text" => value.as_str().is_some_and(|text| !text.is_empty()),
        "any-text" => value.is_string(),
        choices => value.as_str().is_some_and(|text| choices.split('|').any(|choice| choice == text)),
    }
}

/// The links of an event lead to other events.
fn links(context: &Map<String, Value>) -> Result<(), Error> {
    let wrong = || Error::Missing("context.links".to_owned());
    let Some(links) = member(context, "links").filter(|links| !links.is_null()) else { return Ok(()) };
    for link in links.as_array().ok_or_else(wrong)? {
        let link = link.as_object().ok_or_else(wrong)?;
        for end in ["from", "to", "target"].iter().filter_map(|end| member(link, end)) {
            text(end.as_object().ok_or_else(wrong)?, "context.links", "contextId")?;
        }
    }
    Ok(())
}

fn object<'a>(parent: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Error> {
    member(parent, name).and_then(Value::as_object).ok_or_else(|| Error::Missing(name.to_owned()))
}

fn text<'a>(parent: &'a Map<String, Value>, path: &str, name: &str) -> Result<&'a str, Error> {
    let found = member(parent, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Error::Missing(format!("{path}.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, subject: &str, content: Value) -> Value {
        json!({
            "context": {"version": "0.4.1", "id": "1", "source": "/s", "type": kind, "timestamp": "2026-08-01T10:00:00Z"},
            "subject": {"id": "x", "source": "/s", "type": subject, "content": content},
        })
    }

    fn verdict(event: &Value) -> Result<(), Error> {
        check(event.to_string().as_bytes())
    }

    #[test]
    fn events_of_the_specification_pass() {
        let merged = event(
            "dev.cdevents.change.merged.0.2.0",
            "change",
            json!({"repository": {"id": "r", "source": "/s"}}),
        );
        assert_eq!(verdict(&merged), Ok(()));
        let packaged =
            event("dev.cdevents.artifact.packaged.0.1.1", "artifact", json!({"change": {"id": "c"}}));
        assert_eq!(verdict(&packaged), Ok(()));
        let run = event(
            "dev.cdevents.testcaserun.finished.0.2.0",
            "testCaseRun",
            json!({"outcome": "pass", "environment": {"id": "e"}}),
        );
        assert_eq!(verdict(&run), Ok(()));
    }

    #[test]
    fn others_do_not() {
        let good = event("dev.cdevents.change.merged.0.2.0", "change", json!({}));
        for (pointer, value) in [
            ("/context/type", json!("dev.cdevents.change.merged.1.0.0")),
            ("/context/type", json!("dev.cdevents.change.eaten.0.2.0")),
            ("/context/type", json!("change.merged.0.2.0")),
            ("/context/id", json!("")),
            ("/context/timestamp", json!("yesterday")),
            ("/subject/type", json!("artifact")),
            ("/subject/id", json!(1)),
            ("/subject/content", json!({"repository": {"source": "/s"}})),
            ("/subject", json!(null)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(verdict(&bad).is_err(), "{pointer}");
        }
        for (member, value) in [
            ("links", json!([{"from": {"contextId": 1}}])),
            ("links", json!({})),
            ("schemaUri", json!("https://example.test/schema")),
        ] {
            let mut bad = good.clone();
            bad["context"][member] = value;
            assert!(verdict(&bad).is_err(), "{member}");
        }
        let mut odd = good.clone();
        odd["context"]["unknown"] = 1.into();
        odd["context"]["links"] = json!([{"linkType": "END", "from": {"contextId": "x"}}]);
        assert_eq!(verdict(&odd), Ok(()));
        assert_eq!(check(b"[]"), Err(Error::NotJson));
        let missing = event("dev.cdevents.artifact.packaged.0.2.0", "artifact", json!({}));
        assert_eq!(verdict(&missing), Err(Error::Missing("subject.content.change".to_owned())));
    }
}
