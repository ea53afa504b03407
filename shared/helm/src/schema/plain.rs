//! A quick yes: most schemas use a few plain keywords, and most values fit them. What is not certain here is left to the
//! library, which takes ten times as long because it first checks the schema against the schema of its draft.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value as Json};

/// Whether the schema is valid in its draft beyond doubt, and the values fit it beyond doubt.
pub(super) fn certainly_fits(schema: &Json, values: &Json) -> bool {
    let draft = match schema.get("$schema") {
        None => Some(2020),
        Some(named) => named.as_str().and_then(draft_of),
    };
    draft.is_some_and(|draft| {
        let plain =
            Plain { root: schema, draft, steps: Cell::new(MAX_STEPS), expressions: RefCell::default() };
        plain.is_valid(schema, 0) && plain.fits(schema, values, 0) == Some(true)
    })
}

/// How deep schemas and references nest, and how many schemas are applied, before the library takes over.
const MAX_DEPTH: usize = 64;
const MAX_STEPS: usize = 100_000;

/// How long lists are whose items are compared with each other.
const MAX_COMPARED: usize = 256;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

fn draft_of(url: &str) -> Option<u32> {
    let url = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    match url.strip_suffix('#').unwrap_or(url) {
        "json-schema.org/draft-04/schema" => Some(4),
        "json-schema.org/draft-06/schema" => Some(6),
        "json-schema.org/draft-07/schema" => Some(7),
        "json-schema.org/draft/2019-09/schema" => Some(2019),
        "json-schema.org/draft/2020-12/schema" | "json-schema.org/schema" => Some(2020),
        _ => None,
    }
}

struct Plain<'a> {
    root: &'a Json,
    draft: u32,
    steps: Cell<usize>,
    /// Regular expressions that were met, nothing for those that are not plain.
    expressions: RefCell<HashMap<String, Option<Regex>>>,
}

impl<'a> Plain<'a> {
    /// Whether a schema, and each in it, has nothing but keywords known here, in the form that every draft wants.
    fn is_valid(&self, schema: &Json, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        match schema {
            Json::Bool(_) => self.draft > 4,
            Json::Object(keywords) => {
                keywords.iter().all(|(keyword, value)| self.is_valid_keyword(keyword, value, depth))
                    && (self.draft > 7 || !keywords.contains_key("$ref") || stands_alone(keywords))
            }
            _ => false,
        }
    }

    fn is_valid_keyword(&self, keyword: &str, value: &Json, depth: usize) -> bool {
        let valid = |schema: &Json| self.is_valid(schema, depth + 1);
        match keyword {
            "$schema" => depth == 0,
            "$id" => depth == 0 && self.draft > 4 && value.as_str().is_some_and(is_address),
            "title" | "description" | "$comment" | "format" => value.is_string(),
            "default" => true,
            "examples" => value.is_array(),
            "readOnly" | "writeOnly" | "deprecated" | "uniqueItems" => value.is_boolean(),
            "type" => match value {
                Json::String(name) => TYPES.contains(&name.as_str()),
                Json::Array(names) => {
                    are_distinct(names)
                        && names.iter().all(|name| name.as_str().is_some_and(|name| TYPES.contains(&name)))
                }
                _ => false,
            },
            "properties" | "definitions" | "$defs" => {
                value.as_object().is_some_and(|all| all.values().all(valid))
            }
            "pattern" => value.as_str().is_some_and(|pattern| self.expression(pattern).is_some()),
            "patternProperties" => value.as_object().is_some_and(|all| {
                all.iter().all(|(pattern, schema)| self.expression(pattern).is_some() && valid(schema))
            }),
            "additionalProperties" => value.is_boolean() || valid(value),
            "items" | "not" => valid(value),
            "if" | "then" | "else" => self.draft >= 7 && valid(value),
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(valid))
            }
            "required" => {
                value.as_array().is_some_and(|all| are_distinct(all) && all.iter().all(Json::is_string))
            }
            "enum" => value.as_array().is_some_and(|all| are_distinct(all) && all.iter().all(is_exact)),
            "const" => self.draft > 4 && is_exact(value),
            "minimum" | "maximum" => value.is_number(),
            "exclusiveMinimum" | "exclusiveMaximum" => self.draft > 4 && value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                value.is_u64()
            }
            "$ref" => value.as_str().and_then(|reference| self.referred(reference)).is_some(),
            _ => !UNCERTAIN.contains(&keyword),
        }
    }

    /// Whether a value fits a valid schema, where that is certain.
    fn fits(&self, schema: &'a Json, value: &Json, depth: usize) -> Option<bool> {
        let steps = self.steps.get().checked_sub(1)?;
        self.steps.set(steps);
        if depth > MAX_DEPTH {
            return None;
        }
        let keywords = match schema {
            Json::Bool(fits) => return Some(*fits),
            Json::Object(keywords) => keywords,
            _ => return None,
        };
        all(keywords.iter().map(|(keyword, wish)| self.fits_keyword(keywords, keyword, wish, value, depth)))
    }

    fn fits_keyword(
        &self,
        keywords: &'a Map<String, Json>,
        keyword: &str,
        wish: &'a Json,
        value: &Json,
        depth: usize,
    ) -> Option<bool> {
        let fits = |schema: &'a Json, value: &Json| self.fits(schema, value, depth + 1);
        match (keyword, value) {
            ("$ref", _) => fits(self.referred(wish.as_str()?)?, value),
            ("type", _) => match wish {
                Json::Array(names) => any(names.iter().map(|name| has_type(name.as_str()?, value))),
                name => has_type(name.as_str()?, value),
            },
            ("enum", _) => any(wish.as_array()?.iter().map(|allowed| equals(allowed, value))),
            ("const", _) => equals(wish, value),
            ("allOf", _) => all(wish.as_array()?.iter().map(|schema| fits(schema, value))),
            ("anyOf", _) => any(wish.as_array()?.iter().map(|schema| fits(schema, value))),
            ("oneOf", _) => {
                let fitting: Option<Vec<bool>> =
                    wish.as_array()?.iter().map(|schema| fits(schema, value)).collect();
                Some(fitting?.into_iter().filter(|fits| *fits).count() == 1)
            }
            ("not", _) => fits(wish, value).map(|fits| !fits),
            ("if", _) => match keywords.get(if fits(wish, value)? { "then" } else { "else" }) {
                Some(schema) => fits(schema, value),
                None => Some(true),
            },
            ("minimum", Json::Number(_)) => compare(value, wish, |value, bound| value >= bound),
            ("maximum", Json::Number(_)) => compare(value, wish, |value, bound| value <= bound),
            ("exclusiveMinimum", Json::Number(_)) => compare(value, wish, |value, bound| value > bound),
            ("exclusiveMaximum", Json::Number(_)) => compare(value, wish, |value, bound| value < bound),
            ("minLength", Json::String(text)) => Some(text.chars().count() as u64 >= wish.as_u64()?),
            ("maxLength", Json::String(text)) => Some(text.chars().count() as u64 <= wish.as_u64()?),
            // Formats bind up to draft 7.
            ("format", Json::String(_)) => (self.draft > 7).then_some(true),
            ("items", Json::Array(items)) => all(items.iter().map(|item| fits(wish, item))),
            ("minItems", Json::Array(items)) => Some(items.len() as u64 >= wish.as_u64()?),
            ("maxItems", Json::Array(items)) => Some(items.len() as u64 <= wish.as_u64()?),
            ("uniqueItems", Json::Array(items)) if wish == &Json::Bool(true) => {
                (items.len() < 2 || items.iter().all(is_exact) && are_distinct(items)).then_some(true)
            }
            ("required", Json::Object(members)) => Some(
                wish.as_array()?
                    .iter()
                    .all(|name| name.as_str().is_some_and(|name| members.contains_key(name))),
            ),
            ("minProperties", Json::Object(members)) => Some(members.len() as u64 >= wish.as_u64()?),
            ("maxProperties", Json::Object(members)) => Some(members.len() as u64 <= wish.as_u64()?),
            ("properties", Json::Object(members)) => all(wish
                .as_object()?
                .iter()
                .filter_map(|(name, schema)| Some(fits(schema, members.get(name)?)))),
            ("pattern", Json::String(text)) => Some(self.expression(wish.as_str()?)?.is_match(text)),
            ("patternProperties", Json::Object(members)) => {
                all(wish.as_object()?.iter().map(|(pattern, schema)| {
                    let pattern = self.expression(pattern)?;
                    all(members
                        .iter()
                        .filter(|(name, _)| pattern.is_match(name))
                        .map(|(_, member)| fits(schema, member)))
                }))
            }
            ("additionalProperties", Json::Object(members)) => {
                let named = keywords.get("properties").and_then(Json::as_object);
                let patterns = keywords.get("patternProperties").and_then(Json::as_object);
                let patterns: Option<Vec<Regex>> = patterns
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(|pattern| self.expression(pattern))
                    .collect();
                let patterns = patterns?;
                let known = |name: &str| {
                    named.is_some_and(|named| named.contains_key(name))
                        || patterns.iter().any(|pattern| pattern.is_match(name))
                };
                all(members.iter().filter(|(name, _)| !known(name)).map(|(_, member)| fits(wish, member)))
            }
            _ => Some(true),
        }
    }

    /// The schema that a reference to a definition of this document names.
    fn referred(&self, reference: &str) -> Option<&'a Json> {
        let (section, name) = reference.strip_prefix("#/")?.split_once('/')?;
        let simple = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let defines = matches!(section, "definitions" | "$defs");
        (defines && name.bytes().all(simple)).then(|| self.root.get(section)?.get(name))?
    }

    /// A regular expression that means the same in every dialect.
    fn expression(&self, pattern: &str) -> Option<Regex> {
        if let Some(known) = self.expressions.borrow().get(pattern) {
            return known.clone();
        }
        let common = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%:,^$[]()|+*{}".contains(&byte);
        let expression = if pattern.bytes().all(common) { Regex::new(pattern).ok() } else { None };
        self.expressions.borrow_mut().insert(pattern.to_owned(), expression.clone());
        expression
    }
}

/// What the drafts do not agree about, and what takes more than a look.
const UNCERTAIN: [&str; 22] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "$vocabulary",
    "additionalItems",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "id",
    "maxContains",
    "minContains",
    "multipleOf",
    "prefixItems",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// An address that is written in one way only, and is no draft's.
fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let Some((host, path)) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let is_host = host.bytes().all(plain)
        && host.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && host != "json-schema.org";
    is_host && path.split('/').all(|part| part.bytes().all(plain) && part.bytes().any(|byte| byte != b'.'))
}

/// Whether nothing stands beside a reference that drafts up to 7 would ignore.
fn stands_alone(keywords: &Map<String, Json>) -> bool {
    keywords
        .keys()
        .all(|keyword| matches!(keyword.as_str(), "$ref" | "title" | "description" | "default" | "$comment"))
}

fn all(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut together = Some(true);
    for result in results {
        match result {
            Some(true) => {}
            Some(false) => return Some(false),
            None => together = None,
        }
    }
    together
}

fn any(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(results.map(|result| result.map(|fits| !fits))).map(|none| !none)
}

fn has_type(name: &str, value: &Json) -> Option<bool> {
    Some(match (name, value) {
        ("array", Json::Array(_))
        | ("boolean", Json::Bool(_))
        | ("null", Json::Null)
        | ("number", Json::Number(_))
        | ("object", Json::Object(_))
        | ("string", Json::String(_)) => true,
        // Whether 1.0 is an integer depends on the draft.
        ("integer", Json::Number(number)) if number.is_f64() => return None,
        ("integer", Json::Number(_)) => true,
        _ => false,
    })
}

/// Whether a value is one that others equal in one way only.
fn is_exact(value: &Json) -> bool {
    match value {
        Json::Number(number) => number.is_i64(),
        Json::Array(_) | Json::Object(_) => false,
        Json::Null | Json::Bool(_) | Json::String(_) => true,
    }
}

fn equals(exact: &Json, value: &Json) -> Option<bool> {
    match value {
        Json::Number(number) if exact.is_number() && !number.is_i64() => None,
        value => Some(exact == value),
    }
}

/// At least one item, none of them twice.
fn are_distinct(items: &[Json]) -> bool {
    (1..=MAX_COMPARED).contains(&items.len())
        && items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
}

fn compare(value: &Json, bound: &Json, holds: fn(i64, i64) -> bool) -> Option<bool> {
    Some(holds(value.as_i64()?, bound.as_i64()?))
}
