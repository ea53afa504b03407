//! Jobs and CronJobs.

use serde_json::Value;

use super::super::{internal, invalid_text, metadata, names};
use super::{immutable, integer, items, member, not_negative, one_of, pods, schedules, selector, string};
use crate::api_error::{FieldError, FieldErrorKind};
use crate::registry::Resource;

/// Checks a Job. An update is checked like a create, and then once more against what was there.
pub(super) fn job(resource: &Resource, v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    generated_selector(v, errors);
    spec_with_selector(v, errors);
    indexed_names(v, errors);
    let Some(old) = old else { return };
    errors.extend(metadata::validate_change(resource, v, old));
    spec_with_selector(v, errors);
    let (new_spec, old_spec) = (&v["spec"], &old["spec"]);
    completions(new_spec, old_spec, errors);
    selector::immutable(v, old, errors);
    if suspended(old) {
        if scheduled(new_spec) != scheduled(old_spec) {
            let shown = internal::text("core.PodSpec", &new_spec["template"]["spec"]);
            errors.push(invalid_text("spec.template.spec", &shown, super::IMMUTABLE));
        }
    } else if member(new_spec, "template") != member(old_spec, "template") {
        let shown = internal::pod_template(&new_spec["template"]);
        errors.push(invalid_text("spec.template", &shown, super::IMMUTABLE));
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        let (path, found) = (format!("spec.{name}"), member(new_spec, name));
        let kind = match name {
            "podFailurePolicy" => "*batch.PodFailurePolicy",
            "successPolicy" => "*batch.SuccessPolicy",
            _ => {
                immutable(new_spec, old_spec, name, &path, errors);
                continue;
            }
        };
        if found != member(old_spec, name) {
            let shown = internal::text(kind, found.unwrap_or(&Value::Null));
            errors.push(invalid_text(path, &shown, super::IMMUTABLE));
        }
    }
}

/// Checks a CronJob.
pub(super) fn cron_job(v: &Value, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    schedules::schedule(string(spec, "schedule"), errors);
    not_negative(spec, "startingDeadlineSeconds", "spec", errors);
    if let Some(zone) = member(spec, "timeZone").and_then(Value::as_str) {
        schedules::time_zone(zone, errors);
    }
    one_of(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], errors);
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", errors);
    let job = &spec["jobTemplate"]["spec"];
    if let Some(wanted) = member(job, "selector") {
        errors.push(invalid_text(
            "spec.jobTemplate.spec.selector",
            &selector::text(Some(wanted)),
            "`selector` will be auto-generated",
        ));
    }
    if job.get("manualSelector") == Some(&Value::Bool(true)) {
        let path = "spec.jobTemplate.spec.manualSelector";
        errors.push(FieldError::not_supported(path, true, &["nil", "false"]));
    }
    not_negative(spec, "successfulJobsHistoryLimit", "spec", errors);
    not_negative(spec, "failedJobsHistoryLimit", "spec", errors);
}

fn suspended(job: &Value) -> bool {
    job["spec"].get("suspend") == Some(&Value::Bool(true))
}

/// The template without what a suspended Job may still change: where its pods go, and what they get.
fn scheduled(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    for path in [
        &["metadata", "labels"][..],
        &["metadata", "annotations"],
        &["spec", "nodeSelector"],
        &["spec", "tolerations"],
        &["spec", "schedulingGates"],
        &["spec", "affinity"],
    ] {
        crate::object::remove_at(&mut template, path);
    }
    if template["metadata"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Value::Object(members) = &mut template
    {
        members.remove("metadata");
    }
    for list in ["containers", "initContainers"] {
        for container in template["spec"][list].as_array_mut().into_iter().flatten() {
            crate::object::remove_at(container, &["resources"]);
        }
    }
    template
}

/// The pods of indexed Jobs have the index in their names.
fn indexed_names(v: &Value, errors: &mut Vec<FieldError>) {
    let (name, completions) = (string(&v["metadata"], "name"), integer(&v["spec"], "completions"));
    if string(&v["spec"], "completionMode") != "Indexed" || completions <= 0 {
        return;
    }
    let longest = format!("{name}-{}", completions - 1);
    if !names::dns1123_label(&longest).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {longest}");
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
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
    let on_template = spec["template"]["metadata"].get("labels");
    let name = string(&v["metadata"], "name");
    for (key, expected) in
        [("controller-uid", uid), ("job-name", name), (UID, uid), ("batch.kubernetes.io/job-name", name)]
    {
        let path = format!("spec.template.metadata.labels[{key}]");
        let why = format!("must be '{expected}'");
        match on_template.and_then(|labels| labels.get(key)).and_then(Value::as_str) {
            None => errors.push(FieldError::required(path, why)),
            Some(found) if found != expected => {
                let shown = on_template.cloned().unwrap_or_default();
                errors.push(FieldError::invalid(path, shown, why));
            }
            Some(_) => {}
        }
    }
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
    let wanted = member(spec, "selector");
    if wanted.is_none() {
        errors.push(FieldError::required("spec.selector", ""));
    }
    selector::validate(wanted, "spec.selector", errors);
    let labels = spec["template"]["metadata"].get("labels");
    if selector::is_usable(wanted) && !selector::matches(wanted, labels) {
        errors.push(FieldError::invalid(
            "spec.template.metadata.labels",
            labels.cloned().unwrap_or(Value::Null),
            "`selector` does not match template `labels`",
        ));
    }
}

fn job_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{path}.{name}");
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
    if member(spec, "maxFailedIndexes").is_some() && member(spec, "backoffLimitPerIndex").is_none() {
        errors.push(FieldError::required(at("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = member(spec, "managedBy").and_then(Value::as_str) {
        for m in names::domain_prefixed_path(manager) {
            errors.push(match m.as_str() {
                "" => FieldError::required(at("managedBy"), ""),
                m => FieldError::invalid(at("managedBy"), manager, m),
            });
        }
        if manager.len() > 63 {
            errors.push(FieldError::too_long(at("managedBy"), 63));
        }
    }
    completion_mode(spec, path, errors);
    if let Some(policy) = member(spec, "podFailurePolicy") {
        failure_policy(spec, policy, &at("podFailurePolicy.rules"), errors);
    }
    if let Some(policy) = member(spec, "successPolicy") {
        if string(spec, "completionMode") == "Indexed" {
            success_policy(spec, policy, &at("successPolicy.rules"), errors);
        } else {
            let shown = internal::text("batch.SuccessPolicy", policy);
            errors.push(invalid_text(at("successPolicy"), &shown, "requires indexed completion mode"));
        }
    }
    replacement_policy(spec, &at("podReplacementPolicy"), errors);
    pods::template(&spec["template"], &at("template"), errors);
    let at = at("template.spec.restartPolicy");
    match string(&spec["template"]["spec"], "restartPolicy") {
        "" | "Always" => {
            errors.push(FieldError::required(at, "valid values: \"OnFailure\", \"Never\""));
        }
        "Never" => {}
        "OnFailure" if member(spec, "podFailurePolicy").is_some() => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(FieldError::invalid(at, "OnFailure", why));
        }
        "OnFailure" => {}
        other => errors.push(FieldError::not_supported(at, other, &["OnFailure", "Never"])),
    }
}

fn completion_mode(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST_INDEXES: i64 = 100_000;
    let at = |name: &str| format!("{path}.{name}");
    let mode = string(spec, "completionMode");
    if member(spec, "completionMode").is_some() && !matches!(mode, "NonIndexed" | "Indexed") {
        let supported = ["NonIndexed", "Indexed"];
        errors.push(FieldError::not_supported(at("completionMode"), mode, &supported));
    }
    let number = |name: &str| member(spec, name).and_then(Value::as_i64);
    if mode != "Indexed" {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if matches!(mode, "" | "NonIndexed")
                && let Some(number) = number(name)
            {
                errors.push(FieldError::invalid(at(name), number, "requires indexed completion mode"));
            }
        }
        return;
    }
    let completions = number("completions");
    if completions.is_none() {
        errors.push(FieldError::required(at("completions"), "when completion mode is Indexed"));
    }
    let parallelism = number("parallelism").filter(|n| *n > MOST_INDEXES);
    if let Some(parallelism) = parallelism {
        let why = "must be less than or equal to 100000 when completion mode is Indexed";
        errors.push(FieldError::invalid(at("parallelism"), parallelism, why));
    }
    let failed = number("maxFailedIndexes");
    if let (Some(failed), Some(completions)) = (failed, completions)
        && failed > completions
    {
        let why = "must be less than or equal to completions";
        errors.push(FieldError::invalid(at("maxFailedIndexes"), failed, why));
    }
    if let Some(failed) = failed.filter(|n| *n > MOST_INDEXES) {
        let why = format!("must be less than or equal to {MOST_INDEXES}");
        errors.push(FieldError::invalid(at("maxFailedIndexes"), failed, why));
    }
    if completions.is_none_or(|n| n <= MOST_INDEXES) || number("backoffLimitPerIndex").is_none() {
        return;
    }
    if failed.is_none() {
        let why = format!("must be specified when completions is above {MOST_INDEXES}");
        errors.push(FieldError::required(at("maxFailedIndexes"), why));
    }
    for name in ["parallelism", "maxFailedIndexes"] {
        if let Some(found) = number(name).filter(|n| *n > 10_000) {
            let why = format!(
                "must be less than or equal to 10000 when completions are above {MOST_INDEXES} and used with backoff \
                 limit per index"
            );
            errors.push(FieldError::invalid(at(name), found, why));
        }
    }
}

fn failure_policy(spec: &Value, policy: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST: usize = 20;
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let rules = items(policy, "rules");
    if rules.len() > MOST {
        errors.push(FieldError::too_many(path, rules.len(), MOST));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let at = format!("{path}.action");
        match string(rule, "action") {
            "" => errors.push(FieldError::required(at, valid_values(&ACTIONS))),
            "FailIndex" if member(spec, "backoffLimitPerIndex").is_none() => {
                let why = "requires the backoffLimitPerIndex to be set";
                errors.push(FieldError::invalid(at, "FailIndex", why));
            }
            action if ACTIONS.contains(&action) => {}
            other => errors.push(FieldError::not_supported(at, other, &ACTIONS)),
        }
        let (codes, conditions) = (member(rule, "onExitCodes"), items(rule, "onPodConditions"));
        if let Some(codes) = codes {
            exit_codes(spec, codes, &format!("{path}.onExitCodes"), errors);
        }
        if !conditions.is_empty() {
            pod_conditions(conditions, &format!("{path}.onPodConditions"), errors);
        }
        let why = match (codes.is_some(), !conditions.is_empty()) {
            (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(FieldError {
            kind: FieldErrorKind::Invalid,
            field: path,
            value: None,
            detail: why.to_owned(),
        });
    }
}

fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn exit_codes(spec: &Value, v: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST: usize = 255;
    let operator = string(v, "operator");
    let at = format!("{path}.operator");
    match operator {
        "" => errors.push(FieldError::required(at, valid_values(&["In", "NotIn"]))),
        "In" | "NotIn" => {}
        other => errors.push(FieldError::not_supported(at, other, &["In", "NotIn"])),
    }
    let pod = &spec["template"]["spec"];
    let known = |name: &str| {
        let all = items(pod, "containers").iter().chain(items(pod, "initContainers"));
        all.into_iter().any(|container| string(container, "name") == name)
    };
    if let Some(name) = member(v, "containerName").and_then(Value::as_str)
        && !known(name)
    {
        let why = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(format!("{path}.containerName"), name, why));
    }
    let path = format!("{path}.values");
    let values: Vec<i64> = items(v, "values").iter().filter_map(Value::as_i64).collect();
    if values.is_empty() {
        let shown = v.get("values").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path, shown, "at least one value is required"));
    } else if values.len() > MOST {
        errors.push(FieldError::too_many(&path, values.len(), MOST));
    }
    for (index, value) in values.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if operator == "In" && *value == 0 {
            errors.push(FieldError::invalid(&at, *value, "must not be 0 for the In operator"));
        }
        if values[..index].contains(value) {
            errors.push(FieldError::duplicate(at, *value));
        }
    }
    if !values.is_sorted() {
        errors.push(FieldError::invalid(&path, values, "must be ordered"));
    }
}

fn pod_conditions(patterns: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    const MOST: usize = 20;
    const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
    if patterns.len() > MOST {
        errors.push(FieldError::too_many(path, patterns.len(), MOST));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let kind = string(pattern, "type");
        for m in names::qualified_name(kind) {
            errors.push(FieldError::invalid(format!("{path}.type"), kind, m));
        }
        let at = format!("{path}.status");
        match string(pattern, "status") {
            "" => errors.push(FieldError::required(at, valid_values(&STATUSES))),
            status if STATUSES.contains(&status) => {}
            other => errors.push(FieldError::not_supported(at, other, &STATUSES)),
        }
    }
}

fn success_policy(spec: &Value, policy: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MOST: usize = 20;
    const LONGEST: usize = 64 * 1024;
    let rules = items(policy, "rules");
    if rules.is_empty() {
        let why = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path, why));
    }
    if rules.len() > MOST {
        errors.push(FieldError::too_many(path, rules.len(), MOST));
    }
    let completions = integer(spec, "completions");
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let indexes = member(rule, "succeededIndexes").and_then(Value::as_str);
        let count = member(rule, "succeededCount").and_then(Value::as_i64);
        if indexes.is_none() && count.is_none() {
            let why = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(&path, why));
        }
        let mut total = 0;
        if let Some(indexes) = indexes {
            let at = format!("{path}.succeededIndexes");
            if indexes.len() > LONGEST {
                errors.push(FieldError::too_long(&at, LONGEST));
            }
            match index_count(indexes, completions) {
                Ok(count) => total = count,
                Err(why) => {
                    let why = format!("error parsing succeededIndexes: {why}");
                    errors.push(FieldError::invalid(at, indexes, why));
                }
            }
        }
        let Some(count) = count else { continue };
        let at = format!("{path}.succeededCount");
        if count < 0 {
            errors.push(FieldError::invalid(&at, count, super::NOT_NEGATIVE));
        }
        if count > completions {
            let why =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            errors.push(FieldError::invalid(&at, count, why));
        }
        if indexes.is_some() && count > total {
            let why = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            errors.push(FieldError::invalid(at, count, why));
        }
    }
}

/// How many indexes a list such as `1,3-5` names.
fn index_count(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last) = (0, None);
    for interval in text.split(',') {
        let bounds: Vec<&str> = interval.split('-').collect();
        let (first, end) = match bounds.as_slice() {
            [single] => (*single, *single),
            [first, end] => (*first, *end),
            _ => {
                return Err(format!(
                    "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
                ));
            }
        };
        let number = |text: &str| {
            text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let first = number(first)?;
        if let Some(last) = last
            && first <= last
        {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if first >= completions {
            return Err(format!("too large index: {:?}", first.to_string()));
        }
        let end = number(end)?;
        if end >= completions {
            return Err(format!("too large index: {:?}", end.to_string()));
        }
        if bounds.len() == 2 && first >= end {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn replacement_policy(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(policy) = member(spec, "podReplacementPolicy").and_then(Value::as_str) else { return };
    let supported: &[&str] = match member(spec, "podFailurePolicy") {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    if !supported.contains(&policy) {
        errors.push(FieldError::not_supported(path, policy, supported));
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
