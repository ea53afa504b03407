//! What an expression may cost at most, worked out before it is ever evaluated.
//!
//! Kubernetes refuses the rules of custom resources by this number, so it has to be the number of cel-go: a point for
//! each variable and selected member, a tenth of one for each character that is gone through, and everything in a loop
//! as often as what the loop goes through may have items.

use std::collections::{BTreeMap, HashMap};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use crate::check::{Type, Types, place};
use crate::cost_calls::{Operand, Overload, estimate, overloads};

/// How large the values that variables hold may get.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extent {
    /// The most items, members, bytes or characters of the value itself; nothing for a scalar and an object.
    pub largest: u64,
    /// The members of an object, by the names that expressions read them by.
    pub members: BTreeMap<String, Extent>,
    /// The items of a list, or the values of a map.
    pub items: Option<Box<Extent>>,
    /// Whether it is a map.
    pub has_keys: bool,
}

const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;
/// The step of a path from a list to its items.
pub(super) const ITEMS: &str = "@items";
const KEYS: &str = "@keys";
const VALUES: &str = "@values";
const INDICES: &str = "@indices";

/// The most that an expression with parts of these types may cost.
pub(super) fn most(expression: &IdedExpr, types: &Types, extent: &Extent) -> u64 {
    let mut estimator = Estimator {
        types,
        extent,
        paths: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: HashMap::new(),
    };
    estimator.cost(expression).max
}

/// The least and the most of a size or a cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub min: u64,
    pub max: u64,
}

impl Range {
    pub const NONE: Range = Range::fixed(0);
    pub const ONE: Range = Range::fixed(1);
    pub const UNKNOWN: Range = Range { min: 0, max: u64::MAX };
    /// What every found range makes smaller and larger.
    pub const INSIDE_OUT: Range = Range { min: u64::MAX, max: 0 };

    pub const fn fixed(n: u64) -> Range {
        Range { min: n, max: n }
    }

    pub fn plus(self, other: Range) -> Range {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub fn times(self, other: Range) -> Range {
        Range { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    pub fn scaled(self, factor: f64) -> Range {
        let scale = |n: u64| (n as f64 * factor).ceil() as u64;
        Range { min: scale(self.min), max: scale(self.max) }
    }

    pub fn union(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// The sizes of what a list or map holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    is_list: bool,
    key: Range,
    value: Range,
}

impl Entry {
    fn union(one: Option<Entry>, other: Option<Entry>) -> Option<Entry> {
        let (one, other) = (one?, other?);
        Some(Entry {
            is_list: one.is_list,
            key: one.key.union(other.key),
            value: one.value.union(other.value),
        })
    }
}

/// A variable of a loop.
#[derive(Clone)]
struct Local {
    path: Vec<String>,
    size: Option<Range>,
    entry: Option<Entry>,
}

pub(super) struct Estimator<'a> {
    types: &'a Types,
    extent: &'a Extent,
    /// Where parts lead to in the variables.
    paths: HashMap<usize, Vec<String>>,
    sizes: HashMap<usize, Range>,
    entries: HashMap<usize, Entry>,
    locals: HashMap<String, Vec<Local>>,
}

impl Estimator<'_> {
    fn cost(&mut self, part: &IdedExpr) -> Range {
        match &part.expr {
            Expr::Literal(_) | Expr::Unspecified => Range::NONE,
            Expr::Ident(name) => {
                let path = match self.local(name) {
                    Some(local) => local.path.clone(),
                    None => vec![name.clone()],
                };
                self.paths.insert(place(part), path);
                Range::ONE
            }
            Expr::Select(select) => {
                let operand = self.cost(&select.operand);
                if select.test {
                    return operand;
                }
                let mut path = self.path(&select.operand);
                path.push(select.field.clone());
                self.paths.insert(place(part), path);
                match self.kind(&select.operand) {
                    Type::Map(..) | Type::Object(_) => operand.plus(Range::ONE),
                    _ => operand,
                }
            }
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => {
                let mut sum = Range::fixed(LIST);
                let mut item = if list.elements.is_empty() { Range::NONE } else { Range::INSIDE_OUT };
                for element in &list.elements {
                    sum = sum.plus(self.cost(element));
                    item = item.union(self.size_or_unknown(element));
                }
                self.entries.insert(place(part), Entry { is_list: true, key: Range::ONE, value: item });
                sum
            }
            Expr::Map(map) => {
                let mut sum = Range::fixed(MAP);
                let start = if map.entries.is_empty() { Range::NONE } else { Range::INSIDE_OUT };
                let (mut key, mut value) = (start, start);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    sum = sum.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(place(part), Entry { is_list: false, key, value });
                sum
            }
            Expr::Struct(object) => {
                object.entries.iter().fold(Range::fixed(STRUCT), |sum, entry| match &entry.expr {
                    EntryExpr::StructField(field) => sum.plus(self.cost(&field.value)),
                    EntryExpr::MapEntry(_) => sum,
                })
            }
            Expr::Comprehension(comprehension) => self.comprehension(part, comprehension),
        }
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Range {
        if let ("dyn", None, [only]) = (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            let cost = self.cost(only).plus(Range::ONE);
            let (size, entry) = (self.size(only), self.entry(only));
            self.note(part, size, entry);
            return cost;
        }
        let mut costs = Vec::with_capacity(call.args.len());
        let mut operands = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            costs.push(self.cost(argument));
            operands.push(self.operand(argument));
        }
        let mut name = call.func_name.clone();
        let mut sum = Range::NONE;
        let mut target = None;
        match call.target.as_deref() {
            // What is called on a group of functions is called on nothing.
            Some(group) if !self.types.contains_key(&place(group)) => {
                if let Expr::Ident(group) = &group.expr {
                    name = format!("{group}.{name}");
                }
            }
            Some(on) => {
                sum = self.cost(on);
                target = Some(self.operand(on));
            }
            None => {}
        }
        let arguments = costs.iter().fold(Range::NONE, |sum, cost| sum.plus(*cost));
        let mut function = Range::INSIDE_OUT;
        let mut result: Option<Range> = None;
        for overload in overloads(&name, &operands) {
            let (cost, size) = match overload {
                Overload::Both => {
                    let min = costs.first().map_or(0, |cost| cost.min);
                    (Range { min, max: arguments.max }, None)
                }
                Overload::Choice => self.choice(part, call, &costs),
                _ => {
                    let (cost, size) = estimate(self, &name, overload, target.as_ref(), &operands);
                    (cost.plus(arguments), size)
                }
            };
            function = function.union(cost);
            result = match (result, size) {
                (Some(known), Some(size)) => Some(known.union(size)),
                (known, size) => known.or(size),
            };
            match (overload, call.args.as_slice()) {
                (Overload::AddText | Overload::AddList, [one, other]) => {
                    if let Some(entry) = Entry::union(self.entry(one), self.entry(other)) {
                        self.entries.insert(place(part), entry);
                    }
                }
                (Overload::IndexList | Overload::IndexMap, [container, ..]) => {
                    result = self.entry(container).map(|entry| entry.value);
                    let mut path = self.path(container);
                    path.push(if overload == Overload::IndexList { ITEMS } else { VALUES }.to_owned());
                    self.paths.insert(place(part), path);
                }
                _ => {}
            }
            result = result.or_else(|| self.size(part));
        }
        self.note(part, result, None);
        sum.plus(function)
    }

    fn choice(&mut self, part: &IdedExpr, call: &CallExpr, costs: &[Range]) -> (Range, Option<Range>) {
        let (&[condition, one, other], [_, first, second]) = (costs, call.args.as_slice()) else {
            return (Range::ONE, None);
        };
        let size = self.size_or_unknown(first).union(self.size_or_unknown(second));
        let entry = Entry::union(self.entry(first), self.entry(second));
        self.note(part, None, entry);
        (condition.plus(one.union(other)), Some(size))
    }

    fn comprehension(&mut self, part: &IdedExpr, loops: &ComprehensionExpr) -> Range {
        let mut sum = self.cost(&loops.iter_range).plus(self.cost(&loops.accu_init));
        let accumulator = Local {
            path: self.path(&loops.accu_init),
            size: self.size(&loops.accu_init),
            entry: self.entry(&loops.accu_init),
        };
        self.push(&loops.accu_var, accumulator);
        let entry = self.entry(&loops.iter_range);
        let is_list = match entry {
            Some(entry) => entry.is_list,
            None => matches!(self.kind(&loops.iter_range), Type::List(_)),
        };
        let range = self.path(&loops.iter_range);
        let variable = |step: &str, size: Option<Range>| {
            let mut path = range.clone();
            path.push(step.to_owned());
            Local { path, size, entry: None }
        };
        let (keys, values) = (entry.map(|entry| entry.key), entry.map(|entry| entry.value));
        match &loops.iter_var2 {
            Some(second) => {
                self.push(&loops.iter_var, variable(if is_list { INDICES } else { KEYS }, keys));
                self.push(second, variable(if is_list { ITEMS } else { VALUES }, values));
            }
            None if is_list => self.push(&loops.iter_var, variable(ITEMS, values)),
            None => self.push(&loops.iter_var, variable(KEYS, keys)),
        }
        let each = self.cost(&loops.loop_cond).plus(self.cost(&loops.loop_step));
        self.pop(&loops.iter_var);
        if let Some(second) = &loops.iter_var2 {
            self.pop(second);
        }
        sum = sum.plus(self.cost(&loops.result));
        self.pop(&loops.accu_var);
        let rounds = self.size_or_unknown(&loops.iter_range);
        match &loops.accu_init.expr {
            Expr::Literal(_) => {
                let size = self.size(&loops.accu_init);
                self.note(part, size, None);
            }
            Expr::List(_) | Expr::Map(_) => {
                let entry = self.entry(&loops.loop_step);
                self.note(part, Some(rounds), entry);
            }
            _ => {}
        }
        sum.plus(rounds.times(each))
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.get(name)?.last()
    }

    fn push(&mut self, name: &str, local: Local) {
        self.locals.entry(name.to_owned()).or_default().push(local);
    }

    fn pop(&mut self, name: &str) {
        if let Some(locals) = self.locals.get_mut(name) {
            locals.pop();
        }
    }

    fn note(&mut self, part: &IdedExpr, size: Option<Range>, entry: Option<Entry>) {
        if let Some(size) = size {
            self.sizes.insert(place(part), size);
        }
        if let Some(entry) = entry {
            self.entries.insert(place(part), entry);
        }
    }

    fn kind(&self, part: &IdedExpr) -> Type {
        self.types.get(&place(part)).cloned().unwrap_or(Type::Dyn)
    }

    fn path(&self, part: &IdedExpr) -> Vec<String> {
        if let Expr::Ident(name) = &part.expr
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&place(part)).cloned().unwrap_or_default()
    }

    fn operand(&mut self, part: &IdedExpr) -> Operand {
        let literal = match &part.expr {
            Expr::Literal(LiteralValue::Int(number)) => u64::try_from(*number.inner()).ok(),
            _ => None,
        };
        Operand { path: self.path(part), kind: self.kind(part), size: self.size(part), literal }
    }

    fn size_or_unknown(&mut self, part: &IdedExpr) -> Range {
        self.size(part).unwrap_or(Range::UNKNOWN)
    }

    /// The size of a part: as it is written, as the variables are declared, or as its type has it.
    fn size(&mut self, part: &IdedExpr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&place(part)) {
            return Some(*size);
        }
        let written = match &part.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().chars().count()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Some(bytes.inner().len()),
            Expr::Literal(_) => Some(1),
            Expr::List(list) => Some(list.elements.len()),
            Expr::Map(map) => Some(map.entries.len()),
            _ => None,
        };
        if let Some(written) = written {
            return Some(Range::fixed(written as u64));
        }
        if let Some(size) = self.declared(&self.path(part)) {
            self.sizes.insert(place(part), size);
            return Some(size);
        }
        if is_scalar(&self.kind(part)) {
            return Some(Range::ONE);
        }
        match &part.expr {
            Expr::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    /// The size that a place in the variables is declared to have at most.
    pub(super) fn declared(&self, path: &[String]) -> Option<Range> {
        let mut extent = self.extent;
        // The first step is the variable: all are declared alike.
        for step in path.split_first()?.1 {
            extent = match step.as_str() {
                ITEMS | VALUES => extent.items.as_deref()?,
                KEYS if extent.has_keys => return Some(Range::NONE),
                name => extent.members.get(name)?,
            };
        }
        Some(Range { min: 0, max: extent.largest })
    }

    fn entry(&self, part: &IdedExpr) -> Option<Entry> {
        if let Some(entry) = self.entries.get(&place(part)) {
            return Some(*entry);
        }
        match &part.expr {
            Expr::Ident(name) => self.local(name).and_then(|local| local.entry),
            _ => None,
        }
    }
}

fn is_scalar(kind: &Type) -> bool {
    match kind {
        Type::Bool => true,
        Type::Simple(name) => matches!(*name, "int" | "uint" | "double" | "timestamp" | "duration"),
        Type::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    const REQUEST: u64 = 3 * 1024 * 1024;

    fn list_of(item: Extent, largest: u64) -> Extent {
        Extent { largest, items: Some(Box::new(item)), ..Extent::default() }
    }

    fn numbers(largest: u64) -> (Type, Extent) {
        (Type::List(Box::new(Type::Simple("int"))), list_of(Extent::default(), largest))
    }

    fn texts() -> (Type, Extent) {
        let text = Extent { largest: REQUEST - 2, ..Extent::default() };
        (Type::List(Box::new(Type::Simple("string"))), list_of(text, (REQUEST - 2) / 3))
    }

    fn cost(text: &str, (kind, extent): (Type, Extent)) -> u64 {
        let dialect = Dialect::new(|_| Ok(()), &[]).unwrap();
        dialect.cost(text, &[("self", kind.clone()), ("oldSelf", kind)], &extent).unwrap()
    }

    #[test]
    fn costs_are_those_of_a_real_server() {
        let nested = "self.all(a, self.all(b, self.all(c, a == b)))";
        assert_eq!(cost(nested, numbers(200)), 40_201_002);
        assert_eq!(cost(nested, numbers(300)), 135_451_502);
        assert_eq!(cost("self.filter(a, a != \"\").size() > 0", texts()), 14_680_064);
    }

    #[test]
    fn cheap_ones_stay_below_the_limit() {
        for text in [
            "self.all(a, a.startsWith('x'))",
            "self == oldSelf",
            "self.size() < oldSelf.size()",
            "self.all(a, a.size() < 5)",
            "self.all(a, a.charAt(1) == '')",
            "self.all(a, duration(a) > duration('1s'))",
            "self.all(a, int(a) > 1)",
            "self.all(a, a < 'x' || a > 'y')",
        ] {
            assert!(cost(text, texts()) <= 10_000_000, "{text}: {}", cost(text, texts()));
        }
    }

    #[test]
    fn dear_ones_are_far_above_it() {
        for text in [
            "self.all(a, a.contains('xyz'))",
            "self.all(a, a.matches('x'))",
            "self.map(a, a + a).size() > 0",
            "self.exists(a, a in self)",
            "self.join(',') != ''",
            "self.all(a, a == a)",
            "self.all(a, [a, a].exists(b, b == a))",
            "self.all(a, {'k': a}.k == a)",
            "self.all(a, oldSelf.exists(b, a == b))",
            "sets.contains(self, self)",
        ] {
            assert!(cost(text, texts()) > 1_000_000_000, "{text}: {}", cost(text, texts()));
        }
        assert!(cost("sets.contains(self, ['a'])", texts()) <= 10_000_000);
    }

    #[test]
    fn keys_count_nothing() {
        let kind = Type::Map(Box::new(Type::Simple("string")), Box::new(Type::Simple("string")));
        let value = Extent { largest: REQUEST - 2, ..Extent::default() };
        let extent = Extent { has_keys: true, ..list_of(value, (REQUEST - 2) / 8) };
        assert!(cost("self.all(k, self[k].size() > 0)", (kind, extent)) <= 10_000_000);
    }
}
