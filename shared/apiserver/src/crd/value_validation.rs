//! Validates custom resources against their schema, with the texts of kube-openapi.
//!
//! Every rule of a node is checked, also when its type is wrong already. What an update leaves alone is not checked again.

use fluxide_gotext::quote_str;
use serde_json::Value;

use super::structural::{NodeType, Structural, correlated, join};
use crate::api_error::{FieldError, FieldErrorKind};

/// Everything that is wrong with `v` against `schema`, in the server's order. `field` is what stands before the paths in
/// the names of the fields, and `old` what is stored.
pub(crate) fn validate(schema: &Structural, v: &Value, field: &str, old: Option<&Value>) -> Vec<FieldError> {
    let mut found = Found::default();
    Check { field, is_default: false }.node(schema, v, "", old, &mut found);
    found.errors
}

/// Everything that is wrong with the default of a schema at `field`.
pub(crate) fn validate_default(schema: &Structural, v: &Value, field: &str) -> Vec<FieldError> {
    let mut found = Found::default();
    Check { field, is_default: true }.node(schema, v, "", None, &mut found);
    found.errors
}

/// The errors, and how many rules were looked at: of several failed alternatives the server shows the closest.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    rules: usize,
}

impl Found {
    fn merge(&mut self, other: Found) {
        self.errors.extend(other.errors);
        self.rules += other.rules;
    }
}

struct Check<'a> {
    field: &'a str,
    is_default: bool,
}

impl Check<'_> {
    fn node(&self, s: &Structural, v: &Value, path: &str, old: Option<&Value>, found: &mut Found) {
        if old == Some(v) {
            return;
        }
        self.check_type(s, v, path, found);
        found.rules += 1;
        if v.is_null() {
            return;
        }
        self.combinators(s, v, path, found);
        match v {
            Value::String(text) => self.string(s, text, path, found),
            Value::Number(_) => self.number(s, v, path, found),
            Value::Array(items) => self.array(s, items, path, old, found),
            Value::Object(_) => {}
            _ => {}
        }
        if let Some(allowed) = &s.limits.enumeration
            && !allowed.contains(v)
        {
            let shown: Vec<String> = allowed.iter().map(enum_text).collect();
            found.errors.push(FieldError {
                kind: FieldErrorKind::NotSupported,
                field: self.shown(path),
                value: Some(v.clone()),
                detail: format!("supported values: {}", shown.join(", ")),
            });
        }
        if v.is_object() {
            self.object(s, v, path, old, found);
        }
        found.rules += 1;
    }

    fn shown(&self, path: &str) -> String {
        match (self.field, path) {
            ("", "") => "<nil>".to_owned(),
            (field, "") => field.to_owned(),
            (field, path) => join(field, path),
        }
    }

    fn check_type(&self, s: &Structural, v: &Value, path: &str, found: &mut Found) {
        let have = match v {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let whole = v.as_f64().is_some_and(|n| n.fract() == 0.0);
        let fits = match s.node_type {
            _ if v.is_null() => s.nullable || s.node_type == NodeType::Any && !s.int_or_string,
            _ if s.int_or_string => v.is_string() || v.is_i64() || v.is_u64() || whole,
            NodeType::Any => true,
            NodeType::Object => v.is_object(),
            NodeType::Array => v.is_array(),
            NodeType::String => v.is_string(),
            NodeType::Integer => v.is_i64() || v.is_u64() || whole,
            NodeType::Number => v.is_number(),
            NodeType::Boolean => v.is_boolean(),
        };
        if fits {
            return;
        }
        let want = if s.int_or_string { "integer,string" } else { s.node_type.name() };
        found.errors.push(FieldError {
            kind: FieldErrorKind::TypeInvalid,
            field: self.shown(path),
            value: Some(have.into()),
            detail: format!("{path} in body must be of type {want}: {}", quote_str(have)),
        });
    }

    fn wrong(&self, path: &str, v: impl Into<Value>, why: String, found: &mut Found) {
        found.errors.push(FieldError::invalid(self.shown(path), v, why));
    }

    /// An error that the server knows no field for.
    fn composite(&self, why: String, found: &mut Found) {
        found.errors.push(FieldError::invalid(self.shown(""), "", why));
    }

    fn combinators(&self, s: &Structural, v: &Value, path: &str, found: &mut Found) {
        let try_one = |c: &Structural| {
            let mut inner = Found::default();
            self.node(c, v, path, None, &mut inner);
            inner
        };
        let path_text = quote_str(path);
        if !s.any_of.is_empty() {
            let results: Vec<Found> = s.any_of.iter().map(try_one).collect();
            if !results.iter().any(|r| r.errors.is_empty()) {
                self.composite(format!("{path_text} must validate at least one schema (anyOf)"), found);
                if let Some(closest) = closest(results) {
                    found.merge(closest);
                }
            }
        }
        if !s.one_of.is_empty() {
            let results: Vec<Found> = s.one_of.iter().map(try_one).collect();
            let valid = results.iter().filter(|r| r.errors.is_empty()).count();
            if valid != 1 {
                let why = match valid {
                    0 => "Found none valid".to_owned(),
                    n => format!("Found {n} valid alternatives"),
                };
                self.composite(
                    format!("{path_text} must validate one and only one schema (oneOf). {why}"),
                    found,
                );
                if valid == 0
                    && let Some(closest) = closest(results)
                {
                    found.merge(closest);
                }
            }
        }
        if !s.all_of.is_empty() {
            let results: Vec<Found> = s.all_of.iter().map(try_one).collect();
            let valid = results.iter().filter(|r| r.errors.is_empty()).count();
            let (all, none) = (valid == results.len(), valid == 0);
            for result in results {
                found.merge(result);
            }
            if !all {
                let why = if none { ". None validated" } else { "" };
                self.composite(format!("{path_text} must validate all the schemas (allOf){why}"), found);
            }
        }
        if let Some(not) = &s.not
            && try_one(not).errors.is_empty()
        {
            self.composite(format!("{path_text} must not validate the schema (not)"), found);
        }
        found.rules += 1;
    }

    fn string(&self, s: &Structural, text: &str, path: &str, found: &mut Found) {
        let l = &s.limits;
        let length = text.chars().count() as u64;
        if let Some(max) = l.max_length
            && length > max
        {
            found.errors.push(FieldError::too_long(self.shown(path), max as usize));
        } else if let Some(min) = l.min_length
            && length < min
        {
            self.wrong(path, text, format!("{path} in body should be at least {min} chars long"), found);
        } else if let Some((pattern, Some(regex))) = &l.pattern
            && !regex.is_match(text)
        {
            self.wrong(path, text, format!("{path} in body should match '{pattern}'"), found);
        }
        if let Some(format) = &l.format
            && !crate::validation::formats::matches(format, text)
        {
            found.errors.push(FieldError {
                kind: FieldErrorKind::TypeInvalid,
                field: self.shown(path),
                value: Some(text.into()),
                detail: format!("{path} in body must be of type {format}: {}", quote_str(text)),
            });
        }
    }

    fn number(&self, s: &Structural, v: &Value, path: &str, found: &mut Found) {
        let l = &s.limits;
        let Some(n) = v.as_f64() else { return };
        if let Some(why) = out_of_range(s, v, n) {
            self.composite(format!("Checked value must be of type {why} in {path}"), found);
        }
        match l.multiple_of {
            Some(m) if m <= 0.0 => {
                let why = format!("factor MultipleOf declared for {path} must be positive: {}", plain(m));
                let mut factor = serde_json::Number::from_f64(m).map_or(Value::Null, Value::from);
                super::structural::write_whole_numbers(&mut factor);
                self.wrong(path, factor, why, found);
            }
            Some(m) if !is_multiple(n, m) => {
                let why = format!("{path} in body should be a multiple of {}", plain(m));
                self.wrong(path, v.clone(), why, found);
            }
            _ => {}
        }
        if let Some(max) = l.maximum
            && (n > max || l.exclusive_maximum && n >= max)
        {
            let op = if l.exclusive_maximum { "less than" } else { "less than or equal to" };
            self.wrong(path, v.clone(), format!("{path} in body should be {op} {}", plain(max)), found);
        }
        if let Some(min) = l.minimum
            && (n < min || l.exclusive_minimum && n <= min)
        {
            let op = if l.exclusive_minimum { "greater than" } else { "greater than or equal to" };
            self.wrong(path, v.clone(), format!("{path} in body should be {op} {}", plain(min)), found);
        }
        found.rules += 1;
    }

    fn array(&self, s: &Structural, items: &[Value], path: &str, old: Option<&Value>, found: &mut Found) {
        let l = &s.limits;
        let len = items.len() as u64;
        if let Some(schema) = &s.items {
            for (i, item) in items.iter().enumerate() {
                let old = old.and_then(|old| correlated(s, old, item));
                self.node(schema, item, &format!("{path}[{i}]"), old, found);
            }
        }
        if let Some(min) = l.min_items
            && len < min
        {
            self.wrong(path, len, format!("{path} in body should have at least {min} items"), found);
        }
        if let Some(max) = l.max_items
            && len > max
        {
            found.errors.push(FieldError::too_many(self.shown(path), items.len(), max as usize));
        }
        if l.unique_items && items.iter().enumerate().any(|(i, item)| items[..i].contains(item)) {
            self.composite(format!("{path} in body shouldn't contain duplicates"), found);
        }
        found.rules += 1;
    }

    fn object(&self, s: &Structural, v: &Value, path: &str, old: Option<&Value>, found: &mut Found) {
        let Some(m) = v.as_object() else { return };
        let l = &s.limits;
        let len = m.len() as u64;
        if let Some(min) = l.min_properties
            && len < min
        {
            self.wrong(path, len, format!("{path} in body should have at least {min} properties"), found);
        }
        if let Some(max) = l.max_properties
            && len > max
        {
            found.errors.push(FieldError::too_many(self.shown(path), m.len(), max as usize));
        }
        for r in &s.required {
            if !m.contains_key(r) {
                found.errors.push(FieldError::required(self.shown(&join(path, r)), ""));
            }
        }
        let root = path.is_empty() && !self.is_default;
        for (k, child) in m {
            if (root || s.embedded) && k == "metadata" {
                continue;
            }
            if let Some(schema) = s.properties.get(k).or(s.additional.as_deref()) {
                self.node(schema, child, &join(path, k), old.and_then(|old| old.get(k)), found);
            }
        }
    }
}

/// The failed alternative that got furthest.
fn closest(results: Vec<Found>) -> Option<Found> {
    let mut best: Option<Found> = None;
    for result in results {
        if best.as_ref().is_none_or(|best| result.rules > best.rules) {
            best = Some(result);
        }
    }
    best
}

/// The type that a number does not fit, in the words of the server.
fn out_of_range(s: &Structural, v: &Value, n: f64) -> Option<String> {
    let format = s.limits.format.as_deref().unwrap_or_default();
    match s.node_type {
        NodeType::Integer => {
            let fits = match format {
                "int32" => n.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&n),
                "uint32" => n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n),
                "uint64" => v.is_u64() || n.fract() == 0.0 && n >= 0.0,
                _ => v.is_i64() || v.is_u64() || n.fract() == 0.0,
            };
            let named = matches!(format, "int32" | "int64" | "uint32" | "uint64");
            let shown = if named { format!("with format {format}") } else { "(default format)".to_owned() };
            (!fits).then(|| format!("integer {shown}"))
        }
        NodeType::Number if format == "float" && n.abs() > f64::from(f32::MAX) => {
            Some("number with format float".to_owned())
        }
        _ => None,
    }
}

fn is_multiple(n: f64, m: f64) -> bool {
    let quotient = n / m;
    quotient.fract() == 0.0 || (quotient - quotient.round()).abs() < 1e-9
}

fn enum_text(v: &Value) -> String {
    match v {
        Value::String(s) => quote_str(s),
        other => quote_str(&other.to_string()),
    }
}

fn plain(f: f64) -> String {
    if f.fract() == 0.0 && f.abs() < 1e15 { format!("{}", f as i64) } else { f.to_string() }
}
