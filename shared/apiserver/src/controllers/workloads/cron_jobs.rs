//! CronJobs: a Job at each scheduled minute.

use std::time::Duration;

use serde_json::{Value, json};

use super::writing::{create, delete, owned, owner_reference, set_status};
use super::{Again, Item};
use crate::object::{self, text};

const LOOK: Duration = Duration::from_secs(20);

/// Starts the job of this minute, and removes old ones.
pub(super) fn reconcile(item: &Item) -> Again {
    let c = item.value();
    if object::is_deleting(c) || c["spec"]["suspend"] == true {
        return None;
    }
    let schedule = Schedule::parse(text(c, &["spec", "schedule"]))?;
    let now = item.core.clock.now();
    let zone = match text(c, &["spec", "timeZone"]) {
        "" => jiff::tz::TimeZone::UTC,
        name => jiff::tz::TimeZone::get(name).ok()?,
    };
    let local = now.to_zoned(zone);
    let minute = now.as_second() / 60;
    let mut status = c["status"].as_object().cloned().unwrap_or_default();
    let last =
        text(c, &["status", "lastScheduleTime"]).parse::<jiff::Timestamp>().map_or(0, |t| t.as_second() / 60);
    let jobs = owned(item.core, "jobs.batch", c);
    let running: Vec<_> = jobs.iter().filter(|j| !done(&j.value)).collect();
    let forbidden = text(c, &["spec", "concurrencyPolicy"]) == "Forbid" && !running.is_empty();
    if last < minute && schedule.matches(&local) && !forbidden {
        if text(c, &["spec", "concurrencyPolicy"]) == "Replace" {
            for j in &running {
                delete(item.core, "jobs.batch", j);
            }
        }
        create(item.core, "jobs.batch", job(c, minute));
        status.insert("lastScheduleTime".into(), crate::clock::seconds_text(now).into());
    }
    prune(item, "Complete", "successfulJobsHistoryLimit", 3);
    prune(item, "Failed", "failedJobsHistoryLimit", 1);
    let active: Vec<Value> = owned(item.core, "jobs.batch", c)
        .iter()
        .filter(|j| !done(&j.value))
        .map(|j| {
            json!({"apiVersion": "batch/v1", "kind": "Job", "name": object::name(&j.value),
            "namespace": object::namespace(&j.value), "uid": object::uid(&j.value)})
        })
        .collect();
    if active.is_empty() {
        status.remove("active");
    } else {
        status.insert("active".into(), active.into());
    }
    set_status(item, status.into());
    Some(LOOK)
}

fn job(c: &Value, minute: i64) -> Value {
    let template = &c["spec"]["jobTemplate"];
    let mut meta = template["metadata"].as_object().cloned().unwrap_or_default();
    meta.insert("name".into(), format!("{}-{minute}", object::name(c)).into());
    meta.insert("namespace".into(), object::namespace(c).into());
    meta.insert("ownerReferences".into(), json!([owner_reference(c)]));
    json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": meta, "spec": template["spec"]})
}

fn has(job: &Value, condition: &str) -> bool {
    job["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == condition && c["status"] == "True")
}

fn done(job: &Value) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

fn prune(item: &Item, condition: &str, field: &str, default: i64) {
    let c = item.value();
    let keep = usize::try_from(c["spec"][field].as_i64().unwrap_or(default)).unwrap_or(0);
    let mut jobs = owned(item.core, "jobs.batch", c);
    jobs.retain(|j| has(&j.value, condition));
    jobs.sort_by_key(|j| j.revision);
    for j in jobs.iter().take(jobs.len().saturating_sub(keep)) {
        delete(item.core, "jobs.batch", j);
    }
}

/// The five fields of a schedule, each as the set of its values.
struct Schedule {
    fields: [Vec<bool>; 5],
    any_day: bool,
    any_weekday: bool,
}

impl Schedule {
    fn parse(text: &str) -> Option<Self> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            t => t,
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else { return None };
        Some(Schedule {
            fields: [
                field(minute, 0, 59, &[])?,
                field(hour, 0, 23, &[])?,
                field(day, 1, 31, &[])?,
                field(
                    month,
                    1,
                    12,
                    &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
                )?,
                field(weekday, 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"])?,
            ],
            any_day: matches!(*day, "*" | "?"),
            any_weekday: matches!(*weekday, "*" | "?"),
        })
    }

    fn matches(&self, t: &jiff::Zoned) -> bool {
        let has = |i: usize, n: i8| self.fields[i].get(n.unsigned_abs() as usize).copied().unwrap_or(false);
        let weekday = t.weekday().to_sunday_zero_offset();
        let on_weekday = has(4, weekday) || weekday == 0 && has(4, 7);
        let on_day = has(2, t.day());
        let day = match (self.any_day, self.any_weekday) {
            (true, true) => true,
            (true, false) => on_weekday,
            (false, true) => on_day,
            (false, false) => on_day || on_weekday,
        };
        has(0, t.minute()) && has(1, t.hour()) && has(3, t.month()) && day
    }
}

fn field(text: &str, low: usize, high: usize, names: &[&str]) -> Option<Vec<bool>> {
    let value = |s: &str| -> Option<usize> {
        let lower = s.to_lowercase();
        names.iter().position(|n| *n == lower && !n.is_empty()).or_else(|| s.parse().ok())
    };
    let mut out = vec![false; high + 1];
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((r, s)) => (r, s.parse::<usize>().ok().filter(|s| *s > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range {
            "*" | "?" => (low, high),
            r => match r.split_once('-') {
                Some((a, b)) => (value(a)?, value(b)?),
                None if part.contains('/') => (value(r)?, high),
                None => (value(r)?, value(r)?),
            },
        };
        if from < low || to > high || from > to {
            return None;
        }
        for i in (from..=to).step_by(step) {
            out[i] = true;
        }
    }
    Some(out)
}
