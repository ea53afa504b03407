//! Release records: what Helm stores of every revision, so that `helm` and this program can take over from each other.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use fluxide_goyaml::{Value, quote_json, sigs};
use thiserror::Error;

use crate::chart::{Chart, Lock};
use crate::file::ChartFile;
use crate::hook::{Hook, HookEvent, HookExecution};
use crate::json::ObjectWriter;
use crate::metadata::Metadata;
use crate::time::{Time, ZERO};
use crate::values::Table;

/// The largest JSON a stored record may unpack to. A Secret holds 1 MiB of it compressed.
const MAX_RECORD: u64 = 256 << 20;

/// Why a stored record cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// It is not base64.
    #[error("illegal base64 data: {0}")]
    Base64(String),
    /// It cannot be decompressed.
    #[error("release record cannot be decompressed: {0}")]
    Gzip(String),
    /// It unpacks to too much.
    #[error("release record unpacks to more than {MAX_RECORD} bytes")]
    TooLarge,
    /// It is not JSON.
    #[error("release record is not JSON: {0}")]
    Json(String),
    /// A member has the wrong type.
    #[error("json: cannot unmarshal release member {path}: {problem}")]
    Member {
        /// Where it is.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// The states of a release.
pub mod status {
    /// It is not known.
    pub const UNKNOWN: &str = "unknown";
    /// It is the current revision.
    pub const DEPLOYED: &str = "deployed";
    /// It was deleted, its record kept.
    pub const UNINSTALLED: &str = "uninstalled";
    /// A later revision took its place.
    pub const SUPERSEDED: &str = "superseded";
    /// Something went wrong.
    pub const FAILED: &str = "failed";
    /// It is being deleted.
    pub const UNINSTALLING: &str = "uninstalling";
    /// It is being installed.
    pub const PENDING_INSTALL: &str = "pending-install";
    /// It is being upgraded.
    pub const PENDING_UPGRADE: &str = "pending-upgrade";
    /// It is being rolled back.
    pub const PENDING_ROLLBACK: &str = "pending-rollback";
}

/// One revision of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// The name of the release.
    pub name: String,
    /// When and how.
    pub info: Info,
    /// The chart, without its subcharts.
    pub chart: Option<StoredChart>,
    /// The values the user gave.
    pub config: Option<Table>,
    /// The rendered manifests without the hooks.
    pub manifest: String,
    /// The hooks.
    pub hooks: Vec<Hook>,
    /// The revision, from 1.
    pub version: i64,
    /// The namespace of the release.
    pub namespace: String,
    /// `ssa` or `csa`; empty is `csa`.
    pub apply_method: String,
    /// Members that later versions of Helm have added; they are written back.
    pub unknown: Table,
}

/// When and how a release was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// When the first revision was deployed.
    pub first_deployed: Option<Time>,
    /// When this revision was deployed.
    pub last_deployed: Option<Time>,
    /// When it was deleted.
    pub deleted: Option<Time>,
    /// A sentence on the last action.
    pub description: String,
    /// One of [`status`].
    pub status: String,
    /// The rendered NOTES.txt.
    pub notes: String,
    /// Members that later versions of Helm have added.
    pub unknown: Table,
}

/// A chart as it is stored with a release: without subcharts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredChart {
    /// Chart.yaml.
    pub metadata: Option<Metadata>,
    /// Chart.lock.
    pub lock: Option<Lock>,
    /// The files below `templates/`; `None` is written as null.
    pub templates: Option<Vec<ChartFile>>,
    /// The default values, after the dependencies were processed.
    pub values: Option<Table>,
    /// values.schema.json.
    pub schema: Option<Vec<u8>>,
    /// When the schema was last changed.
    pub schema_modified: Option<Time>,
    /// All other files; `None` is written as null.
    pub files: Option<Vec<ChartFile>>,
    /// When Chart.yaml was last changed.
    pub modified: Option<Time>,
    /// Members that later versions of Helm have added.
    pub unknown: Table,
}

impl Release {
    /// Reads a stored record: base64 of JSON, which is compressed with gzip in all but the oldest records.
    pub fn decode(stored: &[u8]) -> Result<Release, RecordError> {
        let trimmed: Vec<u8> = stored.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        let bytes = STANDARD.decode(trimmed).map_err(|error| RecordError::Base64(error.to_string()))?;
        if !bytes.starts_with(&[0x1F, 0x8B, 8]) {
            return Release::from_json(&bytes);
        }
        let mut json = Vec::new();
        let read = MultiGzDecoder::new(bytes.as_slice()).take(MAX_RECORD + 1).read_to_end(&mut json);
        read.map_err(|error| RecordError::Gzip(error.to_string()))?;
        if json.len() as u64 > MAX_RECORD {
            return Err(RecordError::TooLarge);
        }
        Release::from_json(&json)
    }

    /// Writes the record as Helm stores it.
    pub fn encode(&self) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to a Vec cannot fail.
        let _ = gzip.write_all(self.to_json().as_bytes());
        STANDARD.encode(gzip.finish().unwrap_or_default())
    }

    /// Reads the JSON of a record.
    pub fn from_json(json: &[u8]) -> Result<Release, RecordError> {
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| RecordError::Json(error.to_string()))?;
        let mut members = Members::of(Value::from(value), "release")?;
        let mut release = Release {
            name: members.text("name")?,
            chart: members.object("chart")?.map(StoredChart::read).transpose()?,
            config: members.table("config")?,
            manifest: members.text("manifest")?,
            version: members.integer("version")?,
            namespace: members.text("namespace")?,
            apply_method: members.text("apply_method")?,
            ..Release::default()
        };
        if let Some(info) = members.object("info")? {
            release.info = Info::read(info)?;
        }
        for hook in members.list("hooks")?.unwrap_or_default() {
            if hook != Value::Null {
                release.hooks.push(read_hook(Members::of(hook, "hooks")?)?);
            }
        }
        release.unknown = members.rest;
        Ok(release)
    }

    /// The JSON of the record, byte for byte as Helm 4 writes it.
    pub fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        out.text_unless_empty("name", &self.name);
        out.raw("info", &self.info.to_json());
        if let Some(chart) = &self.chart {
            out.raw("chart", &chart.to_json());
        }
        if let Some(config) = self.config.as_ref().filter(|config| !config.is_empty()) {
            out.value("config", &Value::Object(config.clone()));
        }
        out.text_unless_empty("manifest", &self.manifest);
        out.list_unless_empty("hooks", self.hooks.iter().map(hook_json));
        if self.version != 0 {
            out.raw("version", &self.version.to_string());
        }
        out.text_unless_empty("namespace", &self.namespace);
        out.text_unless_empty("apply_method", &self.apply_method);
        write_unknown(&mut out, &self.unknown);
        out.finish()
    }

    /// The name of the Secret (or ConfigMap) that holds the record.
    pub fn storage_name(&self) -> String {
        storage_name(&self.name, self.version)
    }

    /// The labels of the Secret that Helm sets itself, for finding records.
    pub fn storage_labels(&self) -> BTreeMap<String, String> {
        let labels = [
            ("name", self.name.clone()),
            ("owner", "helm".to_owned()),
            ("status", self.info.status.clone()),
            ("version", self.version.to_string()),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The type of the Secrets that hold records.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";

/// The labels that Helm keeps for itself.
pub const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// The name of the Secret that holds a revision.
pub fn storage_name(release: &str, version: i64) -> String {
    format!("sh.helm.release.v1.{release}.v{version}")
}

impl Info {
    fn read(mut members: Members) -> Result<Info, RecordError> {
        // Helm cannot read what it may have stored here itself, and fails as a whole.
        if let Some(Value::Object(resources)) = members.rest.get("resources")
            && resources.values().any(|list| matches!(list, Value::Array(items) if !items.is_empty()))
        {
            return Err(members.wrong("resources", "an object cannot be read into runtime.Object"));
        }
        Ok(Info {
            first_deployed: members.time("first_deployed")?,
            last_deployed: members.time("last_deployed")?,
            deleted: members.time("deleted")?,
            description: members.text("description")?,
            status: members.text("status")?,
            notes: members.text("notes")?,
            unknown: members.rest,
        })
    }

    fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        self.write_known(&mut out);
        write_unknown(&mut out, &self.unknown);
        out.finish()
    }

    pub(crate) fn write_known(&self, out: &mut ObjectWriter) {
        write_time(out, "first_deployed", self.first_deployed);
        write_time(out, "last_deployed", self.last_deployed);
        write_time(out, "deleted", self.deleted);
        out.text_unless_empty("description", &self.description);
        out.text_unless_empty("status", &self.status);
        out.text_unless_empty("notes", &self.notes);
    }
}

impl StoredChart {
    /// What is stored of a chart. `values` are its defaults after the dependencies were processed, and `metadata` names
    /// the dependencies that are switched on.
    pub fn of(chart: &Chart, metadata: Metadata, values: Option<Table>) -> StoredChart {
        let files = |files: &[ChartFile]| (!files.is_empty()).then(|| files.to_vec());
        StoredChart {
            metadata: Some(metadata),
            lock: chart.lock.clone(),
            templates: files(&chart.templates),
            values,
            schema: chart.schema.as_ref().map(|file| file.data.to_vec()),
            schema_modified: chart.schema.as_ref().and_then(|file| file.modified),
            files: files(&chart.files),
            modified: chart.modified,
            unknown: Table::new(),
        }
    }

    fn read(mut members: Members) -> Result<StoredChart, RecordError> {
        let struct_error = |name: &str| {
            let path = format!("chart.{name}");
            move |problem: String| RecordError::Member { path: path.clone(), problem }
        };
        Ok(StoredChart {
            metadata: match members.take("metadata") {
                Value::Null => None,
                value => Some(Metadata::from_value(&value).map_err(struct_error("metadata"))?),
            },
            lock: Lock::from_value(&members.take("lock")).map_err(struct_error("lock"))?,
            templates: members.files("templates")?,
            values: members.table("values")?,
            schema: members.bytes("schema")?,
            schema_modified: members.time("schemamodtime")?,
            files: members.files("files")?,
            modified: members.time("modtime")?,
            unknown: members.rest,
        })
    }

    fn to_json(&self) -> String {
        let mut out = ObjectWriter::new();
        out.raw("metadata", &self.metadata.as_ref().map_or("null".to_owned(), Metadata::to_json));
        out.raw("lock", &self.lock.as_ref().map_or("null".to_owned(), Lock::to_json));
        write_files(&mut out, "templates", &self.templates);
        match &self.values {
            None => out.raw("values", "null"),
            Some(values) => out.value("values", &Value::Object(values.clone())),
        }
        match &self.schema {
            None => out.raw("schema", "null"),
            Some(schema) => out.text("schema", &STANDARD.encode(schema)),
        }
        out.text("schemamodtime", &self.schema_modified.map_or(ZERO.to_owned(), |time| time.to_string()));
        write_files(&mut out, "files", &self.files);
        write_time(&mut out, "modtime", self.modified);
        write_unknown(&mut out, &self.unknown);
        out.finish()
    }
}

/// The JSON of a hook in Helm's field order.
pub(crate) fn hook_json(hook: &Hook) -> String {
    let mut out = ObjectWriter::new();
    out.text_unless_empty("name", &hook.name);
    out.text_unless_empty("kind", &hook.kind);
    out.text_unless_empty("path", &hook.path);
    out.text_unless_empty("manifest", &hook.manifest);
    out.list_unless_empty("events", hook.events.iter().map(|event| quote_json(event.as_str(), true)));
    let mut run = ObjectWriter::new();
    write_time(&mut run, "started_at", hook.last_run.started_at);
    write_time(&mut run, "completed_at", hook.last_run.completed_at);
    run.text("phase", &hook.last_run.phase);
    out.raw("last_run", &run.finish());
    if hook.weight != 0 {
        out.raw("weight", &hook.weight.to_string());
    }
    out.texts_unless_empty("delete_policies", &hook.delete_policies);
    out.texts_unless_empty("output_log_policies", &hook.output_log_policies);
    out.finish()
}

fn read_hook(mut members: Members) -> Result<Hook, RecordError> {
    let mut hook = Hook {
        name: members.text("name")?,
        kind: members.text("kind")?,
        path: members.text("path")?,
        manifest: members.text("manifest")?,
        weight: members.integer("weight")?,
        delete_policies: members.texts("delete_policies")?,
        output_log_policies: members.texts("output_log_policies")?,
        ..Hook::default()
    };
    for event in members.texts("events")? {
        let event = HookEvent::parse(&event)
            .ok_or_else(|| members.wrong("events", &format!("there is no hook event {event}")))?;
        hook.events.push(event);
    }
    if let Some(mut run) = members.object("last_run")? {
        hook.last_run = HookExecution {
            started_at: run.time("started_at")?,
            completed_at: run.time("completed_at")?,
            phase: run.text("phase")?,
        };
    }
    Ok(hook)
}

fn write_time(out: &mut ObjectWriter, name: &str, time: Option<Time>) {
    if let Some(time) = time {
        out.text(name, &time.to_string());
    }
}

fn write_files(out: &mut ObjectWriter, name: &str, files: &Option<Vec<ChartFile>>) {
    let Some(files) = files else { return out.raw(name, "null") };
    let items = files.iter().map(|file| {
        let mut out = ObjectWriter::new();
        out.text("name", &file.name);
        out.text("data", &STANDARD.encode(&file.data));
        write_time(&mut out, "modtime", file.modified);
        out.finish()
    });
    out.list(name, items);
}

fn write_unknown(out: &mut ObjectWriter, unknown: &Table) {
    for (name, value) in unknown {
        out.value(name, value);
    }
}

/// The members of a JSON object that were not read yet.
struct Members {
    rest: Table,
    path: String,
}

impl Members {
    fn of(value: Value, path: &str) -> Result<Members, RecordError> {
        match value {
            Value::Object(rest) => Ok(Members { rest, path: path.to_owned() }),
            _ => {
                Err(RecordError::Member { path: path.to_owned(), problem: "it is not an object".to_owned() })
            }
        }
    }

    fn take(&mut self, name: &str) -> Value {
        self.rest.remove(name).unwrap_or(Value::Null)
    }

    fn wrong(&self, name: &str, problem: &str) -> RecordError {
        RecordError::Member { path: format!("{}.{name}", self.path), problem: problem.to_owned() }
    }

    fn text(&mut self, name: &str) -> Result<String, RecordError> {
        match self.take(name) {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(name, "it is not text")),
        }
    }

    fn integer(&mut self, name: &str) -> Result<i64, RecordError> {
        match self.take(name) {
            Value::Null => Ok(0),
            Value::Int(number) => Ok(number),
            _ => Err(self.wrong(name, "it is not an integer")),
        }
    }

    /// Helm 3 writes an empty text for a time that was never set.
    fn time(&mut self, name: &str) -> Result<Option<Time>, RecordError> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => match Time::parse(&text) {
                Some(time) => Ok(Some(time).filter(|time| time.to_string() != ZERO)),
                None => Err(self.wrong(name, "it is not a time (RFC 3339)")),
            },
            _ => Err(self.wrong(name, "it is not a time (RFC 3339)")),
        }
    }

    fn object(&mut self, name: &str) -> Result<Option<Members>, RecordError> {
        match self.take(name) {
            Value::Null => Ok(None),
            value => Members::of(value, &format!("{}.{name}", self.path)).map(Some),
        }
    }

    fn table(&mut self, name: &str) -> Result<Option<Table>, RecordError> {
        match self.take(name) {
            Value::Null => Ok(None),
            value @ Value::Object(_) => match sigs::go_floats(value) {
                Ok(Value::Object(table)) => Ok(Some(table)),
                _ => Err(self.wrong(name, "it has a number that JSON cannot say")),
            },
            _ => Err(self.wrong(name, "it is not an object")),
        }
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, RecordError> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::Array(items) => Ok(Some(items)),
            _ => Err(self.wrong(name, "it is not a list")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, RecordError> {
        let mut texts = Vec::new();
        for item in self.list(name)?.unwrap_or_default() {
            match item {
                Value::String(text) => texts.push(text),
                _ => return Err(self.wrong(name, "an item is not text")),
            }
        }
        Ok(texts)
    }

    fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, RecordError> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::String(text) => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => Err(self.wrong(name, "it is not base64")),
            },
            _ => Err(self.wrong(name, "it is not text")),
        }
    }

    fn files(&mut self, name: &str) -> Result<Option<Vec<ChartFile>>, RecordError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let mut files = Vec::with_capacity(items.len());
        for item in items {
            let mut members = Members::of(item, &format!("{}.{name}", self.path))?;
            files.push(ChartFile {
                name: members.text("name")?,
                data: members.bytes("data")?.unwrap_or_default().into(),
                modified: members.time("modtime")?,
            });
        }
        Ok(Some(files))
    }
}
