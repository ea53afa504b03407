//! Jobs and CronJobs.

use serde_json::Value;

use super::super::invalid_text;
use super::{immutable, integer, items, member, not_negative, one_of, pods, selector, string};
use crate::api_error::FieldError;

/// Checks a Job. An update is checked like a create, and then once more against what was there.
pub(super) fn job(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    generated_selector(v, errors);
    spec_with_selector(v, errors);
    let Some(old) = old else { return };
    spec_with_selector(v, errors);
    let (new_spec, old_spec) = (&v["spec"], &old["spec"]);
    completions(new_spec, old_spec, errors);
    selector::immutable(v, old, errors);
    if !suspended(old) && member(new_spec, "template") != member(old_spec, "template") {
        let shown = super::super::internal::pod_template(&new_spec["template"]);
        errors.push(invalid_text("spec.template", &shown, super::IMMUTABLE));
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(new_spec, old_spec, name, &format!("spec.{name}"), errors);
    }
}

/// Checks a CronJob.
pub(super) fn cron_job(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    schedule(string(spec, "schedule"), errors);
    not_negative(spec, "startingDeadlineSeconds", "spec", errors);
    if let Some(zone) = member(spec, "timeZone").and_then(Value::as_str) {
        time_zone(zone, errors);
    }
    one_of(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], errors);
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", errors);
    if let Some(wanted) = member(&spec["jobTemplate"]["spec"], "selector") {
        errors.push(invalid_text(
            "spec.jobTemplate.spec.selector",
            &selector::text(Some(wanted)),
            "`selector` will be auto-generated",
        ));
    }
    not_negative(spec, "successfulJobsHistoryLimit", "spec", errors);
    not_negative(spec, "failedJobsHistoryLimit", "spec", errors);
}

fn suspended(job: &Value) -> bool {
    job["spec"].get("suspend") == Some(&Value::Bool(true))
}

/// Without a selector of the user's own, the server's must be the only one.
fn generated_selector(v: &Value, errors: &mut Vec<FieldError>) {
    const UID: &str = "batch.kubernetes.io/controller-uid";
    let spec = &v["spec"];
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let Some(wanted) = member(spec, "selector") else { return };
    let uid = string(&v["metadata"], "uid");
    let labels = wanted.get("matchLabels").and_then(Value::as_object);
    let alone = labels.is_some_and(|labels| {
        labels.len() == 1
            && labels
                .iter()
                .all(|(key, value)| (key == UID || key == "controller-uid") && value.as_str() == Some(uid))
    });
    if !alone || !items(wanted, "matchExpressions").is_empty() {
        errors.push(invalid_text(
            "spec.selector",
            &selector::text(Some(wanted)),
            "`selector` not auto-generated",
        ));
    }
}

fn spec_with_selector(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    job_spec(spec, "spec", errors);
    let Some(wanted) = member(spec, "selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    selector::validate(Some(wanted), "spec.selector", errors);
    let labels = spec["template"]["metadata"].get("labels");
    if selector::is_usable(Some(wanted)) && !selector::matches(Some(wanted), labels) {
        errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
}

fn job_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(spec, name, path, errors);
    }
    let mode = string(spec, "completionMode");
    if !matches!(mode, "" | "NonIndexed" | "Indexed") {
        let supported = ["NonIndexed", "Indexed"];
        errors.push(FieldError::not_supported(format!("{path}.completionMode"), mode, &supported));
    }
    if mode == "Indexed" {
        if member(spec, "completions").is_none() {
            let why = "when completion mode is Indexed";
            errors.push(FieldError::required(format!("{path}.completions"), why));
        }
        let parallelism = integer(spec, "parallelism");
        if parallelism > 100_000 {
            let why = "must be less than or equal to 100000 when completion mode is Indexed";
            errors.push(FieldError::invalid(format!("{path}.parallelism"), parallelism, why));
        }
    } else {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if member(spec, name).is_some() {
                let why = "requires indexed completion mode";
                errors.push(FieldError::invalid(format!("{path}.{name}"), integer(spec, name), why));
            }
        }
    }
    pods::template(&spec["template"], &format!("{path}.template"), errors);
    let at = format!("{path}.template.spec.restartPolicy");
    match string(&spec["template"]["spec"], "restartPolicy") {
        "" | "Always" => {
            errors.push(FieldError::required(at, "valid values: \"OnFailure\", \"Never\""));
        }
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(at, other, &["OnFailure", "Never"])),
    }
}

/// Completions stay, except that an indexed Job may scale them together with its parallelism.
fn completions(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if string(new, "completionMode") != "Indexed" {
        immutable(new, old, "completions", "spec.completions", errors);
        return;
    }
    let (now, then) = (member(new, "completions"), member(old, "completions"));
    if now != then && now.is_some() && now != member(new, "parallelism") {
        errors.push(FieldError::invalid(
            "spec.completions",
            now.cloned().unwrap_or_default(),
            "can only be modified in tandem with spec.parallelism",
        ));
    }
}

fn schedule(text: &str, errors: &mut Vec<FieldError>) {
    let path = "spec.schedule";
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if let Err(why) = parse_schedule(text) {
        errors.push(FieldError::invalid(path, text, why));
    }
    if text.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(path, text, why));
    }
}

/// Reads a schedule as the cron library does, for its errors.
fn parse_schedule(text: &str) -> Result<(), String> {
    let mut text = text;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let (zone, rest) = text.split_once(' ').ok_or_else(|| "panic recovered".to_owned())?;
        let zone = zone.split_once('=').map_or("", |(_, zone)| zone);
        if jiff::tz::TimeZone::get(zone).is_err() {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        text = rest.trim();
    }
    if let Some(name) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let every = name.strip_prefix("every ");
        if known.contains(&name) {
            return Ok(());
        }
        return match every {
            Some(period) if super::super::formats::go_duration(period).is_some() => Ok(()),
            Some(period) => Err(format!(
                "failed to parse duration {text}: time: invalid duration {}",
                crate::api_error::go_quote(period)
            )),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    const MONTHS: &[&str] =
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let bounds: [(u32, u32, &[&str], u32); 5] =
        [(0, 59, &[], 0), (0, 23, &[], 0), (1, 31, &[], 0), (1, 12, MONTHS, 1), (0, 6, DAYS, 0)];
    for (field, (min, max, names, first)) in fields.iter().zip(bounds) {
        for expression in field.split(',') {
            range(expression, min, max, names, first)?;
        }
    }
    Ok(())
}

fn range(expression: &str, min: u32, max: u32, names: &[&str], first: u32) -> Result<(), String> {
    let (bounds, step) = match expression.split('/').collect::<Vec<_>>().as_slice() {
        [bounds] => (*bounds, 1),
        [bounds, step] => (*bounds, number(step)?),
        _ => return Err(format!("too many slashes: {expression}")),
    };
    let value = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.map_or_else(|| number(text), |index| Ok(index as u32 + first))
    };
    let (start, end) = match bounds.split('-').collect::<Vec<_>>().as_slice() {
        ["*" | "?"] => (min, max),
        [single] if expression.contains('/') => (value(single)?, max),
        [single] => (value(single)?, value(single)?),
        [start, end] => (value(start)?, value(end)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {expression}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {expression}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).map_err(|_| format!("failed to parse int from {text}")),
        Err(_) => Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax",
            crate::api_error::go_quote(text)
        )),
    }
}

fn time_zone(zone: &str, errors: &mut Vec<FieldError>) {
    let path = "spec.timeZone";
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let well_formed = zone.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'))
    });
    if !well_formed {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, why));
    }
    if jiff::tz::TimeZone::get(zone).is_err() {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}
