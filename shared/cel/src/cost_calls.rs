//! What calls of single functions cost at most, and how large their results may get.

use crate::check::Type;
use crate::cost::{Estimator, ITEMS, Range};

/// What it costs to go through a character.
const CHARACTER: f64 = 0.1;
/// What it costs to go through a character of a regular expression.
const PATTERN: f64 = 0.25;
/// What it costs to ask whether somebody may do something: twice in an expression is the most.
const PERMISSION: u64 = 350_000;
/// The longest regular expression of a named format.
const FORMAT_PATTERN: f64 = 128.0;
/// The size of an address.
const ADDRESS: Range = Range { min: 4, max: 16 };

/// What a function is called with.
pub(super) struct Operand {
    /// Where in the variables it is; empty when it is not.
    pub path: Vec<String>,
    pub kind: Type,
    pub size: Option<Range>,
    /// The whole number that is written there.
    pub literal: Option<u64>,
}

/// Which of the functions of a name is meant, as far as costs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overload {
    Plain,
    AddText,
    AddList,
    Compare,
    InList,
    IndexList,
    IndexMap,
    TextToBytes,
    BytesToText,
    /// A logical operator, which may leave its second operand alone.
    Both,
    /// One of two values by a condition.
    Choice,
}

/// The overloads that fit the operands; several where their types are not known.
pub(super) fn overloads(name: &str, operands: &[Operand]) -> Vec<Overload> {
    let first = operands.first().map_or(&Type::Dyn, |operand| &operand.kind);
    let all = |wanted: fn(&Type) -> bool| {
        operands.iter().all(|operand| operand.kind == Type::Dyn || wanted(&operand.kind))
    };
    let pick = |candidates: &[(bool, Overload)]| -> Vec<Overload> {
        candidates.iter().filter(|(fits, _)| *fits).map(|(_, overload)| *overload).collect()
    };
    let is_dyn = |kind: &Type| *kind == Type::Dyn;
    let found = match name {
        "_&&_" | "_||_" => vec![Overload::Both],
        "_?_:_" => vec![Overload::Choice],
        "_==_" | "_!=_" => vec![Overload::Compare],
        "_+_" => pick(&[
            (all(is_text), Overload::AddText),
            (all(is_list), Overload::AddList),
            (all(|kind| !is_text(kind) && !is_list(kind)), Overload::Plain),
        ]),
        "_<_" | "_<=_" | "_>_" | "_>=_" => {
            pick(&[(all(is_text), Overload::Compare), (all(|kind| !is_text(kind)), Overload::Plain)])
        }
        "@in" => {
            let range = operands.get(1).map_or(&Type::Dyn, |operand| &operand.kind);
            pick(&[(is_list(range) || is_dyn(range), Overload::InList), (!is_list(range), Overload::Plain)])
        }
        "_[_]" => pick(&[
            (is_list(first) || is_dyn(first), Overload::IndexList),
            (matches!(first, Type::Map(..) | Type::Dyn), Overload::IndexMap),
        ]),
        "bytes" => pick(&[
            (*first == Type::Simple("string") || is_dyn(first), Overload::TextToBytes),
            (*first != Type::Simple("string"), Overload::Plain),
        ]),
        "string" => pick(&[
            (*first == Type::Simple("bytes") || is_dyn(first), Overload::BytesToText),
            (*first != Type::Simple("bytes"), Overload::Plain),
        ]),
        _ => Vec::new(),
    };
    if found.is_empty() { vec![Overload::Plain] } else { found }
}

fn is_text(kind: &Type) -> bool {
    matches!(kind, Type::Simple("string" | "bytes"))
}

fn is_list(kind: &Type) -> bool {
    matches!(kind, Type::List(_))
}

/// The cost of a call beside its arguments, and the size of its result where there is one.
pub(super) fn estimate(
    estimator: &Estimator<'_>,
    name: &str,
    overload: Overload,
    target: Option<&Operand>,
    arguments: &[Operand],
) -> (Range, Option<Range>) {
    let found = match target {
        Some(target) => method(estimator, name, target, arguments),
        None => function(estimator, name, arguments),
    };
    found.unwrap_or_else(|| basic(overload, arguments))
}

fn size(estimator: &Estimator<'_>, operand: &Operand) -> Range {
    operand.size.or_else(|| estimator.declared(&operand.path)).unwrap_or(Range::UNKNOWN)
}

/// Functions that are called on a value.
fn method(
    estimator: &Estimator<'_>,
    name: &str,
    target: &Operand,
    arguments: &[Operand],
) -> Option<(Range, Option<Range>)> {
    let own = size(estimator, target);
    let known = |operand: &Operand| operand.size.unwrap_or(Range::UNKNOWN);
    let one_more = |size: Range| size.plus(Range::ONE);
    let first = arguments.first();
    Some(match name {
        "check" => (Range::fixed(PERMISSION), None),
        "serviceAccount"
        | "path"
        | "group"
        | "resource"
        | "subresource"
        | "namespace"
        | "name"
        | "allowed"
        | "reason"
        | "error"
        | "errored"
        | "masked"
        | "prefixLength"
        | "family"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast"
        | "sign"
        | "asInteger"
        | "isInteger"
        | "asApproximateFloat"
        | "isGreaterThan"
        | "isLessThan"
        | "compareTo"
        | "add"
        | "sub"
        | "major"
        | "minor"
        | "patch"
        | "getScheme"
        | "getHostname"
        | "getHost"
        | "getPort"
        | "getEscapedPath"
        | "getQuery"
        | "ip" => (Range::ONE, None),
        "fieldSelector" | "labelSelector" => (size(estimator, first?).scaled(CHARACTER), None),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => match element(estimator, target) {
            Some((kind, item)) => {
                let each = if is_text(&kind) { Range::ONE.plus(item.scaled(CHARACTER)) } else { Range::ONE };
                (own.times(each), None)
            }
            None => (own.scaled(CHARACTER), None),
        },
        "lowerAscii" | "upperAscii" | "substring" | "trim" => (own.scaled(CHARACTER), Some(own)),
        "replace" => {
            let [from, to, ..] = arguments else { return None };
            let result = replaced(own, size(estimator, from), size(estimator, to));
            (own.scaled(2.0 * CHARACTER), Some(result))
        }
        "split" => {
            let most = match arguments.get(1) {
                Some(limit) => limit.literal.unwrap_or(own.max),
                None => own.max,
            };
            (own.scaled(2.0 * CHARACTER), Some(Range { min: 0, max: most }))
        }
        "join" => {
            let items = element(estimator, target).map_or(Range::NONE, |(_, item)| own.times(item));
            let between = Range { min: own.min.saturating_sub(1), max: own.max.saturating_sub(1) };
            let separators = first.map_or(Range::NONE, |separator| size(estimator, separator).times(between));
            let whole = items.plus(separators);
            (whole.scaled(CHARACTER), Some(whole))
        }
        "find" | "findAll" => {
            let pattern = size(estimator, first?).scaled(PATTERN);
            (one_more(own).scaled(CHARACTER).times(pattern), Some(Range { min: 0, max: own.max }))
        }
        "containsIP" | "containsCIDR" => {
            let other = first?;
            let mut cost = ADDRESS.plus(ADDRESS).scaled(CHARACTER);
            if name == "containsCIDR" {
                cost = cost.plus(ADDRESS.scaled(CHARACTER)).plus(Range::ONE);
            }
            if matches!(other.kind, Type::Simple("string") | Type::Dyn) {
                cost = cost.plus(size(estimator, other).scaled(CHARACTER));
            }
            (cost, None)
        }
        "validate" => {
            let text = size(estimator, first?).scaled(CHARACTER);
            (text.scaled(FORMAT_PATTERN * PATTERN), None)
        }
        "format" => (known(target).scaled(CHARACTER), None),
        "startsWith" | "endsWith" => (known(first?).scaled(CHARACTER), None),
        "matches" => {
            let pattern = known(first?).scaled(PATTERN);
            (one_more(known(target)).scaled(CHARACTER).times(pattern), None)
        }
        "contains" => (known(target).scaled(CHARACTER).times(known(first?).scaled(CHARACTER)), None),
        _ => return None,
    })
}

/// Functions that are called on nothing.
fn function(estimator: &Estimator<'_>, name: &str, arguments: &[Operand]) -> Option<(Range, Option<Range>)> {
    let first = arguments.first()?;
    let text = size(estimator, first);
    Some(match name {
        "url" | "jsonpatch.escapeKey" => (text.scaled(CHARACTER), Some(text)),
        "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
            (text.scaled(CHARACTER), None)
        }
        "ip.isCanonical" => (text.scaled(2.0 * CHARACTER), None),
        "format.named" => (Range::ONE, None),
        "sets.contains" | "sets.intersects" | "sets.equivalent" => {
            let factor = if name == "sets.equivalent" { 2.0 } else { 1.0 };
            let pairs = text.times(size(estimator, arguments.get(1)?));
            (pairs.scaled(factor).plus(Range::ONE), None)
        }
        "strings.quote" => {
            let quoted =
                Range { min: text.min.saturating_add(2), max: text.max.saturating_mul(2).saturating_add(2) };
            (text.scaled(CHARACTER), Some(quoted))
        }
        "_==_" => match &first.kind {
            Type::Simple("kubernetes.URL") => {
                let most = arguments.get(1)?.size.map_or(1, |size| size.max);
                (Range { min: 1, max: most }.scaled(CHARACTER), None)
            }
            Type::Simple(kind) if kind.starts_with("kubernetes.") || kind.starts_with("net.") => {
                (Range::ONE, None)
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// What the language itself can do.
fn basic(overload: Overload, arguments: &[Operand]) -> (Range, Option<Range>) {
    let known =
        |index: usize| arguments.get(index).and_then(|operand| operand.size).unwrap_or(Range::UNKNOWN);
    match overload {
        Overload::AddText => {
            let whole = known(0).plus(known(1));
            (whole.scaled(CHARACTER), Some(whole))
        }
        Overload::AddList => (Range::ONE, Some(known(0).plus(known(1)))),
        Overload::Compare => {
            let most = known(0).max.min(known(1).max);
            (Range { min: most.min(1), max: most }.scaled(CHARACTER), None)
        }
        Overload::InList => (known(1), None),
        Overload::TextToBytes => {
            let text = known(0);
            (text.scaled(CHARACTER), Some(Range { min: text.min, max: text.max.saturating_mul(4) }))
        }
        Overload::BytesToText => {
            let bytes = known(0);
            (bytes.scaled(CHARACTER), Some(Range { min: bytes.min / 4, max: bytes.max }))
        }
        _ => (Range::ONE, None),
    }
}

/// Type and size of what a list holds; none for what holds nothing.
fn element(estimator: &Estimator<'_>, list: &Operand) -> Option<(Type, Range)> {
    let kind = match &list.kind {
        Type::List(inner) | Type::Optional(inner) | Type::Map(inner, _) => (**inner).clone(),
        _ => return None,
    };
    let size = if list.path.is_empty() {
        None
    } else {
        let mut path = list.path.clone();
        path.push(ITEMS.to_owned());
        estimator.declared(&path)
    };
    Some((kind, size.unwrap_or(Range::UNKNOWN)))
}

/// The size of a text after all of something in it was replaced.
fn replaced(text: Range, from: Range, to: Range) -> Range {
    let times = |length: u64, each: u64| (length as f64 / each as f64).ceil() as u64;
    let (most, kept_most) = if from.min == 0 {
        // What replaces nothing goes between all characters.
        (text.max.saturating_add(1), text.max)
    } else if to.max <= from.min {
        (0, text.max)
    } else {
        (times(text.max, from.min), 0)
    };
    let (least, kept_least) = if from.max == 0 {
        (text.min.saturating_add(1), text.min)
    } else if from.max <= to.min {
        (0, text.min)
    } else {
        (times(text.min, from.max), 0)
    };
    Range { min: least, max: most }.times(to).plus(Range { min: kept_least, max: kept_most })
}
