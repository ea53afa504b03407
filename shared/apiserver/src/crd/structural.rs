//! Structural schemas, compiled once: pruning of unknown fields and defaulting.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// The type a schema node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NodeType {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// One node of a schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Structural {
    pub node_type: NodeType,
    pub properties: BTreeMap<String, Structural>,
    pub additional: Option<Box<Structural>>,
    pub additional_allowed: bool,
    pub items: Option<Box<Structural>>,
    pub nullable: bool,
    pub preserve_unknown: bool,
    pub embedded: bool,
    pub int_or_string: bool,
    pub default: Option<Value>,
    pub required: Vec<String>,
    pub limits: Limits,
    pub all_of: Vec<Structural>,
    pub any_of: Vec<Structural>,
    pub one_of: Vec<Structural>,
    pub not: Option<Box<Structural>>,
    pub list_type: Option<String>,
    pub list_keys: Vec<String>,
    pub rules: Vec<Rule>,
    /// The rules compiled, in their order.
    pub compiled: Vec<Option<super::rules::CompiledRule>>,
}

/// Value constraints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    pub enumeration: Option<Vec<Value>>,
    pub pattern: Option<(String, Option<Regex>)>,
    pub format: Option<String>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
}

/// An `x-kubernetes-validations` entry.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub rule: String,
    pub message: Option<String>,
    pub message_expression: Option<String>,
    pub reason: Option<String>,
    pub field_path: Option<String>,
    pub optional_old_self: bool,
}

impl NodeType {
    /// The name of the type in a schema.
    pub fn name(self) -> &'static str {
        match self {
            NodeType::Object => "object",
            NodeType::Array => "array",
            NodeType::String => "string",
            NodeType::Integer => "integer",
            NodeType::Number => "number",
            NodeType::Boolean => "boolean",
            NodeType::Any => "",
        }
    }
}

impl Structural {
    /// Reads the schema of an object with its rules ready to be used.
    pub fn compile_root(v: &Value) -> Self {
        let mut schema = Self::compile(v);
        schema.compile_rules(true);
        schema
    }

    fn compile_rules(&mut self, root: bool) {
        self.compiled = super::rules::compile(self, root);
        self.properties.values_mut().for_each(|s| s.compile_rules(false));
        self.additional.iter_mut().for_each(|s| s.compile_rules(false));
        self.items.iter_mut().for_each(|s| s.compile_rules(false));
    }

    /// Reads an OpenAPI v3 schema with the `x-kubernetes-*` extensions.
    pub fn compile(v: &Value) -> Self {
        let list = |key: &str| -> Vec<Structural> {
            v[key].as_array().into_iter().flatten().map(Structural::compile).collect()
        };
        let (additional, additional_allowed) = match &v["additionalProperties"] {
            Value::Bool(b) => (None, *b),
            Value::Object(_) => (Some(Box::new(Structural::compile(&v["additionalProperties"]))), true),
            _ => (None, false),
        };
        Structural {
            node_type: match v["type"].as_str() {
                Some("object") => NodeType::Object,
                Some("array") => NodeType::Array,
                Some("string") => NodeType::String,
                Some("integer") => NodeType::Integer,
                Some("number") => NodeType::Number,
                Some("boolean") => NodeType::Boolean,
                _ => NodeType::Any,
            },
            properties: v["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, s)| (k.clone(), Structural::compile(s)))
                .collect(),
            additional,
            additional_allowed,
            items: v["items"].is_object().then(|| Box::new(Structural::compile(&v["items"]))),
            nullable: v["nullable"] == true,
            preserve_unknown: v["x-kubernetes-preserve-unknown-fields"] == true,
            embedded: v["x-kubernetes-embedded-resource"] == true,
            int_or_string: v["x-kubernetes-int-or-string"] == true,
            default: v.get("default").cloned(),
            required: strings(&v["required"]),
            limits: Limits::compile(v),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: v["not"].is_object().then(|| Box::new(Structural::compile(&v["not"]))),
            list_type: v["x-kubernetes-list-type"].as_str().map(str::to_owned),
            list_keys: strings(&v["x-kubernetes-list-map-keys"]),
            rules: v["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Rule::compile)
                .collect(),
            compiled: Vec::new(),
        }
    }

    /// Removes the fields that the schema does not know, at the root of an object. The removed paths are returned.
    pub fn prune_object(&self, v: &mut Value) -> Vec<String> {
        let mut removed = Vec::new();
        self.prune(v, true, "", &mut removed);
        removed
    }

    /// Removes the fields that the schema does not know from a value that is no object of its own.
    pub fn prune_value(&self, v: &mut Value) -> Vec<String> {
        let mut removed = Vec::new();
        self.prune(v, false, "", &mut removed);
        removed
    }

    fn prune(&self, v: &mut Value, root: bool, path: &str, removed: &mut Vec<String>) {
        match v {
            Value::Object(m) => {
                let meta = root || self.embedded;
                let unknown: Vec<String> = m
                    .keys()
                    .filter(|k| {
                        !(self.preserve_unknown
                            || self.additional.is_some()
                            || self.additional_allowed
                            || self.properties.contains_key(*k)
                            || meta && matches!(k.as_str(), "apiVersion" | "kind" | "metadata"))
                    })
                    .cloned()
                    .collect();
                for k in unknown {
                    m.remove(&k);
                    removed.push(join(path, &k));
                }
                for (k, child) in m.iter_mut() {
                    if self.embedded && k == "metadata" && child.is_object() {
                        let unknown = decode_metadata(child).unwrap_or_default();
                        removed.extend(unknown.into_iter().map(|p| join(&join(path, k), &p)));
                    }
                    if meta && matches!(k.as_str(), "apiVersion" | "kind" | "metadata") {
                        continue;
                    }
                    if let Some(s) = self.properties.get(k).or(self.additional.as_deref()) {
                        s.prune(child, false, &join(path, k), removed);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(s) = &self.items {
                    for (i, item) in items.iter_mut().enumerate() {
                        s.prune(item, false, &format!("{path}[{i}]"), removed);
                    }
                }
            }
            _ => {}
        }
    }

    /// Fills absent fields with their defaults, and replaces or drops nulls where the schema forbids them.
    pub fn default_object(&self, v: &mut Value) {
        self.drop_forbidden_nulls(v);
        self.default_only(v);
    }

    /// Fills absent fields, and nulls where the schema forbids them, with their defaults. Other nulls stay.
    pub fn default_only(&self, v: &mut Value) {
        match v {
            Value::Object(m) => {
                for (k, s) in &self.properties {
                    let Some(default) = &s.default else { continue };
                    if m.get(k).is_none_or(|v| v.is_null() && !s.nullable) {
                        m.insert(k.clone(), default.clone());
                    }
                }
                for (k, child) in m.iter_mut() {
                    if let Some(s) = self.properties.get(k).or(self.additional.as_deref()) {
                        s.default_only(child);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(s) = &self.items {
                    for item in items {
                        if item.is_null()
                            && !s.nullable
                            && let Some(d) = &s.default
                        {
                            *item = d.clone();
                        }
                        s.default_only(item);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether this node or one below it has rules in CEL.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.properties.values().any(Structural::has_rules)
            || self.additional.as_deref().is_some_and(Structural::has_rules)
            || self.items.as_deref().is_some_and(Structural::has_rules)
            || self.all_of.iter().any(Structural::has_rules)
    }

    fn drop_forbidden_nulls(&self, v: &mut Value) {
        match v {
            Value::Object(members) => {
                let schema = |name: &str| self.properties.get(name).or(self.additional.as_deref());
                members.retain(|name, v| !v.is_null() || schema(name).is_none_or(|s| s.nullable));
                for (name, child) in members.iter_mut() {
                    if let Some(s) = schema(name) {
                        s.drop_forbidden_nulls(child);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(s) = &self.items {
                    items.iter_mut().for_each(|item| s.drop_forbidden_nulls(item));
                }
            }
            _ => {}
        }
    }
}

impl Limits {
    fn compile(v: &Value) -> Self {
        Limits {
            enumeration: v["enum"].as_array().cloned(),
            pattern: v["pattern"]
                .as_str()
                .filter(|p| !p.is_empty())
                .map(|p| (p.to_owned(), super::patterns::compile(p).ok())),
            format: v["format"].as_str().filter(|f| !f.is_empty()).map(str::to_owned),
            minimum: v["minimum"].as_f64(),
            maximum: v["maximum"].as_f64(),
            exclusive_minimum: v["exclusiveMinimum"] == true,
            exclusive_maximum: v["exclusiveMaximum"] == true,
            multiple_of: v["multipleOf"].as_f64(),
            min_length: v["minLength"].as_u64(),
            max_length: v["maxLength"].as_u64(),
            min_items: v["minItems"].as_u64(),
            max_items: v["maxItems"].as_u64(),
            unique_items: v["uniqueItems"] == true,
            min_properties: v["minProperties"].as_u64(),
            max_properties: v["maxProperties"].as_u64(),
        }
    }
}

impl Rule {
    fn compile(v: &Value) -> Self {
        let text = |k: &str| v[k].as_str().map(str::to_owned);
        Rule {
            rule: text("rule").unwrap_or_default(),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old_self: v["optionalOldSelf"] == true,
        }
    }
}

/// Gives metadata the form of its type, and names the unknown fields, which go.
pub(crate) fn decode_metadata(meta: &mut Value) -> Result<Vec<String>, String> {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    match crate::schema::builtin().definition(META) {
        Some(ty) => crate::schema::decode(meta, ty).map_err(|e| e.to_string()),
        None => Ok(Vec::new()),
    }
}

/// Writes whole floating-point numbers as integers, as they are written back.
pub(crate) fn write_whole_numbers(v: &mut Value) {
    match v {
        Value::Number(n) if n.is_f64() => {
            if let Some(f) = n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15) {
                *v = Value::from(f as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(members) => members.values_mut().for_each(write_whole_numbers),
        _ => {}
    }
}

/// The item of the stored list that `item` is a new state of; only lists that stand for maps tell.
pub(crate) fn correlated<'a>(s: &Structural, old: &'a Value, item: &Value) -> Option<&'a Value> {
    if s.list_type.as_deref() != Some("map") {
        return None;
    }
    let key = super::list_types::key_of(s, item);
    old.as_array()?.iter().find(|old| super::list_types::key_of(s, old) == key)
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
}

/// `a.b` of `a` and `b`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
