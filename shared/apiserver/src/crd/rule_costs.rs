//! How costly the rules of a schema may become: how large the schema lets values grow, and how often they can occur.

use std::collections::BTreeMap;

use fluxide_cel::{Extent, Type, escape};

use super::rules::variables;
use super::structural::{NodeType, Structural};
use crate::api_error::FieldError;
use serde_json::Value;

/// The largest request that is assumed.
const REQUEST: u64 = 3 * 1024 * 1024;
/// What one rule may cost.
const RULE_LIMIT: u64 = 10_000_000;
/// What all rules of a schema may cost.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// How many rules are named when all together cost too much.
const NAMED: usize = 4;

/// Where in a schema a node is, as far as its rules care.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub is_root: bool,
    /// How often the node can occur in an object; none when only the size of the request bounds it.
    occurs: Option<u64>,
    /// What above the node keeps it from being matched with its old value.
    pub uncorrelated: Option<String>,
}

impl Place {
    pub fn root() -> Self {
        Place { is_root: true, occurs: Some(1), uncorrelated: None }
    }

    /// The place of what is below `s`.
    pub fn below(&self, s: &Structural, raw: &Value) -> Self {
        let factor = match s.node_type {
            NodeType::Object if !raw["additionalProperties"].is_null() => s.limits.max_properties,
            NodeType::Array => s.limits.max_items,
            _ => Some(1),
        };
        let occurs = self.occurs.zip(factor).map(|(occurs, factor)| occurs.saturating_mul(factor));
        Place { is_root: false, occurs, uncorrelated: self.uncorrelated.clone() }
    }

    /// The same place below something that cannot be matched with its old value.
    pub fn uncorrelated(&self, path: &str) -> Self {
        let mut place = self.clone();
        place.uncorrelated.get_or_insert_with(|| path.to_owned());
        place
    }

    /// What evaluating an expression once may cost here.
    pub fn cost(&self, s: &Structural, text: &str, kind: &Type, optional: bool) -> u64 {
        let extent = measure(s, self.is_root).map(|measured| measured.extent).unwrap_or_default();
        let dialect = crate::cel::dialect();
        dialect.and_then(|dialect| dialect.cost(text, &variables(kind, optional), &extent).ok()).unwrap_or(0)
    }

    /// A cost as often as the node can occur.
    pub fn repeated(&self, s: &Structural, cost: u64) -> u64 {
        let smallest = measure(s, self.is_root).map_or(1, |measured| measured.smallest);
        cost.saturating_mul(self.occurs.unwrap_or(REQUEST / (smallest + 1)))
    }
}

/// A value as JSON.
struct Measured {
    extent: Extent,
    /// The fewest bytes that it takes.
    smallest: u64,
}

fn sized(largest: u64, smallest: u64) -> Option<Measured> {
    Some(Measured { extent: Extent { largest, ..Extent::default() }, smallest })
}

/// How large values of a node are; none for those that rules cannot see.
fn measure(s: &Structural, root: bool) -> Option<Measured> {
    if s.int_or_string {
        return sized(s.limits.max_length.map_or(REQUEST - 2, characters), 1);
    }
    match s.node_type {
        NodeType::Array => {
            let items = s.items.as_deref()?;
            let item = measure(items, items.embedded)?;
            let most = s.limits.max_items.unwrap_or((REQUEST - 2) / (item.smallest + 1));
            let extent = Extent { largest: most, items: Some(Box::new(item.extent)), ..Extent::default() };
            Some(Measured { extent, smallest: 2 })
        }
        NodeType::Object => object(s, root),
        NodeType::String => text(s),
        NodeType::Boolean => sized(0, 4),
        NodeType::Number | NodeType::Integer => sized(0, 1),
        NodeType::Any => None,
    }
}

fn object(s: &Structural, root: bool) -> Option<Measured> {
    if let Some(values) = s.additional.as_deref() {
        let value = measure(values, values.embedded)?;
        // A key is at least empty: two quotes, a colon, a comma and two more.
        let most = s.limits.max_properties.unwrap_or((REQUEST - 2) / (value.smallest + 6));
        let items = Some(Box::new(value.extent));
        let extent = Extent { largest: most, items, has_keys: true, ..Extent::default() };
        return Some(Measured { extent, smallest: 2 });
    }
    let mut members = BTreeMap::new();
    let mut smallest = 2;
    let is_resource = root || s.embedded;
    for (name, child) in &s.properties {
        if is_resource && matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            continue;
        }
        let Some(measured) = measure(child, child.embedded) else { continue };
        if s.required.contains(name) && child.default.is_none() {
            smallest += name.len() as u64 + measured.smallest + 4;
        }
        members.insert(escape(name), measured.extent);
    }
    if is_resource {
        let text = || Extent { largest: REQUEST - 2, ..Extent::default() };
        let names = ["name", "generateName"].map(|name| (name.to_owned(), text()));
        for name in ["kind", "apiVersion"] {
            members.insert(name.to_owned(), text());
        }
        members.insert("metadata".to_owned(), Extent { members: names.into(), ..Extent::default() });
        for (name, bytes) in [("kind", 2), ("apiVersion", 2), ("metadata", 2)] {
            if s.required.iter().any(|required| required == name) {
                smallest += name.len() as u64 + bytes + 4;
            }
        }
    }
    Some(Measured { extent: Extent { members, ..Extent::default() }, smallest })
}

fn text(s: &Structural) -> Option<Measured> {
    let given = s.limits.max_length;
    match s.limits.format.as_deref() {
        Some("byte") => sized(given.unwrap_or(REQUEST - 2), 2),
        Some("duration") => sized(32, 3),
        Some("date") => sized(12, 12),
        Some("date-time") => sized(32, 21),
        _ => {
            let longest = |all: &Vec<Value>| {
                all.iter().filter_map(Value::as_str).map(|text| text.len() as u64).max().unwrap_or(0)
            };
            let listed = s.limits.enumeration.as_ref().filter(|all| !all.is_empty()).map(longest);
            sized(given.map(characters).or(listed).unwrap_or(REQUEST - 2), 2)
        }
    }
}

/// A character may take four bytes.
fn characters(most: u64) -> u64 {
    most.saturating_mul(4)
}

/// The costs of all rules of a schema.
pub(super) struct Costs {
    /// Whether single rules may cost what they like.
    unchanged: bool,
    total: u64,
    dearest: Vec<(u64, String)>,
}

impl Costs {
    pub fn new(unchanged: bool) -> Self {
        Costs { unchanged, total: 0, dearest: Vec::new() }
    }

    /// Refuses an expression that costs too much by itself, and adds what it costs to the total.
    pub fn check(&mut self, path: &str, what: &str, cost: u64, errors: &mut Vec<FieldError>) {
        if !self.unchanged && cost > RULE_LIMIT {
            errors.push(FieldError::forbidden(path, too_much(what, cost, RULE_LIMIT)));
        }
        self.total = self.total.saturating_add(cost);
        if cost < SCHEMA_LIMIT / 100 {
            return;
        }
        self.dearest.push((cost, path.to_owned()));
        self.dearest.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        self.dearest.truncate(NAMED);
    }

    /// Refuses a schema whose rules cost too much together.
    pub fn check_total(self, path: &str, errors: &mut Vec<FieldError>) {
        if self.total <= SCHEMA_LIMIT {
            return;
        }
        for (_, path) in self.dearest {
            let why =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(FieldError::forbidden(path, why));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(FieldError::forbidden(path, too_much(what, self.total, SCHEMA_LIMIT)));
    }
}

fn too_much(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
