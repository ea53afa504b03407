//! Functions on lists, texts and quantities.

use std::cmp::Ordering;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelString, DYN_TYPE, INT_TYPE, LIST_TYPE, STRING_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use fluxide_cel::Overloads;

use super::network;
use super::special::{QUANTITY, Special, named};
use crate::schema::Quantity;

pub(super) type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// The types of the functions.
pub(super) const OVERLOADS: Overloads = &[
    (".isSorted", &["list(A)->bool"]),
    (".sum", &["list(int)->int", "list(uint)->uint", "list(double)->double", "list(duration)->duration"]),
    (".min", &["list(A)->A"]),
    (".max", &["list(A)->A"]),
    (".indexOf", &["list(A),A->int"]),
    (".lastIndexOf", &["list(A),A->int"]),
    (".find", &["string,string->string"]),
    (".findAll", &["string,string->list(string)", "string,string,int->list(string)"]),
    ("isQuantity", &["string->bool"]),
    ("quantity", &["string->kubernetes.Quantity"]),
    (".isLessThan", &["kubernetes.Quantity,kubernetes.Quantity->bool"]),
    (".isGreaterThan", &["kubernetes.Quantity,kubernetes.Quantity->bool"]),
    (".compareTo", &["kubernetes.Quantity,kubernetes.Quantity->int"]),
    (".sign", &["kubernetes.Quantity->int"]),
    (".isInteger", &["kubernetes.Quantity->bool"]),
    (".asInteger", &["kubernetes.Quantity->int"]),
    (".asApproximateFloat", &["kubernetes.Quantity->double"]),
    (
        ".add",
        &[
            "kubernetes.Quantity,kubernetes.Quantity->kubernetes.Quantity",
            "kubernetes.Quantity,int->kubernetes.Quantity",
        ],
    ),
    (
        ".sub",
        &[
            "kubernetes.Quantity,kubernetes.Quantity->kubernetes.Quantity",
            "kubernetes.Quantity,int->kubernetes.Quantity",
        ],
    ),
    ("isURL", &["string->bool"]),
    ("url", &["string->kubernetes.URL"]),
    (".getScheme", &["kubernetes.URL->string"]),
    (".getHost", &["kubernetes.URL->string"]),
    (".getHostname", &["kubernetes.URL->string"]),
    (".getPort", &["kubernetes.URL->string"]),
    (".getEscapedPath", &["kubernetes.URL->string"]),
    ("isIP", &["string->bool"]),
    ("ip", &["string->net.IP"]),
    ("ip.isCanonical", &["string->bool"]),
    (".family", &["net.IP->int"]),
    (".isUnspecified", &["net.IP->bool"]),
    (".isLoopback", &["net.IP->bool"]),
    (".isGlobalUnicast", &["net.IP->bool"]),
    (".isLinkLocalMulticast", &["net.IP->bool"]),
    (".isLinkLocalUnicast", &["net.IP->bool"]),
    ("isCIDR", &["string->bool"]),
    ("cidr", &["string->net.CIDR"]),
    (".containsIP", &["net.CIDR,string->bool", "net.CIDR,net.IP->bool"]),
    (".containsCIDR", &["net.CIDR,string->bool", "net.CIDR,net.CIDR->bool"]),
    (".prefixLength", &["net.CIDR->int"]),
    (".masked", &["net.CIDR->net.CIDR"]),
    (".ip", &["net.CIDR->net.IP"]),
    (".path", &["kubernetes.authorization.Authorizer,string->kubernetes.authorization.PathCheck"]),
    (".group", &["kubernetes.authorization.Authorizer,string->kubernetes.authorization.GroupCheck"]),
    (
        ".serviceAccount",
        &["kubernetes.authorization.Authorizer,string,string->kubernetes.authorization.Authorizer"],
    ),
    (".resource", &["kubernetes.authorization.GroupCheck,string->kubernetes.authorization.ResourceCheck"]),
    (".subresource", RESOURCE_PART),
    (".namespace", RESOURCE_PART),
    (".name", RESOURCE_PART),
    (
        ".check",
        &[
            "kubernetes.authorization.PathCheck,string->kubernetes.authorization.Decision",
            "kubernetes.authorization.ResourceCheck,string->kubernetes.authorization.Decision",
        ],
    ),
    (".allowed", &["kubernetes.authorization.Decision->bool"]),
    (".reason", &["kubernetes.authorization.Decision->string"]),
    (".errored", &["kubernetes.authorization.Decision->bool"]),
    (".error", &["kubernetes.authorization.Decision->string"]),
];

const RESOURCE_PART: &[&str] =
    &["kubernetes.authorization.ResourceCheck,string->kubernetes.authorization.ResourceCheck"];

/// Adds the functions.
pub(super) fn extend(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("isSorted", "list_is_sorted", LIST_TYPE, vec![], is_sorted)?;
    env.add_member_overload("sum", "list_sum", LIST_TYPE, vec![], sum)?;
    env.add_member_overload("min", "list_min", LIST_TYPE, vec![], min)?;
    env.add_member_overload("max", "list_max", LIST_TYPE, vec![], max)?;
    env.add_member_overload("indexOf", "list_index_of", LIST_TYPE, vec![DYN_TYPE], index_of)?;
    env.add_member_overload("lastIndexOf", "list_last_index_of", LIST_TYPE, vec![DYN_TYPE], last_index_of)?;
    env.add_member_overload("find", "string_find", STRING_TYPE, vec![STRING_TYPE], find)?;
    env.add_member_overload("findAll", "string_find_all", STRING_TYPE, vec![STRING_TYPE], find_all)?;
    env.add_member_overload(
        "findAll",
        "string_find_all_limited",
        STRING_TYPE,
        vec![STRING_TYPE, INT_TYPE],
        find_all,
    )?;
    env.add_overload("isQuantity", "is_quantity", vec![STRING_TYPE], is_quantity)?;
    env.add_overload("quantity", "string_to_quantity", vec![STRING_TYPE], quantity)?;
    let kind = || named(QUANTITY);
    env.add_member_overload("isLessThan", "quantity_less", kind(), vec![kind()], less)?;
    env.add_member_overload("isGreaterThan", "quantity_greater", kind(), vec![kind()], greater)?;
    env.add_member_overload("compareTo", "quantity_compare", kind(), vec![kind()], compare)?;
    env.add_member_overload("sign", "quantity_sign", kind(), vec![], sign)?;
    env.add_member_overload("isInteger", "quantity_is_integer", kind(), vec![], is_integer)?;
    env.add_member_overload("asInteger", "quantity_as_integer", kind(), vec![], as_integer)?;
    env.add_member_overload("asApproximateFloat", "quantity_as_float", kind(), vec![], as_float)?;
    env.add_member_overload("add", "quantity_add", kind(), vec![kind()], add)?;
    env.add_member_overload("add", "quantity_add_int", kind(), vec![INT_TYPE], add)?;
    env.add_member_overload("sub", "quantity_sub", kind(), vec![kind()], subtract)?;
    env.add_member_overload("sub", "quantity_sub_int", kind(), vec![INT_TYPE], subtract)?;
    super::authorizer::extend(env)?;
    network::extend(env)
}

fn failed(message: impl std::fmt::Display) -> ExecutionError {
    ExecutionError::function_error("", message)
}

pub(super) fn truth<'b, 'v>(value: bool) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(value)))
}

pub(super) fn integer<'b, 'v>(value: i64) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelInt::from(value)))
}

pub(super) fn text<'b, 'v>(value: String) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelString::from(value)))
}

pub(super) fn string_at(arguments: &Arguments<'_, '_>, index: usize) -> Result<String, ExecutionError> {
    let found = arguments.get(index).and_then(|a| a.as_ref().downcast_ref::<CelString<'_>>());
    found.map(|s| s.inner().to_owned()).ok_or_else(|| failed("no such overload"))
}

pub(super) fn special_at(arguments: &Arguments<'_, '_>, index: usize) -> Result<Special, ExecutionError> {
    let found = arguments.get(index).and_then(|a| a.as_ref().downcast_ref::<Special>());
    found.cloned().ok_or_else(|| failed("no such overload"))
}

pub(super) fn error(message: impl std::fmt::Display) -> ExecutionError {
    failed(message)
}

fn items<'b>(arguments: &'b Arguments<'_, '_>) -> Result<Vec<&'b dyn Val>, ExecutionError> {
    let list = arguments.first().ok_or_else(|| failed("no such overload"))?.as_ref();
    let iterable = list.as_iterable().ok_or_else(|| failed("no such overload"))?;
    let mut out: Vec<&dyn Val> = Vec::new();
    let mut iterator = iterable.iter();
    while let Some(item) = iterator.next() {
        out.push(item);
    }
    Ok(out)
}

fn order(a: &dyn Val, b: &dyn Val) -> Result<Ordering, ExecutionError> {
    if let (Some(a), Some(b)) = (a.downcast_ref::<Special>(), b.downcast_ref::<Special>())
        && let Some(order) = a.order(b)
    {
        return Ok(order);
    }
    a.as_comparer().ok_or_else(|| failed("no such overload"))?.compare(b)
}

fn is_sorted<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let items = items(&arguments)?;
    for pair in items.windows(2) {
        if order(pair[0], pair[1])? == Ordering::Greater {
            return truth(false);
        }
    }
    truth(true)
}

fn sum<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let items = items(&arguments)?;
    let (mut whole, mut float) = (0_i64, None);
    for item in items {
        if let Some(n) = item.downcast_ref::<CelInt>() {
            whole = whole.checked_add(*n.inner()).ok_or_else(|| failed("integer overflow"))?;
        } else if let Some(n) = item.downcast_ref::<CelDouble>() {
            float = Some(float.unwrap_or(0.0) + *n.inner());
        } else {
            return Err(failed("no such overload"));
        }
    }
    match float {
        Some(float) => Ok(CowVal::owned(CelDouble::from(float))),
        None => integer(whole),
    }
}

fn min<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    extreme(&arguments, Ordering::Less, "min")
}

fn max<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    extreme(&arguments, Ordering::Greater, "max")
}

fn extreme<'b, 'v>(arguments: &Arguments<'b, 'v>, wanted: Ordering, name: &str) -> Answer<'b, 'v> {
    let items = items(arguments)?;
    let mut best = *items.first().ok_or_else(|| failed(format!("{name} called on empty list")))?;
    for item in &items {
        if order(*item, best)? == wanted {
            best = *item;
        }
    }
    Ok(copied(best))
}

/// A copy that borrows nothing from the list it was in.
fn copied<'b, 'v>(v: &dyn Val) -> CowVal<'b, 'v> {
    if let Some(n) = v.downcast_ref::<CelInt>() {
        return CowVal::owned(CelInt::from(*n.inner()));
    }
    if let Some(n) = v.downcast_ref::<CelDouble>() {
        return CowVal::owned(CelDouble::from(*n.inner()));
    }
    if let Some(s) = v.downcast_ref::<CelString<'_>>() {
        return CowVal::owned(CelString::from(s.inner().to_owned()));
    }
    if let Some(special) = v.downcast_ref::<Special>() {
        return CowVal::owned(special.clone());
    }
    CowVal::owned(CelBool::from(v.downcast_ref::<CelBool>().is_some_and(|b| *b.inner())))
}

fn index_of<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let wanted = arguments.get(1).ok_or_else(|| failed("no such overload"))?.as_ref();
    let found = items(&arguments)?.iter().position(|item| item.equals(wanted));
    integer(found.map_or(-1, |index| index as i64))
}

fn last_index_of<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let wanted = arguments.get(1).ok_or_else(|| failed("no such overload"))?.as_ref();
    let found = items(&arguments)?.iter().rposition(|item| item.equals(wanted));
    integer(found.map_or(-1, |index| index as i64))
}

fn pattern(text: &str) -> Result<regex::Regex, ExecutionError> {
    const LARGEST: usize = 1 << 20;
    let compiled = regex::RegexBuilder::new(text).size_limit(LARGEST).build();
    compiled.map_err(|e| failed(format!("Illegal regex: {e}")))
}

fn find<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, wanted) = (string_at(&arguments, 0)?, string_at(&arguments, 1)?);
    text(pattern(&wanted)?.find(&subject).map(|m| m.as_str().to_owned()).unwrap_or_default())
}

fn find_all<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let (subject, wanted) = (string_at(&arguments, 0)?, string_at(&arguments, 1)?);
    let limit = arguments.get(2).and_then(|a| a.as_ref().downcast_ref::<CelInt>()).map_or(-1, |n| *n.inner());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found: Vec<Box<dyn Val>> = pattern(&wanted)?
        .find_iter(&subject)
        .take(limit)
        .map(|m| Box::new(CelString::from(m.as_str().to_owned())) as Box<dyn Val>)
        .collect();
    Ok(CowVal::owned(CelList::from(found)))
}

fn is_quantity<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    truth(Quantity::parse(&string_at(&arguments, 0)?).is_ok())
}

fn quantity<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let quantity = Quantity::parse(&string_at(&arguments, 0)?).map_err(failed)?;
    Ok(CowVal::owned(Special::Quantity(quantity)))
}

fn compared(arguments: &Arguments<'_, '_>) -> Result<Ordering, ExecutionError> {
    let (a, b) = (special_at(arguments, 0)?, special_at(arguments, 1)?);
    a.order(&b).ok_or_else(|| failed("no such overload"))
}

fn less<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    truth(compared(&arguments)? == Ordering::Less)
}

fn greater<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    truth(compared(&arguments)? == Ordering::Greater)
}

fn compare<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    integer(compared(&arguments)? as i64)
}

fn amount(arguments: &Arguments<'_, '_>, index: usize) -> Result<Quantity, ExecutionError> {
    if let Some(n) = arguments.get(index).and_then(|a| a.as_ref().downcast_ref::<CelInt>()) {
        return Quantity::parse(&n.inner().to_string()).map_err(failed);
    }
    match special_at(arguments, index)? {
        Special::Quantity(quantity) => Ok(quantity),
        _ => Err(failed("no such overload")),
    }
}

fn sign<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    integer(amount(&arguments, 0)?.nano_units().signum() as i64)
}

const ONE: i128 = 1_000_000_000;

fn is_integer<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    truth(amount(&arguments, 0)?.nano_units() % ONE == 0)
}

fn as_integer<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let nanos = amount(&arguments, 0)?.nano_units();
    if nanos % ONE != 0 {
        return Err(failed("cannot convert value to integer"));
    }
    integer(i64::try_from(nanos / ONE).map_err(|_| failed("cannot convert value to integer"))?)
}

fn as_float<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelDouble::from(amount(&arguments, 0)?.nano_units() as f64 / ONE as f64)))
}

fn add<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    combined(amount(&arguments, 0)?.nano_units().saturating_add(amount(&arguments, 1)?.nano_units()))
}

fn subtract<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    combined(amount(&arguments, 0)?.nano_units().saturating_sub(amount(&arguments, 1)?.nano_units()))
}

fn combined<'b, 'v>(nanos: i128) -> Answer<'b, 'v> {
    let quantity = Quantity::parse(&format!("{nanos}n")).map_err(failed)?;
    Ok(CowVal::owned(Special::Quantity(quantity)))
}
