//! Semantic versions.

use std::any::Any;
use std::cmp::Ordering;
use std::sync::Arc;

use fluxide_semver_range::{Constraint, Version};

use super::argument::{STRING, text};
use crate::error::Error;
use crate::function::{Function, Functions, Method};
use crate::object::Object;
use crate::text::Text;
use crate::time::methods;
use crate::types::Type;
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert("semver", Function::new(&[STRING], |_, a| parse(text(a, 0)).map(into_value)));
    functions.insert(
        "semverCompare",
        Function::new(&[STRING, STRING], |_, a| {
            let constraint = Constraint::parse(&String::from_utf8_lossy(text(a, 0)))
                .map_err(|error| Error::new(error.to_string()))?;
            Ok(Value::Bool(constraint.matches(&parse(text(a, 1))?)))
        }),
    );
}

fn parse(text: &[u8]) -> Result<Version, Error> {
    Version::parse(&String::from_utf8_lossy(text)).map_err(|error| Error::new(error.to_string()))
}

fn into_value(version: Version) -> Value {
    Value::Object(Arc::new(Semver { version, pointer: true }))
}

/// A `*semver.Version`, or the `semver.Version` that increments give.
struct Semver {
    version: Version,
    pointer: bool,
}

const POINTER: Type = Type::Object("*semver.Version");

static METHODS: &[Method] = methods! {
    "Compare"(POINTER) = |_, receiver, a| Ok(Value::int(compare(receiver, &a[0])? as i64));
    "Equal"(POINTER) = |_, receiver, a| Ok(Value::Bool(compare(receiver, &a[0])? == Ordering::Equal));
    "GreaterThan"(POINTER) = |_, receiver, a| Ok(Value::Bool(compare(receiver, &a[0])? == Ordering::Greater));
    "GreaterThanEqual"(POINTER) = |_, receiver, a| Ok(Value::Bool(compare(receiver, &a[0])? != Ordering::Less));
    "IncMajor"() = |_, receiver, _| increment(receiver, |version| (version.major().wrapping_add(1), 0, 0));
    "IncMinor"() = |_, receiver, _| increment(receiver, |version| (version.major(), version.minor().wrapping_add(1), 0));
    "IncPatch"() = |_, receiver, _| increment(receiver, |version| {
        // A pre-release becomes the release that it announces.
        let patch = if version.prerelease().is_empty() { version.patch().wrapping_add(1) } else { version.patch() };
        (version.major(), version.minor(), patch)
    });
    "LessThan"(POINTER) = |_, receiver, a| Ok(Value::Bool(compare(receiver, &a[0])? == Ordering::Less));
    "LessThanEqual"(POINTER) = |_, receiver, a| Ok(Value::Bool(compare(receiver, &a[0])? != Ordering::Greater));
    "Major"() = |_, receiver, _| Ok(Value::uint64(version(receiver)?.major()));
    "MarshalText"() = |_, receiver, _| Ok(Value::Bytes(Text::from(version(receiver)?.to_string())));
    "Metadata"() = |_, receiver, _| Ok(Value::from(version(receiver)?.metadata()));
    "Minor"() = |_, receiver, _| Ok(Value::uint64(version(receiver)?.minor()));
    "Original"() = |_, receiver, _| Ok(Value::from(version(receiver)?.original()));
    "Patch"() = |_, receiver, _| Ok(Value::uint64(version(receiver)?.patch()));
    "Prerelease"() = |_, receiver, _| Ok(Value::from(version(receiver)?.prerelease()));
    "SetMetadata"(Type::String) = |_, receiver, a| with_parts(version(receiver)?, None, Some(text(a, 0)));
    "SetPrerelease"(Type::String) = |_, receiver, a| with_parts(version(receiver)?, Some(text(a, 0)), None);
    "String"() = |_, receiver, _| Ok(Value::from(version(receiver)?.to_string()));
};

fn version(value: &Value) -> Result<&Version, Error> {
    match value {
        Value::Object(object) => object
            .as_any()
            .downcast_ref::<Semver>()
            .map(|semver| &semver.version)
            .ok_or_else(|| Error::new("value is no version")),
        // A nil pointer.
        _ => Err(Error::new("runtime error: invalid memory address or nil pointer dereference")),
    }
}

fn compare(receiver: &Value, other: &Value) -> Result<Ordering, Error> {
    Ok(version(receiver)?.cmp(version(other)?))
}

fn increment(receiver: &Value, parts: impl Fn(&Version) -> (u64, u64, u64)) -> Result<Value, Error> {
    let old = version(receiver)?;
    let (major, minor, patch) = parts(old);
    let prefix = if old.original().starts_with('v') { "v" } else { "" };
    made(&format!("{prefix}{major}.{minor}.{patch}"))
}

fn with_parts(old: &Version, pre: Option<&[u8]>, metadata: Option<&[u8]>) -> Result<Value, Error> {
    let pre =
        pre.map_or_else(|| old.prerelease().to_owned(), |pre| String::from_utf8_lossy(pre).into_owned());
    let metadata = metadata
        .map_or_else(|| old.metadata().to_owned(), |metadata| String::from_utf8_lossy(metadata).into_owned());
    let prefix = if old.original().starts_with('v') { "v" } else { "" };
    let mut text = format!("{prefix}{}.{}.{}", old.major(), old.minor(), old.patch());
    if !pre.is_empty() {
        text.push('-');
        text.push_str(&pre);
    }
    if !metadata.is_empty() {
        text.push('+');
        text.push_str(&metadata);
    }
    made(&text)
}

fn made(text: &str) -> Result<Value, Error> {
    Ok(Value::Object(Arc::new(Semver { version: parse(text.as_bytes())?, pointer: false })))
}

impl Object for Semver {
    fn type_name(&self) -> &'static str {
        if self.pointer { "*semver.Version" } else { "semver.Version" }
    }

    fn hidden_fields(&self) -> &'static [&'static str] {
        &["major", "minor", "patch", "pre", "metadata", "original"]
    }

    fn methods(&self) -> &'static [Method] {
        METHODS
    }

    fn text(&self) -> Option<Text> {
        Some(Text::from(self.version.to_string()))
    }

    fn json_text(&self) -> Option<Text> {
        self.text()
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("major", Value::uint64(self.version.major())),
            ("minor", Value::uint64(self.version.minor())),
            ("patch", Value::uint64(self.version.patch())),
            ("pre", Value::from(self.version.prerelease())),
            ("metadata", Value::from(self.version.metadata())),
            ("original", Value::from(self.version.original())),
        ]
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        // Copying by reflection leaves out what is not exported, which is everything.
        Some(Arc::new(Semver { version: Version::parse("0.0.0").ok()?, pointer: self.pointer }))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other
            .as_any()
            .downcast_ref::<Semver>()
            .is_some_and(|other| self.version.original() == other.version.original())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
