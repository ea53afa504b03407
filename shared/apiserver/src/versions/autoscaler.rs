//! HorizontalPodAutoscaler between `autoscaling/v1` and `autoscaling/v2`.
//!
//! What v1 cannot say travels in annotations, as in Kubernetes.

use serde_json::{Value, json};

use crate::object;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
/// The target of an autoscaler that names none.
const DEFAULT_CPU: i64 = 80;
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

/// From v1 to v2.
pub(super) fn to_v2(v: &mut Value) {
    let mut metrics: Vec<Value> = match annotation(v, METRICS) {
        Some(Value::Array(more)) => more.iter().map(metric_to_v2).collect(),
        _ => Vec::new(),
    };
    if let Some(cpu) = object::remove_at(v, &["spec", "targetCPUUtilizationPercentage"]) {
        metrics.push(cpu_target(cpu));
    }
    if metrics.is_empty() {
        metrics.push(cpu_target(DEFAULT_CPU.into()));
    }
    object::set_at(v, &["spec", "metrics"], metrics.into());
    if let Some(b) = annotation(v, BEHAVIOR) {
        object::set_at(v, &["spec", "behavior"], lower_keys(&b));
    }
    if let Some(c) = annotation(v, CONDITIONS) {
        object::set_at(v, &["status", "conditions"], c);
    }
    let mut current: Vec<Value> = Vec::new();
    if let Some(cpu) = object::remove_at(v, &["status", "currentCPUUtilizationPercentage"]) {
        current.push(json!({
            "type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu, "averageValue": "0"}},
        }));
    }
    if let Some(Value::Array(known)) = annotation(v, CURRENT) {
        // These say more than the one figure.
        current = known.iter().map(measure_to_v2).collect();
    }
    let status = object::child(v, "status");
    status.insert("currentMetrics".into(), if current.is_empty() { Value::Null } else { current.into() });
    status.remove("currentReplicas").filter(|n| *n != 0).map(|n| status.insert("currentReplicas".into(), n));
}

fn cpu_target(percentage: Value) -> Value {
    json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}},
    })
}

/// From v2 to v1.
pub(super) fn to_v1(v: &mut Value) {
    for stale in [METRICS, BEHAVIOR, CONDITIONS, CURRENT] {
        annotation(v, stale);
    }
    let metrics = object::remove_at(v, &["spec", "metrics"]);
    let (mut others, mut target) = (Vec::new(), None);
    for m in metrics.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let r = &m["resource"];
        if m["type"] == "Resource" && r["name"] == "cpu" && r["target"]["averageUtilization"].is_number() {
            target.get_or_insert_with(|| r["target"]["averageUtilization"].clone());
        } else {
            others.push(metric_to_v1(m));
        }
    }
    if let Some(target) = target {
        object::set_at(v, &["spec", "targetCPUUtilizationPercentage"], target);
    }
    if !others.is_empty() {
        annotate(v, METRICS, &Value::Array(others));
    }
    if let Some(b) = object::remove_at(v, &["spec", "behavior"]) {
        object::set_at(v, &["metadata", "annotations", BEHAVIOR], inner_behavior(&b).into());
    }
    if let Some(c) = object::remove_at(v, &["status", "conditions"])
        .filter(|c| c.as_array().is_some_and(|a| !a.is_empty()))
    {
        annotate(v, CONDITIONS, &c);
    }
    if let Some(Value::Array(current)) = object::remove_at(v, &["status", "currentMetrics"]) {
        for m in &current {
            let r = &m["resource"];
            if m["type"] == "Resource" && r["name"] == "cpu" && r["current"]["averageUtilization"].is_number()
            {
                let cpu = r["current"]["averageUtilization"].clone();
                object::set_at(v, &["status", "currentCPUUtilizationPercentage"], cpu);
            }
        }
        if !current.is_empty() {
            annotate(v, CURRENT, &current.iter().map(measure_to_v1).collect());
        }
    }
    let status = object::child(v, "status");
    status.entry("currentReplicas").or_insert(json!(0));
    status.entry("desiredReplicas").or_insert(json!(0));
}

fn annotation(v: &mut Value, key: &str) -> Option<Value> {
    let text = object::remove_at(v, &["metadata", "annotations", key])?;
    if object::at(v, &["metadata", "annotations"]).and_then(Value::as_object).is_some_and(|m| m.is_empty()) {
        object::remove_at(v, &["metadata", "annotations"]);
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn annotate(v: &mut Value, key: &str, value: &Value) {
    let mut text = String::new();
    write_ordered(value, &mut text);
    object::set_at(v, &["metadata", "annotations", key], text.into());
}

/// JSON with members in the order in which the types of `autoscaling/v1` declare them.
fn write_ordered(v: &Value, out: &mut String) {
    const ORDER: [&str; 25] = [
        "type",
        "status",
        "lastTransitionTime",
        "reason",
        "message",
        "object",
        "pods",
        "resource",
        "containerResource",
        "external",
        "target",
        "kind",
        "name",
        "apiVersion",
        "metricName",
        "metricSelector",
        "currentValue",
        "targetValue",
        "currentAverageUtilization",
        "currentAverageValue",
        "targetAverageUtilization",
        "targetAverageValue",
        "selector",
        "averageValue",
        "container",
    ];
    match v {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members
                .sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_ordered(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_ordered(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn metric_to_v1(m: &Value) -> Value {
    let mut out = json!({"type": m["type"]});
    for source in ["resource", "containerResource"] {
        if let Some(r) = m.get(source) {
            let mut s = json!({"name": r["name"]});
            if let Some(c) = r.get("container") {
                object::members(&mut s).insert("container".into(), c.clone());
            }
            if let Some(u) = r["target"].get("averageUtilization") {
                object::members(&mut s).insert("targetAverageUtilization".into(), u.clone());
            }
            if let Some(a) = r["target"].get("averageValue") {
                object::members(&mut s).insert("targetAverageValue".into(), a.clone());
            }
            object::members(&mut out).insert(source.into(), s);
        }
    }
    if let Some(p) = m.get("pods") {
        let mut s =
            json!({"metricName": p["metric"]["name"], "targetAverageValue": p["target"]["averageValue"]});
        if let Some(l) = p["metric"].get("selector") {
            object::members(&mut s).insert("selector".into(), l.clone());
        }
        object::members(&mut out).insert("pods".into(), s);
    }
    if let Some(o) = m.get("object") {
        let mut s = json!({
            "target": o["describedObject"], "metricName": o["metric"]["name"],
            "targetValue": o["target"].get("value").cloned().unwrap_or(json!("0")),
        });
        if let Some(l) = o["metric"].get("selector") {
            object::members(&mut s).insert("selector".into(), l.clone());
        }
        if let Some(a) = o["target"].get("averageValue") {
            object::members(&mut s).insert("averageValue".into(), a.clone());
        }
        object::members(&mut out).insert("object".into(), s);
    }
    if let Some(e) = m.get("external") {
        let mut s = json!({"metricName": e["metric"]["name"]});
        if let Some(l) = e["metric"].get("selector") {
            object::members(&mut s).insert("metricSelector".into(), l.clone());
        }
        if let Some(x) = e["target"].get("value") {
            object::members(&mut s).insert("targetValue".into(), x.clone());
        }
        if let Some(x) = e["target"].get("averageValue") {
            object::members(&mut s).insert("targetAverageValue".into(), x.clone());
        }
        object::members(&mut out).insert("external".into(), s);
    }
    out
}

fn metric_to_v2(m: &Value) -> Value {
    let mut out = json!({"type": m["type"]});
    let with = |mut v: Value, pairs: &[(&str, Option<&Value>)]| {
        for (k, x) in pairs {
            if let Some(x) = x {
                object::members(&mut v).insert((*k).into(), (*x).clone());
            }
        }
        v
    };
    for source in ["resource", "containerResource"] {
        if let Some(r) = m.get(source) {
            let kind =
                if r.get("targetAverageUtilization").is_some() { "Utilization" } else { "AverageValue" };
            let target = with(
                json!({"type": kind}),
                &[
                    ("averageUtilization", r.get("targetAverageUtilization")),
                    ("averageValue", r.get("targetAverageValue")),
                ],
            );
            let s = with(json!({"name": r["name"], "target": target}), &[("container", r.get("container"))]);
            object::members(&mut out).insert(source.into(), s);
        }
    }
    if let Some(p) = m.get("pods") {
        let metric = with(json!({"name": p["metricName"]}), &[("selector", p.get("selector"))]);
        let target = json!({"type": "AverageValue", "averageValue": p["targetAverageValue"]});
        object::members(&mut out).insert("pods".into(), json!({"metric": metric, "target": target}));
    }
    if let Some(o) = m.get("object") {
        let metric = with(json!({"name": o["metricName"]}), &[("selector", o.get("selector"))]);
        let target = match o.get("averageValue") {
            Some(a) => json!({"type": "AverageValue", "averageValue": a}),
            None => json!({"type": "Value", "value": o["targetValue"]}),
        };
        object::members(&mut out).insert(
            "object".into(),
            json!({"describedObject": o["target"], "metric": metric, "target": target}),
        );
    }
    if let Some(e) = m.get("external") {
        let metric = with(json!({"name": e["metricName"]}), &[("selector", e.get("metricSelector"))]);
        let kind = if e.get("targetValue").is_some() { "Value" } else { "AverageValue" };
        let target = with(
            json!({"type": kind}),
            &[("value", e.get("targetValue")), ("averageValue", e.get("targetAverageValue"))],
        );
        object::members(&mut out).insert("external".into(), json!({"metric": metric, "target": target}));
    }
    out
}

/// A measured value as v1 writes it.
fn measure_to_v1(m: &Value) -> Value {
    let mut out = json!({"type": m["type"]});
    let or_zero = |v: Option<&Value>| v.cloned().unwrap_or_else(|| "0".into());
    for source in ["resource", "containerResource"] {
        let Some(r) = m.get(source) else { continue };
        let mut s =
            json!({"name": r["name"], "currentAverageValue": or_zero(r["current"].get("averageValue"))});
        add(&mut s, "currentAverageUtilization", r["current"].get("averageUtilization"));
        add(&mut s, "container", r.get("container"));
        add(&mut out, source, Some(&s));
    }
    if let Some(p) = m.get("pods") {
        let average = or_zero(p["current"].get("averageValue"));
        let mut s = json!({"metricName": p["metric"]["name"], "currentAverageValue": average});
        add(&mut s, "selector", p["metric"].get("selector"));
        add(&mut out, "pods", Some(&s));
    }
    if let Some(o) = m.get("object") {
        let mut s = json!({
            "target": o["describedObject"], "metricName": o["metric"]["name"],
            "currentValue": or_zero(o["current"].get("value")),
        });
        add(&mut s, "selector", o["metric"].get("selector"));
        add(&mut s, "averageValue", o["current"].get("averageValue"));
        add(&mut out, "object", Some(&s));
    }
    if let Some(e) = m.get("external") {
        let value = or_zero(e["current"].get("value"));
        let mut s = json!({"metricName": e["metric"]["name"], "currentValue": value});
        add(&mut s, "metricSelector", e["metric"].get("selector"));
        add(&mut s, "currentAverageValue", e["current"].get("averageValue"));
        add(&mut out, "external", Some(&s));
    }
    out
}

/// A measured value as v2 writes it.
fn measure_to_v2(m: &Value) -> Value {
    let mut out = json!({"type": m["type"]});
    for source in ["resource", "containerResource"] {
        let Some(r) = m.get(source) else { continue };
        let mut current = json!({});
        add(&mut current, "averageValue", r.get("currentAverageValue"));
        add(&mut current, "averageUtilization", r.get("currentAverageUtilization"));
        let mut s = json!({"name": r["name"], "current": current});
        add(&mut s, "container", r.get("container"));
        add(&mut out, source, Some(&s));
    }
    for (source, selector) in [("pods", "selector"), ("object", "selector"), ("external", "metricSelector")] {
        let Some(found) = m.get(source) else { continue };
        let mut metric = json!({"name": found["metricName"]});
        add(&mut metric, "selector", found.get(selector));
        let average = if source == "object" { "averageValue" } else { "currentAverageValue" };
        let mut current = json!({});
        add(&mut current, "value", found.get("currentValue"));
        add(&mut current, "averageValue", found.get(average));
        let mut s = json!({"metric": metric, "current": current});
        add(&mut s, "describedObject", found.get("target"));
        add(&mut out, source, Some(&s));
    }
    out
}

fn add(v: &mut Value, name: &str, member: Option<&Value>) {
    if let Some(member) = member {
        object::members(v).insert(name.to_owned(), member.clone());
    }
}

/// The annotation holds the type that the server itself works with, which has every field, under the name of Go.
fn inner_behavior(behavior: &Value) -> String {
    let rules = |rules: &Value| {
        if rules.is_null() {
            return "null".to_owned();
        }
        let policy = |p: &Value| {
            let (kind, value, seconds) = (&p["type"], &p["value"], &p["periodSeconds"]);
            format!("{{\"Type\":{kind},\"Value\":{value},\"PeriodSeconds\":{seconds}}}")
        };
        let policies = match rules["policies"].as_array() {
            Some(all) => format!("[{}]", all.iter().map(policy).collect::<Vec<_>>().join(",")),
            None => "null".to_owned(),
        };
        format!(
            "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":{policies},\"Tolerance\":{}}}",
            rules["stabilizationWindowSeconds"], rules["selectPolicy"], rules["tolerance"]
        )
    };
    let (up, down) = (rules(&behavior["scaleUp"]), rules(&behavior["scaleDown"]));
    format!("{{\"ScaleUp\":{up},\"ScaleDown\":{down}}}")
}

fn lower_keys(v: &Value) -> Value {
    rename(v, |k| {
        let mut c = k.chars();
        c.next().map(|f| f.to_ascii_lowercase().to_string() + c.as_str()).unwrap_or_default()
    })
}

fn rename(v: &Value, f: impl Fn(&str) -> String + Copy) -> Value {
    match v {
        Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (f(k), rename(v, f))).collect()),
        Value::Array(a) => Value::Array(a.iter().map(|v| rename(v, f)).collect()),
        other => other.clone(),
    }
}
