//! Node trees to values, as go-yaml v2 and v3 decode into `interface{}`.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use fluxide_gotext::quote_str;

use crate::alias::{AliasBudget, AliasTargets};
use crate::error::Error;
use crate::node::{Kind, Node, Style, tag};
use crate::number::{format_float, format_float32};
use crate::resolve::{Rules, Scalar, resolve};
use crate::value::Value;

/// Decodes a tree as go-yaml v3 decodes it into `map[string]interface{}`, which is how kustomize turns an object into
/// a value.
///
/// Keys of the root that are no strings are taken as text; further down they fail, since JSON has no such keys.
pub fn decode(node: &Node) -> Result<Value, Error> {
    let root = node.root();
    if root.kind == Kind::Mapping
        && let Some(value) = decode_simple(root, Rules::V3)
    {
        return Ok(value);
    }
    let mut decoder = Decoder::new(root, Rules::V3, false);
    let value = match root.kind {
        Kind::Mapping => {
            let mut map = GoMap::default();
            decoder.budget.count(1, 0)?;
            decoder.mapping_v3(root, &mut map, true, None)?;
            Go::Map(map)
        }
        Kind::Scalar if root.tag() != tag::NULL => {
            let shown = terror_value(&root.value);
            let problem = format!(
                "line {}: cannot unmarshal {}{shown} into map[string]interface {{}}",
                root.line,
                root.tag()
            );
            return Err(Error::Values(vec![problem]));
        }
        _ => decoder.value(root)?,
    };
    decoder.finish()?;
    value.into_value()
}

/// Decodes the root as go-yaml v2 does and converts it as `sigs.k8s.io/yaml` does before it writes JSON.
///
/// `strict` makes duplicate keys an error.
pub(crate) fn decode_v2(root: &Node, strict: bool) -> Result<Value, Error> {
    if let Some(value) = decode_simple(root, Rules::V2) {
        return Ok(value);
    }
    let mut decoder = Decoder::new(root, Rules::V2, strict);
    decoder.budget.count(1, 0)?;
    let value = decoder.value(root)?;
    decoder.finish()?;
    value.into_value()
}

/// The value of a tree without aliases, merge keys, keys that are no strings, duplicate keys and errors: almost all.
fn decode_simple(node: &Node, rules: Rules) -> Option<Value> {
    match node.kind {
        Kind::Document | Kind::Alias => None,
        Kind::Scalar => match decode_scalar(node, rules).ok()? {
            Go::Null => Some(Value::Null),
            Go::Bool(value) => Some(Value::Bool(value)),
            Go::Int(value) => Some(Value::Int(value)),
            Go::Uint(value) => Some(Value::Uint(value)),
            Go::Float(value) => Some(Value::Float(value)),
            Go::String(text) => Some(Value::String(text)),
            Go::List(_) | Go::Map(_) => None,
        },
        Kind::Sequence => node
            .content
            .iter()
            .map(|item| decode_simple(item, rules))
            .collect::<Option<_>>()
            .map(Value::Array),
        Kind::Mapping => {
            let mut map = BTreeMap::new();
            for (key, value) in node.pairs() {
                let string = key.tag() == tag::STR
                    || rules == Rules::V2
                        && key.tag().is_empty()
                        && key.value != "<<"
                        && resolve(rules, "", &key.value) == Ok(Scalar::String);
                if key.kind != Kind::Scalar || !string {
                    return None;
                }
                if map.insert(key.value.to_string(), decode_simple(value, rules)?).is_some() {
                    return None;
                }
            }
            Some(Value::Object(map))
        }
    }
}

/// A value as Go holds it: keys keep their types.
#[derive(Clone, Debug, PartialEq)]
enum Go {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(String),
    List(Vec<Go>),
    Map(GoMap),
}

/// A map with keys of any type, in the order of first insertion.
#[derive(Clone, Debug, Default, PartialEq)]
struct GoMap {
    entries: Vec<(Go, Go)>,
    /// Positions of the keys that are strings.
    names: BTreeMap<String, usize>,
    /// Whether Go's type is `map[string]interface {}`.
    string_keys: bool,
    /// Whether it may be written as JSON.
    general: bool,
}

impl GoMap {
    fn position(&self, key: &Go) -> Option<usize> {
        match key {
            Go::String(name) => self.names.get(name).copied(),
            // The few keys of other types are compared one by one.
            _ if self.entries.len() == self.names.len() => None,
            _ => self.entries.iter().position(|(known, _)| known == key),
        }
    }

    fn set(&mut self, key: Go, value: Go) {
        match self.position(&key) {
            Some(at) => self.entries[at].1 = value,
            None => {
                if let Go::String(name) = &key {
                    self.names.insert(name.clone(), self.entries.len());
                }
                self.entries.push((key, value));
            }
        }
    }
}

struct Decoder<'a> {
    rules: Rules,
    strict: bool,
    targets: AliasTargets<'a>,
    /// The aliases that are being followed.
    following: HashSet<*const Node>,
    budget: AliasBudget,
    problems: Vec<String>,
}

/// The keys that a mapping has already, when others are merged into it.
type Merged = Vec<Go>;

impl<'a> Decoder<'a> {
    fn new(root: &'a Node, rules: Rules, strict: bool) -> Decoder<'a> {
        Decoder {
            rules,
            strict,
            targets: AliasTargets::of(root),
            following: HashSet::new(),
            budget: AliasBudget::default(),
            problems: Vec::new(),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.problems.is_empty() { Ok(()) } else { Err(Error::Values(std::mem::take(&mut self.problems))) }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.budget.count(1, usize::from(!self.following.is_empty()))
    }

    fn value(&mut self, node: &'a Node) -> Result<Go, Error> {
        self.count()?;
        match node.kind {
            Kind::Scalar => decode_scalar(node, self.rules),
            Kind::Alias => self.follow(node, |decoder, target| decoder.value(target)),
            Kind::Sequence => {
                node.content.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Go::List)
            }
            Kind::Document => self.value(node.root()),
            Kind::Mapping => {
                let mut map = GoMap::default();
                match self.rules {
                    Rules::V2 => self.mapping_v2(node, &mut map)?,
                    Rules::V3 => self.mapping_v3(node, &mut map, false, None)?,
                }
                Ok(Go::Map(map))
            }
        }
    }

    fn follow<T>(
        &mut self,
        alias: &'a Node,
        then: impl FnOnce(&mut Self, &'a Node) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let target = self.targets.get(alias)?;
        if !self.following.insert(alias) {
            return Err(Error::RecursiveAnchor(alias.value.to_string()));
        }
        let result = then(self, target);
        self.following.remove(&std::ptr::from_ref(alias));
        result
    }

    /// Entries are set in the order of the text, merged ones included.
    fn mapping_v2(&mut self, node: &'a Node, map: &mut GoMap) -> Result<(), Error> {
        for (key_node, value_node) in node.pairs() {
            if is_merge_v2(key_node) {
                self.merge_v2(value_node, map)?;
                continue;
            }
            let key = self.value(key_node)?;
            check_key(&key)?;
            let value = self.value(value_node)?;
            if self.strict && map.position(&key).is_some() {
                self.problems.push(format!(
                    "line {}: key {} already set in map",
                    value_node.line,
                    go_syntax(&key)
                ));
            } else {
                map.set(key, value);
            }
        }
        Ok(())
    }

    fn merge_v2(&mut self, node: &'a Node, map: &mut GoMap) -> Result<(), Error> {
        if node.kind == Kind::Sequence {
            // Backwards, since earlier entries win.
            return node.content.iter().rev().try_for_each(|item| self.merge_mapping(item, map, None));
        }
        self.merge_mapping(node, map, None)
    }

    /// Merges one mapping, or what an alias of one refers to.
    fn merge_mapping(
        &mut self,
        node: &'a Node,
        map: &mut GoMap,
        merged: Option<&mut Merged>,
    ) -> Result<(), Error> {
        let mapping = match node.kind {
            Kind::Alias => self.targets.get(node)?,
            _ => node,
        };
        if mapping.kind != Kind::Mapping {
            let problem = "map merge requires map or sequence of maps as the value";
            return Err(Error::Decode(problem.to_owned()));
        }
        self.count()?;
        let body = |decoder: &mut Self, mapping: &'a Node| match decoder.rules {
            Rules::V2 => decoder.mapping_v2(mapping, map),
            Rules::V3 => decoder.mapping_v3(mapping, map, false, merged),
        };
        if node.kind == Kind::Alias {
            self.follow(node, |decoder, target| {
                decoder.count()?;
                body(decoder, target)
            })
        } else {
            body(self, mapping)
        }
    }

    /// Own keys win over merged ones. `text_keys` takes scalar keys as text. `merged` is set while this mapping is merged
    /// into another one.
    fn mapping_v3(
        &mut self,
        node: &'a Node,
        map: &mut GoMap,
        text_keys: bool,
        mut merged: Option<&mut Merged>,
    ) -> Result<(), Error> {
        if self.report_duplicates(node) {
            return Ok(());
        }
        if merged.is_none() {
            map.string_keys = text_keys || self.has_string_keys(node);
            map.general = !map.string_keys;
        }
        let text_keys = text_keys || map.string_keys;
        let mut merge_value = None;
        for (key_node, value_node) in node.pairs() {
            if is_merge_v3(key_node) {
                merge_value = Some(value_node);
                continue;
            }
            let mut key = self.value(key_node)?;
            if text_keys {
                let scalar = self.targets.through(key_node);
                if key == Go::Null {
                    continue;
                }
                if scalar.kind == Kind::Scalar && scalar.tag() != tag::BINARY {
                    key = Go::String(scalar.value.to_string());
                }
            }
            if let Some(known) = merged.as_deref_mut() {
                if known.contains(&key) {
                    continue;
                }
                known.push(key.clone());
            }
            check_key(&key)?;
            let value = self.value(value_node)?;
            map.set(key, value);
        }
        if let Some(value) = merge_value {
            let mut own;
            let known = match merged {
                Some(known) => known,
                None => {
                    own = map.entries.iter().map(|(key, _)| key.clone()).collect();
                    &mut own
                }
            };
            if value.kind == Kind::Sequence {
                for item in &value.content {
                    self.merge_mapping(item, map, Some(known))?;
                }
            } else {
                self.merge_mapping(value, map, Some(known))?;
            }
        }
        Ok(())
    }

    /// Whether all keys are strings (or merge keys), so that Go makes a `map[string]interface {}`.
    fn has_string_keys(&self, node: &Node) -> bool {
        node.pairs().all(|(key, _)| {
            let key = self.targets.through(key);
            key.kind == Kind::Scalar && (key.tag() == tag::STR || key.tag() == tag::MERGE)
        })
    }

    /// Notes duplicate keys; says whether there were any.
    fn report_duplicates(&mut self, node: &Node) -> bool {
        let before = self.problems.len();
        let mut first: std::collections::HashMap<(Kind, &str), Vec<u32>> = std::collections::HashMap::new();
        let mut found = false;
        for (key, _) in node.pairs() {
            let lines = first.entry((key.kind, key.value.as_str())).or_default();
            found |= !lines.is_empty();
            lines.push(key.line);
        }
        if !found {
            return false;
        }
        for (at, (key, _)) in node.pairs().enumerate() {
            for (other, _) in node.pairs().skip(at + 1) {
                if key.kind == other.kind && key.value == other.value {
                    let name = quote_str(&other.value);
                    let problem = format!(
                        "line {}: mapping key {name} already defined at line {}",
                        other.line, key.line
                    );
                    self.problems.push(problem);
                    if self.problems.len() >= MAX_PROBLEMS {
                        return true;
                    }
                }
            }
        }
        self.problems.len() > before
    }
}

fn decode_scalar(node: &Node, rules: Rules) -> Result<Go, Error> {
    if node.tag() == tag::STR || rules == Rules::V3 && is_indicated_string(node) {
        return Ok(Go::String(node.value.to_string()));
    }
    Ok(match resolve(rules, node.tag(), &node.value)? {
        Scalar::Null => Go::Null,
        Scalar::Bool(value) => Go::Bool(value),
        Scalar::Int(value) => Go::Int(value),
        Scalar::Uint(value) => Go::Uint(value),
        Scalar::Float(value) => Go::Float(value),
        Scalar::Timestamp(time) if rules == Rules::V3 => Go::String(time.to_string()),
        Scalar::Other if node.tag() == tag::BINARY => Go::String(decode_binary(&node.value)?),
        Scalar::Timestamp(_) | Scalar::String | Scalar::Merge | Scalar::Other => {
            Go::String(node.value.to_string())
        }
    })
}

/// More problems than this are not listed.
const MAX_PROBLEMS: usize = 1000;

/// What go-yaml v3 takes for a string without looking at the text.
fn is_indicated_string(node: &Node) -> bool {
    let untagged = node.tag().is_empty() || node.tag() == "!";
    untagged && node.style.intersects(Style::QUOTED_OR_BLOCK)
}

fn is_merge_v2(key: &Node) -> bool {
    let implicit = key.tag().is_empty() || key.tag() == "!";
    key.kind == Kind::Scalar && key.value == "<<" && (implicit || key.tag() == tag::MERGE)
}

fn is_merge_v3(key: &Node) -> bool {
    key.kind == Kind::Scalar
        && key.value == "<<"
        && (key.tag().is_empty() || key.tag() == "!" || key.tag() == tag::MERGE)
}

fn check_key(key: &Go) -> Result<(), Error> {
    match key {
        Go::List(_) | Go::Map(_) => Err(Error::Decode(format!("invalid map key: {}", go_syntax(key)))),
        _ => Ok(()),
    }
}

fn decode_binary(text: &str) -> Result<String, Error> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let bare: Vec<u8> = text.bytes().filter(|b| *b != b'\n' && *b != b'\r').collect();
    let bytes = ENGINE
        .decode(bare)
        .map_err(|_| Error::Decode("!!binary value contains invalid base64 data".to_owned()))?;
    Ok(go_text(&bytes))
}

/// Bytes as text; each byte that is not UTF-8 becomes U+FFFD, as in Go.
fn go_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{FFFD}'));
    }
    text
}

fn terror_value(value: &str) -> String {
    if value.len() > 10 {
        let end = (0..=7).rev().find(|&at| value.is_char_boundary(at)).unwrap_or(0);
        format!(" `{}...`", &value[..end])
    } else {
        format!(" `{value}`")
    }
}

impl Go {
    /// The value with all keys as strings.
    fn into_value(self) -> Result<Value, Error> {
        Ok(match self {
            Go::Null => Value::Null,
            Go::Bool(value) => Value::Bool(value),
            Go::Int(value) => Value::Int(value),
            Go::Uint(value) => Value::Uint(value),
            Go::Float(value) => Value::Float(value),
            Go::String(text) => Value::String(text),
            Go::List(items) => Value::Array(items.into_iter().map(Go::into_value).collect::<Result<_, _>>()?),
            Go::Map(map) => {
                if map.general {
                    let problem = "json: unsupported type: map[interface {}]interface {}";
                    return Err(Error::Json(problem.to_owned()));
                }
                let mut object = BTreeMap::new();
                for (key, value) in map.entries {
                    let name = match key {
                        Go::String(name) => name,
                        Go::Int(value) => value.to_string(),
                        Go::Bool(value) => value.to_string(),
                        Go::Float(value) => float_key(value),
                        key => return Err(unsupported_key(&key, &value)),
                    };
                    object.insert(name, value.into_value()?);
                }
                Value::Object(object)
            }
        })
    }
}

/// A float as `sigs.k8s.io/yaml` makes a key of it: rounded to 32 bits.
fn float_key(value: f64) -> String {
    match format_float32(value).as_str() {
        "NaN" => ".nan".to_owned(),
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        text => text.to_owned(),
    }
}

fn unsupported_key(key: &Go, value: &Go) -> Error {
    let kind = match key {
        Go::Uint(_) => "uint64",
        _ => "%!s(<nil>)",
    };
    let key = if *key == Go::Null { "<nil>".to_owned() } else { go_syntax(key) };
    let value = if *value == Go::Null { "<nil>".to_owned() } else { go_syntax(value) };
    Error::Json(format!("unsupported map key of type: {kind}, key: {key}, value: {value}"))
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Go) -> String {
    match value {
        Go::Null => "interface {}(nil)".to_owned(),
        Go::Bool(value) => value.to_string(),
        Go::Int(value) => value.to_string(),
        Go::Uint(value) => format!("{value:#x}"),
        Go::Float(value) => format_float(*value),
        Go::String(text) => quote_str(text),
        Go::List(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Go::Map(map) => {
            let kind =
                if map.string_keys { "map[string]interface {}" } else { "map[interface {}]interface {}" };
            let mut entries: Vec<(&Go, &Go)> = map.entries.iter().map(|(key, value)| (key, value)).collect();
            entries.sort_by(|a, b| key_order(a.0).cmp(&key_order(b.0)));
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", go_syntax(key), go_syntax(value)))
                .collect();
            format!("{kind}{{{}}}", entries.join(", "))
        }
    }
}

/// Go prints maps sorted: nil first, then by type (in an order of its own), then by value.
fn key_order(key: &Go) -> (u8, i128, &str) {
    match key {
        Go::Null => (0, 0, ""),
        Go::Int(value) => (2, i128::from(*value), ""),
        Go::Uint(value) => (3, i128::from(*value), ""),
        Go::String(text) => (1, 0, text),
        Go::Float(value) => (4, i128::from(value.to_bits()), ""),
        Go::Bool(value) => (5, i128::from(*value), ""),
        Go::List(_) | Go::Map(_) => (6, 0, ""),
    }
}
