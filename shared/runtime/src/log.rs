//! Log lines in the form Flux's controllers write them, on standard error.
//!
//! JSON: one object a line with `level`, `ts`, `logger`, `msg`, then the context of the controller
//! and the object, then what the call site adds, `error` last. Console: the same, tab separated.
//!
//! A field named `pairs` holds JSON whose members become fields of their own, for names that are
//! only known at run time.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};
use std::{
    fmt::{Debug, Write as _},
    io::Write,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object a line.
    Json,
    /// Tab separated, for people.
    Console,
}

/// Writes log lines; a layer for a `tracing` subscriber.
pub struct LogLayer<W> {
    encoding: Encoding,
    write: W,
}

impl<W: Fn(&str) + 'static> LogLayer<W> {
    /// A layer that hands each line, its newline included, to a function.
    pub fn new(encoding: Encoding, write: W) -> Self {
        Self { encoding, write }
    }
}

/// Writes a line to standard error in one piece.
pub fn to_stderr(line: &str) {
    // There is nowhere left to report a failure to.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Whether a log level, by Flux's name, includes an event or span of this origin.
///
/// Our own crates log at the level asked for. Of libraries only errors are of interest, and of the
/// Kubernetes client not even those: whoever called it reports them, with more context.
pub fn enabled(level: &str, metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours = target.starts_with("fluxide") || target.contains("_controller");
    if !ours {
        return *metadata.level() == Level::ERROR && !target.starts_with("kube");
    }
    let limit = match level {
        "trace" => Level::TRACE,
        "debug" => Level::DEBUG,
        "error" => Level::ERROR,
        _ => Level::INFO,
    };
    metadata.is_span() || *metadata.level() <= limit
}

/// The fields of a span or event, in the order they were given.
#[derive(Debug, Default)]
struct Fields(Vec<(String, Value)>);

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&str) + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut message = String::new();
        let mut logger = None;
        let mut error = None;
        let mut own = Vec::new();
        for (name, value) in fields.0 {
            match name.as_str() {
                "message" => message = text(value),
                "logger" => logger = Some(text(value)),
                "error" => error = Some(value),
                "pairs" => own.extend(pairs(value)),
                _ => own.push((log_name(&name).to_owned(), value)),
            }
        }
        let mut line: Vec<(String, Value)> = Vec::new();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                add_context(&mut line, &span);
            }
        }
        line.extend(own);
        line.extend(error.map(|error| ("error".to_owned(), error)));
        let level = level_name(*event.metadata().level());
        let line = match self.encoding {
            Encoding::Json => json(level, &timestamp(), logger.as_deref(), &message, &line),
            Encoding::Console => console(level, &timestamp(), logger.as_deref(), &message, line),
        };
        (self.write)(&line);
    }
}

/// Adds a span's fields, but for those with a dot in their name, which are for traces; after `controllerKind` comes the object under its kind's name, as
/// `flux logs` and people expect it.
fn add_context<'a, S: LookupSpan<'a>>(line: &mut Vec<(String, Value)>, span: &SpanRef<'a, S>) {
    let extensions = span.extensions();
    let Some(Fields(fields)) = extensions.get::<Fields>() else {
        return;
    };
    let find = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    for (name, value) in fields {
        if name.contains('.') {
            continue;
        }
        line.push((name.clone(), value.clone()));
        if name == "controllerKind"
            && let (Value::String(kind), Some(namespace), Some(object)) =
                (value, find("namespace"), find("name"))
        {
            let object = serde_json::json!({ "name": object, "namespace": namespace });
            line.push((kind.clone(), object));
        }
    }
}

fn json(level: &str, time: &str, logger: Option<&str>, message: &str, fields: &[(String, Value)]) -> String {
    let mut line = format!("{{\"level\":\"{level}\",\"ts\":\"{time}\"");
    let mut member = |name: &str, value: &Value| {
        let _ = write!(line, ",{}:{value}", Value::from(name));
    };
    if let Some(logger) = logger {
        member("logger", &logger.into());
    }
    member("msg", &message.into());
    for (name, value) in fields {
        member(name, value);
    }
    line.push_str("}\n");
    line
}

fn console(
    level: &str,
    time: &str,
    logger: Option<&str>,
    message: &str,
    fields: Vec<(String, Value)>,
) -> String {
    let mut line = format!("{time}\t{}\t", level.to_uppercase());
    if let Some(logger) = logger {
        let _ = write!(line, "{logger}\t");
    }
    line.push_str(message);
    if !fields.is_empty() {
        let fields: Map<String, Value> = fields.into_iter().collect();
        let _ = write!(line, "\t{}", Value::Object(fields));
    }
    line.push('\n');
    line
}

fn timestamp() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO | Level::WARN => "info",
        Level::ERROR => "error",
    }
}

/// Field names that are no Rust names.
fn log_name(name: &str) -> &str {
    match name {
        "worker_count" => "worker count",
        name => name,
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

fn pairs(value: Value) -> Vec<(String, Value)> {
    let Value::String(text) = value else {
        return Vec::new();
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => map.into_iter().collect(),
        _ => vec![("pairs".to_owned(), Value::String(text))],
    }
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::prelude::*;

    fn lines(encoding: Encoding, f: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let layer = LogLayer::new(encoding, move |line: &str| {
            sink.lock().unwrap().push(line.to_owned());
        });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), f);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    fn reconcile() {
        let span = tracing::info_span!(
            "reconcile",
            controller = "kustomization",
            controllerGroup = "kustomize.toolkit.fluxcd.io",
            controllerKind = "Kustomization",
            namespace = "apps",
            name = "web",
            reconcileID = "id"
        );
        let _entered = span.enter();
        tracing::error!(error = "boom \"x\"", revision = "main@sha1:1", "Reconciler error");
    }

    #[test]
    fn json_has_the_context_in_order_and_the_error_last() {
        let lines = lines(Encoding::Json, reconcile);
        let (head, tail) = lines[0].split_once(",\"msg\"").unwrap();
        assert!(head.starts_with("{\"level\":\"error\",\"ts\":\"20"), "{head}");
        let time = &head["{\"level\":\"error\",\"ts\":\"".len()..head.len() - 1];
        assert_eq!(time.len(), "2026-08-03T09:14:12.345Z".len());
        assert_eq!(
            tail,
            ":\"Reconciler error\",\"controller\":\"kustomization\",\
             \"controllerGroup\":\"kustomize.toolkit.fluxcd.io\",\
             \"controllerKind\":\"Kustomization\",\
             \"Kustomization\":{\"name\":\"web\",\"namespace\":\"apps\"},\
             \"namespace\":\"apps\",\"name\":\"web\",\"reconcileID\":\"id\",\
             \"revision\":\"main@sha1:1\",\"error\":\"boom \\\"x\\\"\"}\n"
        );
    }

    #[test]
    fn console_is_tab_separated_with_the_level_in_capitals() {
        let lines = lines(Encoding::Console, || {
            tracing::info!(logger = "setup", count = 4, "starting manager");
        });
        let parts: Vec<&str> = lines[0].trim_end().split('\t').skip(1).collect();
        assert_eq!(parts, ["INFO", "setup", "starting manager", "{\"count\":4}"]);
    }

    #[test]
    fn pairs_become_fields() {
        let lines = lines(Encoding::Json, || {
            let pairs = serde_json::json!({ "ExternalArtifact": true });
            tracing::info!(logger = "setup", %pairs, "loading feature gate");
        });
        assert!(lines[0].ends_with(
            ",\"logger\":\"setup\",\"msg\":\"loading feature gate\",\"ExternalArtifact\":true}\n"
        ));
    }
}
