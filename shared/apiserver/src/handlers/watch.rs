//! WATCH: initial events, changes from the history, bookmarks, expiry.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Context;
use super::answer::{Answer, Payload};
use super::read::{Selection, is_plain, parse_revision, presented, too_old};
use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::core::Core;
use crate::output::table::{IncludeObject, table};
use crate::output::{self, Accepted, Form, Syntax};
use crate::protobuf;
use crate::registry::Resource;
use crate::selectors::LabelSelector;
use crate::store::{Change, ChangeKind, ObjectKey, Stored};

const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Watches of a quiet namespace keep up with the history of the others at least this often.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
const BATCH: usize = 1024;
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Opens a watch.
pub(crate) fn watch(ctx: &Context) -> ApiResult<Answer> {
    let query = &ctx.request.query;
    let accepted = stream_form(ctx)?;
    LabelSelector::parse(query.text("labelSelector")).map_err(ApiError::bad_request)?;
    check_options(ctx)?;
    let selection = Selection::parse(ctx)?;
    let rv = query.text("resourceVersion");
    query.integer("timeoutSeconds").map_err(ApiError::bad_request)?;
    let revision = parse_revision(rv).map_err(ApiError::internal_text)?;
    let include = IncludeObject::parse(query.text("includeObject"))?;
    let seconds = query.number("timeoutSeconds").filter(|s| *s > 0).map(|s| Duration::from_secs(s as u64));
    let bookmarks = query.flag("allowWatchBookmarks");
    let initial = match query.optional_flag("sendInitialEvents") {
        Some(send) => send,
        None => revision == 0,
    };
    let end_mark = initial && bookmarks;
    let core = ctx.core.clone();
    let now = Instant::now();
    let mut w = Watcher {
        changed: core.store.subscribe(&ctx.resource.table, namespace_filter(ctx)),
        view: View {
            resource: ctx.resource.clone(),
            namespace: ctx.target.namespace.clone(),
            name: ctx.target.name.clone(),
            selection,
            form: accepted.form,
            protobuf: accepted.syntax == Syntax::Protobuf,
            include,
        },
        at: revision,
        pending: Vec::new(),
        header: true,
        bookmarks,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + seconds.unwrap_or(LONGEST).min(LONGEST),
        done: false,
        core,
    };
    if initial {
        w.send_initial(end_mark);
    } else if revision == 0 {
        w.at = w.core.store.revision();
    } else if let Err(e) = w.core.store.changes_after(&w.view.resource.table, None, revision, 1) {
        w.push_error(&too_old(revision, e));
    }
    let content_type = if w.view.protobuf { protobuf::WATCH_MEDIA_TYPE } else { "application/json" };
    let stream = futures::stream::unfold(w, |mut w| async move {
        let chunk = w.next().await?;
        Some((chunk, w))
    });
    Ok(Answer {
        status: 200,
        content_type: content_type.to_owned(),
        headers: Vec::new(),
        warnings: Vec::new(),
        body: Payload::Stream(stream.boxed()),
    })
}

/// What the client accepts that can be written event by event: YAML cannot.
fn stream_form(ctx: &Context) -> ApiResult<Accepted> {
    if ctx.accepted.syntax != Syntax::Yaml {
        return Ok(ctx.accepted);
    }
    let accept = ctx.request.header("accept");
    let clauses: Vec<&str> = accept.split(',').filter(|clause| !clause.contains("yaml")).collect();
    let others = clauses.join(",");
    if others.trim().is_empty() {
        return Err(ApiError::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        ));
    }
    output::negotiate(&others, true, ctx.resource.custom.is_some())
}

/// The namespace that a request is about; none when it is about all.
fn namespace_filter<'a>(ctx: &'a Context) -> Option<&'a str> {
    let namespace = ctx.target.namespace.as_str();
    (ctx.resource.namespaced && !namespace.is_empty()).then_some(namespace)
}

fn check_options(ctx: &Context) -> ApiResult<()> {
    let query = &ctx.request.query;
    let mut matching = query.text("resourceVersionMatch");
    let mut initial = query.get("sendInitialEvents");
    if matching.is_empty() && initial.is_none() && matches!(query.text("resourceVersion"), "" | "0") {
        // Such watches begin with what exists, and are taken to ask for it.
        (matching, initial) = ("NotOlderThan", Some("true"));
    }
    let mut errors = Vec::new();
    match initial {
        Some(_) => {
            if matching != "NotOlderThan" {
                errors.push(FieldError::forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            if !matching.is_empty() && matching != "NotOlderThan" {
                errors.push(FieldError::not_supported("resourceVersionMatch", matching, &["NotOlderThan"]));
            }
        }
        None if !matching.is_empty() => {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
            if matching != "NotOlderThan" {
                errors.push(FieldError::not_supported("resourceVersionMatch", matching, &["NotOlderThan"]));
            }
        }
        None => {}
    }
    if !query.text("continue").is_empty() && !matching.is_empty() {
        errors.push(FieldError::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden when continue is provided",
        ));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", errors)) }
}

/// What of the changes a watch shows, and how.
struct View {
    resource: Arc<Resource>,
    namespace: String,
    name: String,
    selection: Selection,
    form: Form,
    protobuf: bool,
    include: IncludeObject,
}

struct Watcher {
    core: Arc<Core>,
    view: View,
    changed: tokio::sync::watch::Receiver<u64>,
    at: u64,
    pending: Vec<u8>,
    header: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    done: bool,
}

impl Watcher {
    /// The next bytes of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.pending.is_empty() {
                return Some(std::mem::take(&mut self.pending).into());
            }
            if self.done {
                return None;
            }
            self.changed.borrow_and_update();
            self.catch_up();
            if !self.pending.is_empty() || self.done {
                continue;
            }
            let wake = self.next_bookmark.min(self.deadline).min(Instant::now() + REFRESH_EVERY);
            let outcome = tokio::time::timeout_at(wake, self.changed.changed()).await;
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if Instant::now() >= self.deadline => return None,
                Err(_) if Instant::now() < self.next_bookmark => {}
                Err(_) => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    if self.bookmarks {
                        self.catch_up();
                        self.bookmark(false);
                    }
                }
            }
        }
    }

    fn catch_up(&mut self) {
        let core = self.core.clone();
        let namespace = self.view.namespace_filter().map(str::to_owned);
        loop {
            let table = &self.view.resource.table;
            match core.store.changes_after(table, namespace.as_deref(), self.at, BATCH) {
                Ok((changes, complete)) => {
                    let more = complete > self.at && complete < core.store.revision();
                    for c in changes {
                        self.push_change(&c);
                    }
                    self.at = self.at.max(complete);
                    if !more || !self.pending.is_empty() {
                        return;
                    }
                }
                Err(e) => {
                    let at = self.at;
                    self.push_error(&too_old(at, e));
                    return;
                }
            }
        }
    }

    fn send_initial(&mut self, end_mark: bool) {
        let namespace = (!self.view.namespace.is_empty()).then(|| self.view.namespace.clone());
        let listing = self.core.store.list(&self.view.resource.table, namespace.as_deref());
        self.at = listing.revision;
        for s in &listing.objects {
            if self.view.shows(s) {
                self.push_event("ADDED", s);
            }
        }
        if end_mark {
            self.bookmark(true);
        }
    }

    fn push_change(&mut self, c: &Change) {
        if !self.view.covers(&c.key) {
            return;
        }
        let before = c.before.as_ref().is_some_and(|b| self.view.shows(b));
        match c.kind {
            ChangeKind::Deleted => {
                if before {
                    self.push_event("DELETED", &c.now);
                }
            }
            _ => match (before, self.view.shows(&c.now)) {
                (false, true) => self.push_event("ADDED", &c.now),
                (true, true) => self.push_event("MODIFIED", &c.now),
                (true, false) => {
                    let mut last = c.before.as_ref().map(|b| b.value.clone()).unwrap_or_default();
                    crate::object::metadata(&mut last)
                        .insert("resourceVersion".into(), c.now.revision.to_string().into());
                    self.push_event("DELETED", &Stored::new(last, c.now.revision));
                }
                (false, false) => {}
            },
        }
    }

    fn push_event(&mut self, kind: &str, s: &Stored) {
        if self.refuses() {
            return;
        }
        let r = &self.view.resource;
        if self.view.protobuf {
            let v = match self.view.form {
                Form::Object => presented(r, &s.value),
                _ => output::partial_metadata(&s.value),
            };
            return self.push_frame(kind, &v);
        }
        let plain = is_plain(r) || crate::versions::needs_nothing(r, &s.value);
        self.pending.extend_from_slice(b"{\"type\":\"");
        self.pending.extend_from_slice(kind.as_bytes());
        self.pending.extend_from_slice(b"\",\"object\":");
        match self.view.form {
            Form::Object if plain => s.write_json(&mut self.pending),
            Form::Object => {
                let _ = serde_json::to_writer(&mut self.pending, &presented(r, &s.value));
            }
            Form::PartialMetadata | Form::PartialMetadataList => {
                let _ = serde_json::to_writer(&mut self.pending, &output::partial_metadata(&s.value));
            }
            Form::Table => {
                let v = presented(r, &s.value);
                let meta = json!({"resourceVersion": s.revision.to_string()});
                let t = table(r, &[&v], meta, self.view.include, self.header, self.core.clock.now());
                self.header = false;
                let _ = serde_json::to_writer(&mut self.pending, &t);
            }
        }
        self.pending.extend_from_slice(b"}\n");
    }

    /// Whether the form asked for is that of lists, which no event has: the first one ends the stream.
    fn refuses(&mut self) -> bool {
        let refuses = self.view.form == Form::PartialMetadataList;
        self.done |= refuses;
        refuses
    }

    fn bookmark(&mut self, initial_end: bool) {
        if self.refuses() {
            return;
        }
        let r = &self.view.resource;
        let mut meta = json!({"resourceVersion": self.at.to_string()});
        if initial_end {
            crate::object::members(&mut meta)
                .insert("annotations".into(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let mut o = json!({"kind": r.kind, "apiVersion": r.api_version(), "metadata": meta});
        match self.view.form {
            Form::Object => {
                if r.custom.is_none() {
                    crate::kinds::complete_empty(r, &mut o);
                }
            }
            Form::PartialMetadata | Form::PartialMetadataList => o = output::partial_metadata(&o),
            Form::Table => {
                let m = json!({"resourceVersion": self.at.to_string()});
                o = table(r, &[&o], m, self.view.include, self.header, self.core.clock.now());
            }
        }
        self.push_value("BOOKMARK", &o);
    }

    fn push_error(&mut self, e: &ApiError) {
        self.push_value("ERROR", &e.to_status());
        self.done = true;
    }

    fn push_value(&mut self, kind: &str, object: &Value) {
        if self.view.protobuf {
            return self.push_frame(kind, object);
        }
        let event = json!({"type": kind, "object": object});
        self.pending.extend_from_slice(event.to_string().as_bytes());
        self.pending.push(b'\n');
    }

    fn push_frame(&mut self, kind: &str, object: &Value) {
        if let Some(bytes) = protobuf::encode(object) {
            self.pending.extend_from_slice(&protobuf::watch_frame(kind, &bytes));
        }
    }
}

impl View {
    fn namespace_filter(&self) -> Option<&str> {
        (self.resource.namespaced && !self.namespace.is_empty()).then_some(self.namespace.as_str())
    }

    fn covers(&self, key: &ObjectKey) -> bool {
        (self.namespace.is_empty() || self.namespace == key.namespace || !self.resource.namespaced)
            && (self.name.is_empty() || self.name == key.name)
    }

    fn shows(&self, s: &Stored) -> bool {
        let v: &Value = &s.value;
        (self.name.is_empty() || self.name == crate::object::name(v)) && self.selection.matches(v)
    }
}
