//! Runs one case: its namespace, its definitions, its steps in order.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::{Answer, Client, Watch};
use crate::normalise::{Names, first_difference, is_go_text, lookup, plain, short};

const CONSISTENCY: Duration = Duration::from_millis(50);
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Runs a case. The error says which step differs and how.
pub async fn case(client: &Client, source: &str) -> Result<(), String> {
    let spec: Value = serde_json::from_str(source).map_err(|e| e.to_string())?;
    let namespace = format!("ns-{}", random_letters());
    let mut run = Run {
        client,
        names: Names::new(&namespace, without_answers(&spec).to_string()),
        ignore: spec["ignore"].as_array().into_iter().flatten().map(plain).collect(),
        watches: HashMap::new(),
        sent: None,
    };
    let sent: Sent = serde_json::from_str(source).map_err(|e| e.to_string())?;
    run.prepare(&namespace, &spec).await?;
    for (i, step) in spec["steps"].as_array().into_iter().flatten().enumerate() {
        let described = format!("step {} {} {}", i + 1, plain(&step["method"]), plain(&step["path"]));
        run.sent =
            sent.steps.get(i).and_then(|step| step.body.as_deref()).map(|body| on_one_line(body.get()));
        let got = run.step(step).await.map_err(|why| format!("{described}: {why}"))?;
        if let Some(got) = got
            && let Some(difference) = first_difference(&step["expect"], &got, "expect")
        {
            return Err(format!("{described}: {difference}"));
        }
    }
    Ok(())
}

fn random_letters() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz";
    (0..6).map(|_| LETTERS[rand::random_range(0..LETTERS.len())] as char).collect()
}

fn without_answers(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for step in spec["steps"].as_array_mut().into_iter().flatten() {
        step.as_object_mut().map(|s| s.remove("expect"));
    }
    spec
}

struct Run<'a> {
    client: &'a Client,
    names: Names,
    ignore: Vec<String>,
    watches: HashMap<String, Watch>,
    /// The body of the step as it is written in the case: some answers follow the order of its members.
    sent: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    steps: Vec<SentStep>,
}

#[derive(Deserialize)]
struct SentStep {
    body: Option<Box<RawValue>>,
}

/// Indented JSON without its line breaks.
fn on_one_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_text, mut escaped, mut indenting) = (false, false, false);
    for c in json.chars() {
        match c {
            _ if in_text => {
                in_text = escaped || c != '"';
                escaped = c == '\\' && !escaped;
            }
            '\n' => {
                indenting = true;
                continue;
            }
            ' ' if indenting => continue,
            '"' => in_text = true,
            _ => {}
        }
        if indenting && out.ends_with(',') {
            out.push(' ');
        }
        indenting = false;
        out.push(c);
    }
    out
}

impl Run<'_> {
    async fn prepare(&mut self, namespace: &str, spec: &Value) -> Result<(), String> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        self.must("POST", "/api/v1/namespaces", Some(&body)).await?;
        for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
            self.wait_for(&format!("/api/v1/namespaces/{namespace}/{path}")).await?;
        }
        for crd in spec["crds"].as_array().into_iter().flatten() {
            let crd: Value =
                serde_json::from_str(&self.names.fill(&crd.to_string())).map_err(|e| e.to_string())?;
            self.must("POST", DEFINITIONS, Some(&crd)).await?;
            let names = &crd["spec"]["names"];
            for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
                if version["served"] == true {
                    let (group, version) = (plain(&crd["spec"]["group"]), plain(&version["name"]));
                    let plural = plain(&names["plural"]);
                    self.wait_for(&format!("/apis/{group}/{version}/{plural}?limit=1")).await?;
                }
            }
        }
        Ok(())
    }

    async fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(), String> {
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        let body = body.map(|b| b.to_string().into_bytes());
        let answer = self.client.request(method, path, &headers, body).await.map_err(|e| e.to_string())?;
        if matches!(answer.status, 200 | 201) {
            return Ok(());
        }
        Err(format!("setup: {method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)))
    }

    async fn wait_for(&self, path: &str) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        while let Err(e) = self.must("GET", path, None).await {
            if Instant::now() > end {
                return Err(e);
            }
            tokio::time::sleep(CONSISTENCY).await;
        }
        Ok(())
    }

    /// Performs a step; its answer in the recorded form, or nothing for steps that have none.
    async fn step(&mut self, step: &Value) -> Result<Option<Value>, String> {
        if let Some(seconds) = step["sleep"].as_f64() {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            return Ok(None);
        }
        if let Some(name) = step["watch_read"].as_str() {
            let mut watch = self.watches.remove(name).ok_or("no such watch")?;
            let answer = self.watch_answer(&mut watch, step, step).await?;
            self.watches.insert(name.to_owned(), watch);
            return Ok(Some(answer));
        }
        let (target, headers) = (self.target(step), self.headers(step));
        let wants_watch = step.get("watch").is_some() || step.get("watch_open").is_some();
        if wants_watch {
            let mut watch = self.client.watch(&target, &headers).await.map_err(|e| e.to_string())?;
            if let Some(name) = step["watch_open"].as_str() {
                self.watches.insert(name.to_owned(), watch);
                return Ok(None);
            }
            return self.watch_answer(&mut watch, step, &step["watch"]).await.map(Some);
        }
        let answer = self.send(step, &target, &headers).await?;
        let parsed: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        self.save(step, &answer, &parsed)?;
        self.check_identity(step, &parsed)?;
        Ok(Some(self.recorded_form(step, &answer, &parsed)))
    }

    /// Sends the request, again until its conditions hold.
    async fn send(&self, step: &Value, target: &str, headers: &[(String, String)]) -> Result<Answer, String> {
        let method = step["method"].as_str().unwrap_or_default();
        let body = self.body(step)?;
        let seconds = step["timeout"].as_f64().unwrap_or(20.0).min(20.0);
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let answer = self
                .client
                .request(method, target, headers, body.clone())
                .await
                .map_err(|e| e.to_string())?;
            if self.satisfied(step, &answer) {
                return Ok(answer);
            }
            if Instant::now() > end {
                let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                return Err(format!("wait_until not reached: HTTP {} {}", answer.status, short(&body)));
            }
            tokio::time::sleep(CONSISTENCY).await;
        }
    }

    fn satisfied(&self, step: &Value, answer: &Answer) -> bool {
        let Some(conditions) = step["wait_until"].as_array() else { return true };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let whole = json!({"status": answer.status, "body": body, "warnings": warnings(answer)});
        conditions.iter().all(|condition| {
            let path = self.names.fill(&plain(&condition[0]));
            let want = match &condition[1] {
                Value::String(s) => self.names.fill(s).into(),
                other => other.clone(),
            };
            *lookup(&whole, &path) == want
        })
    }

    fn target(&self, step: &Value) -> String {
        let mut target = self.names.fill(step["path"].as_str().unwrap_or_default());
        let mut separator = '?';
        for (key, values) in step["query"].as_object().into_iter().flatten() {
            let values = match values {
                Value::Array(values) => values.iter().map(plain).collect(),
                one => vec![plain(one)],
            };
            for value in values {
                target.push(separator);
                target.push_str(&format!("{}={}", encode(key), encode(&self.names.fill(&value))));
                separator = '&';
            }
        }
        target
    }

    fn headers(&self, step: &Value) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = step["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), self.names.fill(&plain(v))))
            .collect();
        if step.get("body").is_some() && !headers.iter().any(|(k, _)| k.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers
    }

    fn body(&self, step: &Value) -> Result<Option<Vec<u8>>, String> {
        if let Some(encoded) = step["body_base64"].as_str() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
            return bytes.map(Some).map_err(|e| e.to_string());
        }
        Ok(match step.get("body") {
            None => None,
            Some(Value::String(s)) => Some(self.names.fill(s).into_bytes()),
            Some(v) => {
                let text = self.sent.clone().unwrap_or_else(|| v.to_string());
                Some(self.names.fill(&text).into_bytes())
            }
        })
    }

    fn save(&mut self, step: &Value, answer: &Answer, body: &Value) -> Result<(), String> {
        for (variable, path) in step["save"].as_object().into_iter().flatten() {
            let v = lookup(body, &plain(path));
            if v.is_null() {
                return Err(format!("cannot save {variable}: no {} in {}", plain(path), short(body)));
            }
            self.names.variables.insert(variable.clone(), plain(v));
        }
        for (variable, header) in step["save_headers"].as_object().into_iter().flatten() {
            let value = answer.headers.get(plain(header)).and_then(|v| v.to_str().ok()).unwrap_or_default();
            if value.is_empty() {
                return Err(format!("no header {}", plain(header)));
            }
            self.names.variables.insert(variable.clone(), value.to_owned());
        }
        Ok(())
    }

    fn check_identity(&self, step: &Value, body: &Value) -> Result<(), String> {
        for (member, equal) in [("same", true), ("differ", false)] {
            for (path, variable) in step[member].as_object().into_iter().flatten() {
                let (have, saved) = (lookup(body, path), self.names.variables.get(&plain(variable)));
                if (saved == Some(&plain(have))) != equal {
                    return Err(format!("{member}: {path} is {have}, {} was {saved:?}", plain(variable)));
                }
            }
        }
        Ok(())
    }

    fn recorded_form(&mut self, step: &Value, answer: &Answer, body: &Value) -> Value {
        let mode = step["compare"].as_str().unwrap_or("full");
        if mode == "status" {
            return json!({"status": answer.status});
        }
        let mut got = json!({"status": answer.status, "content_type": header(answer, "content-type")});
        let texts: Vec<String> = warnings(answer).iter().map(|w| self.names.text(w)).collect();
        if !texts.is_empty() {
            got["warnings"] = json!(texts);
        }
        for name in step["want_headers"].as_array().into_iter().flatten().map(plain) {
            got["headers"][&name] = self.names.text(header(answer, &name)).into();
        }
        match mode {
            "shape" => got["body"] = shape(body),
            "pick" => {
                let normalised = self.names.normalise(body, &self.ignore);
                let paths = step["pick"].as_array().into_iter().flatten().map(plain);
                let picked: Map<String, Value> =
                    paths.map(|p| (p.clone(), lookup(&normalised, &p).clone())).collect();
                got["picked"] = picked.into();
            }
            _ if body.is_object() || body.is_array() => {
                got["body"] = self.names.normalise(body, &self.ignore);
            }
            _ => got["text"] = self.names.text(&String::from_utf8_lossy(&answer.body)).into(),
        }
        let status = &got["body"];
        if status["kind"] == "Status" && is_go_text(status["message"].as_str().unwrap_or_default()) {
            got["go_text"] = true.into();
        }
        if got["body"].is_null() && !body.is_null() {
            got.as_object_mut().map(|m| m.remove("body"));
        }
        if got["body"].is_null() {
            got.as_object_mut().map(|m| m.remove("body"));
        }
        got
    }

    async fn watch_answer(
        &mut self,
        watch: &mut Watch,
        step: &Value,
        limits: &Value,
    ) -> Result<Value, String> {
        let count = limits["count"].as_u64().unwrap_or(0) as usize;
        let timeout = Duration::from_secs_f64(limits["timeout"].as_f64().unwrap_or(10.0));
        let (lines, ended) = watch.read(count, timeout).await;
        let content_type =
            watch.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let mut got = json!({"status": watch.status, "content_type": content_type});
        if watch.status != 200 {
            let body: Value = serde_json::from_slice(&lines.concat()).unwrap_or(Value::Null);
            got["body"] = self.names.normalise(&body, &self.ignore);
            return Ok(got);
        }
        let mut events = Vec::new();
        for line in lines {
            let mut event: Value = serde_json::from_slice(&line).map_err(|e| e.to_string())?;
            if event["type"] == "BOOKMARK" {
                hide_versions(&mut event);
            }
            events.push(self.names.normalise(&event, &self.ignore));
        }
        got["events"] = events.into();
        if step["expect_end"] == true {
            got["ended"] = ended.into();
        }
        Ok(got)
    }
}

fn hide_versions(v: &mut Value) {
    match v {
        Value::Object(m) => {
            for (k, v) in m {
                match v {
                    Value::String(s) if k == "resourceVersion" && crate::normalise::is_digits(s) => {
                        *v = "<list-rv>".into();
                    }
                    v => hide_versions(v),
                }
            }
        }
        Value::Array(a) => a.iter_mut().for_each(hide_versions),
        _ => {}
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// The texts of the `Warning: 299` headers.
fn warnings(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("warning").iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
    values
        .map(|v| match v.strip_prefix("299 - \"").and_then(|v| v.strip_suffix('"')) {
            Some(quoted) => {
                let mut out = String::new();
                let mut chars = quoted.chars();
                while let Some(c) = chars.next() {
                    out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
                }
                out
            }
            None => v.into_owned(),
        })
        .collect()
}

fn shape(body: &Value) -> Value {
    let kind = |v: &Value| match v {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    body.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), Value::from(kind(v)))).collect()
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
