//! Whether the rules that a schema states in CEL may be used: said well, compiling, and not too costly.

use serde_json::Value;

use super::rule_costs::{Costs, Place};
use super::rules::{compile_one, type_of};
use super::structural::{Rule, Structural};
use crate::api_error::FieldError;
use crate::validation::{internal, invalid_text};
use fluxide_cel::Type;

const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What is wrong with the rules of a schema. Rules of an unchanged one may be as costly as they were.
pub(super) fn check_schema(schema: &Value, path: &str, unchanged: bool, errors: &mut Vec<FieldError>) {
    let mut found = Found { said: Vec::new(), meant: Vec::new(), costs: Costs::new(unchanged) };
    let place = Place::root();
    check_node(&Structural::compile(schema), schema, path, &place, &mut found);
    errors.append(&mut found.said);
    errors.append(&mut found.meant);
    found.costs.check_total(path, errors);
}

struct Found {
    /// Errors in how rules are written down.
    said: Vec<FieldError>,
    /// Errors in what they say.
    meant: Vec<FieldError>,
    costs: Costs,
}

/// Checks the rules below a node and its own. What is below is checked first, and rules that are not written down well
/// keep those above them from being compiled.
fn check_node(s: &Structural, raw: &Value, path: &str, place: &Place, found: &mut Found) {
    let before = found.said.len();
    let below = place.below(s, raw);
    if let Some(child) = &s.additional {
        let path = format!("{path}.additionalProperties");
        check_node(child, &raw["additionalProperties"], &path, &below, found);
    }
    let atomic = raw["x-kubernetes-map-type"] == "atomic";
    let of_members = if atomic { below.uncorrelated(path) } else { below.clone() };
    for (name, child) in &s.properties {
        let path = format!("{path}.properties[{name}]");
        check_node(child, &raw["properties"][name], &path, &of_members, found);
    }
    if let Some(child) = &s.items {
        let is_map = s.list_type.as_deref() == Some("map");
        let of_items = if is_map { below } else { below.uncorrelated(path) };
        check_node(child, &raw["items"], &format!("{path}.items"), &of_items, found);
    }
    for (index, rule) in s.rules.iter().enumerate() {
        check_wording(rule, s, &format!("{path}.x-kubernetes-validations[{index}]"), &mut found.said);
    }
    if s.rules.is_empty() || found.said.len() > before {
        return;
    }
    let kind = type_of(s, place.is_root);
    for (index, rule) in s.rules.iter().enumerate() {
        let raw = &raw["x-kubernetes-validations"][index];
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        check_rule(&Checked { rule, raw, kind: &kind, schema: s, place }, &path, found);
    }
}

fn check_wording(rule: &Rule, s: &Structural, path: &str, errors: &mut Vec<FieldError>) {
    let at = |name: &str| format!("{path}.{name}");
    let has_lines = |text: &str| text.contains(['\n', '\r']);
    let message = rule.message.as_deref().unwrap_or_default();
    if rule.rule.trim().is_empty() {
        errors.push(FieldError::required(at("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(at("message"), message, "must be non-empty if specified"));
    } else if has_lines(message.trim()) {
        errors.push(FieldError::invalid(at("message"), message, "must not contain line breaks"));
    } else if has_lines(rule.rule.trim()) && message.trim().is_empty() {
        let why = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(at("message"), why));
    }
    let expression = rule.message_expression.as_deref().unwrap_or_default();
    if !expression.is_empty() && expression.trim().is_empty() {
        let why = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(at("messageExpression"), why));
    }
    if let Some(reason) = rule.reason.as_deref()
        && !REASONS.contains(&reason)
    {
        errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
    }
    let field = rule.field_path.as_deref().unwrap_or_default();
    if field.is_empty() {
        return;
    }
    if field.trim().is_empty() {
        errors.push(FieldError::invalid(at("fieldPath"), field, "must be non-empty if specified"));
    }
    if has_lines(field) {
        errors.push(FieldError::invalid(at("fieldPath"), field, "must not contain line breaks"));
    }
    if !leads_somewhere(field, s) {
        errors.push(FieldError::invalid(at("fieldPath"), field, "must be a valid path"));
    }
}

/// Whether a path such as `.spec.items['a.b']` leads to a part of the schema.
fn leads_somewhere(path: &str, schema: &Structural) -> bool {
    let mut schema = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[', ']']).unwrap_or(named.len());
            (named[..end].to_owned(), &named[end..])
        } else if let Some(quoted) = rest.strip_prefix("['") {
            let Some(end) = closing_quote(quoted) else { return false };
            let Some(after) = quoted[end + 1..].strip_prefix(']') else { return false };
            (quoted[..end].replace("\\'", "'"), after)
        } else {
            return false;
        };
        let found = match (schema.properties.is_empty(), &schema.additional) {
            (false, _) => schema.properties.get(&name),
            (true, Some(values)) => Some(&**values),
            (true, None) => None,
        };
        let Some(found) = found.filter(|_| !name.is_empty()) else { return false };
        schema = found;
        rest = after;
    }
    true
}

fn closing_quote(text: &str) -> Option<usize> {
    text.char_indices().find(|(at, c)| *c == '\'' && !text[..*at].ends_with('\\')).map(|(at, _)| at)
}

/// A rule where it stands.
struct Checked<'a> {
    rule: &'a Rule,
    raw: &'a Value,
    kind: &'a Type,
    schema: &'a Structural,
    place: &'a Place,
}

fn check_rule(checked: &Checked<'_>, path: &str, found: &mut Found) {
    let Checked { rule, raw, kind, schema, place } = checked;
    let at = |name: &str| format!("{path}.{name}");
    let shown = || internal::text("apiextensions.ValidationRule", raw);
    let text = rule.rule.trim();
    let compiled = compile_one(text, kind, rule.optional_old_self);
    let cost = match &compiled {
        Ok(program) if matches!(program.result(), Type::Bool) => {
            place.repeated(schema, place.cost(schema, text, kind, rule.optional_old_self))
        }
        _ => 0,
    };
    found.costs.check(&at("rule"), "estimated rule cost", cost, &mut found.meant);
    let errors = &mut found.meant;
    let uses_old_self = match &compiled {
        Err(why) => {
            errors.push(invalid_text(at("rule"), &shown(), &format!("compilation failed: {why}")));
            None
        }
        Ok(program) if !matches!(program.result(), Type::Bool) => {
            errors.push(invalid_text(at("rule"), &shown(), "cel expression must evaluate to a bool"));
            None
        }
        Ok(program) => Some(program.uses("oldSelf")),
    };
    let message = rule.message_expression.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if let Some(message) = message.filter(|_| uses_old_self.is_some()) {
        match compile_one(message, kind, rule.optional_old_self) {
            Err(why) => {
                let why = format!("messageExpression compilation failed: {why}");
                errors.push(invalid_text(at("messageExpression"), &shown(), &why));
            }
            Ok(program) if *program.result() != Type::Simple("string") => {
                let why = "messageExpression must evaluate to a string";
                errors.push(invalid_text(at("messageExpression"), &shown(), why));
            }
            Ok(_) => {
                let cost = place.cost(schema, message, kind, rule.optional_old_self);
                let name = "estimated messageExpression cost";
                found.costs.check(&at("messageExpression"), name, cost, &mut found.meant);
            }
        }
    }
    let errors = &mut found.meant;
    if uses_old_self == Some(true) {
        if let Some(above) = &place.uncorrelated {
            let why =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
            errors.push(FieldError::invalid(at("rule"), rule.rule.as_str(), why));
        }
    } else if let Some(optional) = raw.get("optionalOldSelf").filter(|v| !v.is_null()) {
        let why = "may not be set if oldSelf is not used in rule";
        errors.push(FieldError::invalid(at("optionalOldSelf"), optional.clone(), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(field: Value) -> Vec<String> {
        let schema = json!({"type": "object", "properties": {"f": field}});
        let mut errors = Vec::new();
        check_schema(&schema, "s", false, &mut errors);
        errors.iter().map(|error| format!("{}: {}", error.field, error.body())).collect()
    }

    fn numbers(rule: &str, most: u64) -> Value {
        json!({"type": "array", "maxItems": most, "items": {"type": "integer"},
            "x-kubernetes-validations": [{"rule": rule}]})
    }

    const HINT: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, \
                        maps, and strings are declared)";

    #[test]
    fn costs_of_one_rule_and_of_all() {
        let nested = "self.all(a, self.all(b, self.all(c, a==b)))";
        assert_eq!(refused(numbers(nested, 100)), Vec::<String>::new());
        let rule = "s.properties[f].x-kubernetes-validations[0].rule: Forbidden:";
        assert_eq!(
            refused(numbers(nested, 200)),
            [format!("{rule} estimated rule cost exceeds budget by factor of 4.0x {HINT}")]
        );
        assert_eq!(
            refused(numbers(nested, 300)),
            [
                format!("{rule} estimated rule cost exceeds budget by factor of 13.5x {HINT}"),
                format!(
                    "{rule} contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
                ),
                format!(
                    "s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds \
                     budget by factor of 1.354515x {HINT}"
                ),
            ]
        );
    }

    #[test]
    fn rules_below_lists_count_as_often_as_the_list_may_be_long() {
        let item = json!({"type": "object", "properties": {"n": {"type": "string"}},
            "x-kubernetes-validations": [{"rule": "self.n.contains(\"x\")"}]});
        assert_eq!(refused(json!({"type": "array", "items": item.clone()})).len(), 3);
        let mut bound = item;
        bound["properties"]["n"]["maxLength"] = json!(10);
        assert!(refused(json!({"type": "array", "maxItems": 100, "items": bound})).is_empty());
    }

    #[test]
    fn what_is_said_of_failures_is_checked() {
        let with = |more: Value| {
            let mut rule = json!({"rule": "self.a == 'x'"});
            for (name, value) in more.as_object().into_iter().flatten() {
                rule[name] = value.clone();
            }
            refused(json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 5}},
                "x-kubernetes-validations": [rule]}))
        };
        assert!(with(json!({"fieldPath": ".a", "reason": "FieldValueRequired"})).is_empty());
        assert!(with(json!({"fieldPath": "['a']"})).is_empty());
        for (more, why) in [
            (json!({"fieldPath": ".b"}), "must be a valid path"),
            (json!({"fieldPath": "a"}), "must be a valid path"),
            (json!({"reason": "Bogus"}), "Unsupported value: \"Bogus\""),
            (json!({"messageExpression": " "}), "messageExpression must be non-empty if specified"),
            (json!({"optionalOldSelf": true}), "may not be set if oldSelf is not used in rule"),
        ] {
            let errors = with(more.clone());
            assert!(errors.len() == 1 && errors[0].contains(why), "{more}: {errors:?}");
        }
    }

    #[test]
    fn items_that_cannot_be_told_apart_have_no_old_self() {
        let item = json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 5}},
            "required": ["a"], "x-kubernetes-validations": [{"rule": "self.a == oldSelf.a"}]});
        let list = |more: Value| {
            let mut list = json!({"type": "array", "maxItems": 10, "items": item.clone()});
            for (name, value) in more.as_object().into_iter().flatten() {
                list[name] = value.clone();
            }
            refused(list)
        };
        let errors = list(json!({}));
        assert!(
            errors[0].ends_with("uncorrelatable portion of the schema within s.properties[f]"),
            "{errors:?}"
        );
        let keyed = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]});
        assert!(list(keyed).is_empty());
    }
}
