//! Validation of the schemas of custom resources: structural, and within the part of OpenAPI that the server supports.

use serde_json::Value;

use super::structural::Structural;
use super::value_validation;
use crate::api_error::FieldError;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What is wrong with a schema. Rules of an unchanged one may be as costly as they were.
pub(super) fn validate(schema: &Value, path: &str, unchanged: bool, errors: &mut Vec<FieldError>) {
    if schema["nullable"] == true {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let mut structural = Vec::new();
    invariants(schema, Level::Root, path, &mut structural);
    completeness(schema, schema, path, &mut structural);
    structural.sort_by_key(|e| format!("{}: {}", e.field, e.body()));
    if structural.is_empty() {
        defaults(schema, path, &mut structural);
    }
    let is_structural = structural.is_empty();
    errors.append(&mut structural);
    let before = errors.len();
    supported(schema, path, errors);
    if is_structural && errors.len() == before {
        super::rule_checks::check_schema(schema, path, unchanged, errors);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

fn kind(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn is_int_or_string(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
}

/// What OpenAPI has and custom resources may not use.
fn supported(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let forbid = |name: &str, why: &str, errors: &mut Vec<FieldError>| {
        errors.push(FieldError::forbidden(format!("{path}.{name}"), why));
    };
    let found = kind(schema);
    if !found.is_empty() && !TYPES.contains(&found) {
        errors.push(FieldError::not_supported(format!("{path}.type"), found, &TYPES));
    }
    for (name, why) in [
        ("id", "id is not supported"),
        ("additionalItems", "additionalItems is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("$ref", "$ref is not supported"),
    ] {
        let is_set = match &schema[name] {
            Value::Null => false,
            Value::Object(members) => !members.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        if is_set {
            forbid(name, why, errors);
        }
    }
    if found == "null" {
        forbid("type", "type cannot be set to null, use nullable as an alternative", errors);
    }
    if schema["items"].is_array() {
        forbid("items", "items must be a schema object and not an array", errors);
    }
    if schema["uniqueItems"] == true {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        forbid("uniqueItems", why, errors);
    }
    let additional = &schema["additionalProperties"];
    if schema["properties"].as_object().is_some_and(|p| !p.is_empty()) && !additional.is_null() {
        forbid("additionalProperties", "additionalProperties and properties are mutual exclusive", errors);
    }
    if *additional == false {
        forbid("additionalProperties", "additionalProperties cannot be set to false", errors);
    }
    if additional.is_object() {
        supported(additional, &format!("{path}.additionalProperties"), errors);
    }
    for (name, child) in properties(schema) {
        supported(child, &format!("{path}.properties[{name}]"), errors);
    }
    for list in ["allOf", "oneOf", "anyOf"] {
        for (index, child) in schema[list].as_array().into_iter().flatten().enumerate() {
            supported(child, &format!("{path}.{list}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        supported(&schema["not"], &format!("{path}.not"), errors);
    }
    if schema["items"].is_object() {
        supported(&schema["items"], &format!("{path}.items"), errors);
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let at = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(at, false, "must be true or undefined"));
    }
    list_and_map_types(schema, path, errors);
}

fn list_and_map_types(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let map_type = schema["x-kubernetes-map-type"].as_str();
    let list_type = schema["x-kubernetes-list-type"].as_str();
    for (name, found, needs, supported) in [
        ("x-kubernetes-map-type", map_type, "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", list_type, "array", &["atomic", "set", "map"][..]),
    ] {
        let Some(found) = found else { continue };
        let why = format!("must be {needs} if {name} is specified");
        match kind(schema) {
            "" => errors.push(FieldError::required(format!("{path}.type"), why)),
            kind if kind != needs => errors.push(FieldError::invalid(format!("{path}.type"), kind, why)),
            _ => {}
        }
        if !supported.contains(&found) {
            errors.push(FieldError::not_supported(format!("{path}.{name}"), found, supported));
        }
    }
    let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let items = &schema["items"];
    if list_type == Some("set") {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        for (kind_of, name) in [("array", "x-kubernetes-list-type"), ("object", "x-kubernetes-map-type")] {
            if kind(items) == kind_of && items[name].as_str().is_some_and(|found| found != "atomic") {
                errors.push(FieldError::invalid(format!("{path}.items.{name}"), items[name].clone(), why));
            }
        }
        if items["nullable"] == true {
            let why = "cannot be nullable when x-kubernetes-list-type is set";
            errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
        }
    }
    let at_keys = format!("{path}.x-kubernetes-list-map-keys");
    if !keys.is_empty() && list_type != Some("map") {
        let (at, why) = (
            format!("{path}.x-kubernetes-list-type"),
            "must be map if x-kubernetes-list-map-keys is non-empty",
        );
        match list_type {
            None => errors.push(FieldError::required(at, why)),
            Some(found) => errors.push(FieldError::invalid(at, found, why)),
        }
    }
    if list_type != Some("map") {
        return;
    }
    if keys.is_empty() {
        errors.push(FieldError::required(at_keys, "must not be empty if x-kubernetes-list-type is map"));
    }
    if items.is_null() {
        let why = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{path}.items"), why));
        return;
    }
    if kind(items) != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.items.type"), kind(items), why));
    }
    list_keys(items, &keys, path, errors);
}

fn list_keys(items: &Value, keys: &[&str], path: &str, errors: &mut Vec<FieldError>) {
    let at_keys = format!("{path}.x-kubernetes-list-map-keys");
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].contains(key) {
            errors.push(FieldError::duplicate(format!("{at_keys}[{index}]"), *key));
        }
        let property = &items["properties"][*key];
        if property.is_null() {
            let why = format!("entries must all be names of item properties: missing {key}");
            errors.push(FieldError::invalid(format!("{at_keys}[{index}]"), *key, why));
            continue;
        }
        let at = format!("{path}.items.properties[{key}]");
        if matches!(kind(property), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{at}.type"), kind(items), why));
        }
        let required = items["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
        if !required && property.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(format!("{at}.default"), why));
        }
        if property["nullable"] == true {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(format!("{at}.nullable"), why));
        }
    }
}

/// What every node of a structural schema must have and may not have.
fn invariants(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let (found, at_type) = (kind(schema), format!("{path}.type"));
    if found == "array" && !schema["items"].is_object() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if schema["items"].is_object() {
        invariants(&schema["items"], Level::Item, &format!("{path}.items"), errors);
    }
    for (name, child) in properties(schema) {
        invariants(child, Level::Field, &format!("{path}.properties[{name}]"), errors);
    }
    let additional = &schema["additionalProperties"];
    if !additional.is_null() && level == Level::Root {
        errors.push(FieldError::forbidden(
            format!("{path}.additionalProperties"),
            "must not be used at the root",
        ));
    }
    if additional.is_object() {
        invariants(additional, Level::Field, &format!("{path}.additionalProperties"), errors);
    }
    let preserves = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let embedded = schema["x-kubernetes-embedded-resource"] == true;
    if is_int_or_string(schema) {
        for (name, set) in [
            ("x-kubernetes-preserve-unknown-fields", preserves),
            ("x-kubernetes-embedded-resource", embedded),
        ] {
            if set {
                let why = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(format!("{path}.{name}"), true, why));
            }
        }
    }
    value_rules(schema, path, errors);
    if embedded && found != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match found {
            "" => FieldError::required(&at_type, why),
            found => FieldError::invalid(&at_type, found, why),
        });
    } else if found.is_empty() && !is_int_or_string(schema) && !preserves {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(&at_type, why));
    }
    if embedded && !additional.is_null() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), why));
    }
    if level == Level::Root && !found.is_empty() && found != "object" {
        errors.push(FieldError::invalid(&at_type, found, "must be object at the root"));
    }
    if level == Level::Root || embedded {
        resource_members(schema, level, path, errors);
    }
    let has_properties = schema["properties"].as_object().is_some_and(|p| !p.is_empty());
    if embedded && !preserves && !has_properties {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{path}.properties"), why));
    }
}

fn resource_members(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["kind", "apiVersion"] {
        let property = &schema["properties"][name];
        if property.is_object() && kind(property) != "string" {
            let at = format!("{path}.properties[{name}].type");
            errors.push(FieldError::invalid(at, kind(property), "must be string"));
        }
    }
    let metadata = &schema["properties"]["metadata"];
    let Some(members) = metadata.as_object() else { return };
    let at = format!("{path}.properties[metadata]");
    if kind(metadata) != "object" {
        errors.push(FieldError::invalid(format!("{at}.type"), kind(metadata), "must be object"));
    }
    let only_names = properties(metadata).all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
    let nothing_else =
        members.keys().all(|name| matches!(name.as_str(), "type" | "properties" | "default" | "description"));
    if level == Level::Root && !(only_names && nothing_else) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(at, why));
    }
}

/// Checks the rules for values of a node, and those that are combined with logic.
fn value_rules(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for list in ["anyOf", "allOf", "oneOf"] {
        for (index, child) in schema[list].as_array().into_iter().flatten().enumerate() {
            let is_pair = |list: &Value| {
                *list == serde_json::json!([{"type": "integer"}, {"type": "string"}])
                    && is_int_or_string(schema)
            };
            if list == "anyOf" && is_pair(&schema[list]) {
                continue;
            }
            let skips = list == "allOf" && index == 0 && is_pair(&child["anyOf"]);
            nested(child, skips, &format!("{path}.{list}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], false, &format!("{path}.not"), errors);
    }
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !pattern.is_empty())
        && let Err(why) = crate::crd::patterns::compile(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(FieldError::invalid(format!("{path}.pattern"), pattern, why));
    }
}

/// Checks a schema below a logical operator, which may only hold rules for values.
fn nested(schema: &Value, skips_any_of: bool, path: &str, errors: &mut Vec<FieldError>) {
    if skips_any_of {
        let mut rest = schema.clone();
        if let Value::Object(members) = &mut rest {
            members.remove("anyOf");
        }
        value_rules(&rest, path, errors);
    } else {
        value_rules(schema, path, errors);
    }
    if schema["items"].is_object() {
        nested(&schema["items"], false, &format!("{path}.items"), errors);
    }
    for (name, child) in properties(schema) {
        nested(child, false, &format!("{path}.properties[{name}]"), errors);
    }
    let text_set = |name: &str| schema[name].as_str().is_some_and(|text| !text.is_empty());
    for (name, set, why) in [
        ("type", text_set("type"), "must be empty to be structural"),
        (
            "additionalProperties",
            !schema["additionalProperties"].is_null(),
            "must be undefined to be structural",
        ),
        ("default", schema.get("default").is_some(), "must be undefined to be structural"),
        ("title", text_set("title"), "must be empty to be structural"),
        ("description", text_set("description"), "must be empty to be structural"),
        ("nullable", schema["nullable"] == true, "must be false to be structural"),
        (
            "x-kubernetes-preserve-unknown-fields",
            schema["x-kubernetes-preserve-unknown-fields"] == true,
            "must be false to be structural",
        ),
        (
            "x-kubernetes-embedded-resource",
            schema["x-kubernetes-embedded-resource"] == true,
            "must be false to be structural",
        ),
        ("x-kubernetes-int-or-string", is_int_or_string(schema), "must be false to be structural"),
        (
            "x-kubernetes-list-map-keys",
            schema["x-kubernetes-list-map-keys"].as_array().is_some_and(|keys| !keys.is_empty()),
            "must be empty to be structural",
        ),
        ("x-kubernetes-list-type", text_set("x-kubernetes-list-type"), "must be undefined to be structural"),
        ("x-kubernetes-map-type", text_set("x-kubernetes-map-type"), "must be undefined to be structural"),
        (
            "x-kubernetes-validations",
            schema["x-kubernetes-validations"].as_array().is_some_and(|rules| !rules.is_empty()),
            "must be empty to be structural",
        ),
    ] {
        if set {
            errors.push(FieldError::forbidden(format!("{path}.{name}"), why));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let why = "must not be specified in a nested context";
        errors.push(FieldError::forbidden(format!("{path}.properties[metadata]"), why));
    }
}

/// What a schema below a logical operator names must be named above it, too.
fn completeness(whole: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for list in ["anyOf", "allOf", "oneOf"] {
        for (index, child) in schema[list].as_array().into_iter().flatten().enumerate() {
            complete(whole, child, path, &format!("{path}.{list}[{index}]"), errors);
        }
    }
    if schema["not"].is_object() {
        complete(whole, &schema["not"], path, &format!("{path}.not"), errors);
    }
    for (name, child) in properties(schema) {
        completeness(child, child, &format!("{path}.properties[{name}]"), errors);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            completeness(&schema[name], &schema[name], &format!("{path}.{name}"), errors);
        }
    }
}

fn complete(whole: &Value, nested: &Value, path: &str, at: &str, errors: &mut Vec<FieldError>) {
    for list in ["anyOf", "allOf", "oneOf"] {
        for (index, child) in nested[list].as_array().into_iter().flatten().enumerate() {
            complete(whole, child, path, &format!("{at}.{list}[{index}]"), errors);
        }
    }
    if nested["not"].is_object() {
        complete(whole, &nested["not"], path, &format!("{at}.not"), errors);
    }
    for (name, child) in properties(nested) {
        let (path, at) = (format!("{path}.properties[{name}]"), format!("{at}.properties[{name}]"));
        match &whole["properties"][name] {
            Value::Null => errors.push(FieldError::required(path, format!("because it is defined in {at}"))),
            found => complete(found, child, &path, &at, errors),
        }
    }
    if nested["items"].is_object() {
        let (path, at) = (format!("{path}.items"), format!("{at}.items"));
        match &whole["items"] {
            Value::Null => errors.push(FieldError::required(path, format!("because it is defined in {at}"))),
            found => complete(found, &nested["items"], &path, &at, errors),
        }
    }
}

/// Checks that defaults obey the schema that they are part of.
fn defaults(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(default) = schema.get("default") {
        let at = format!("{path}.default");
        let compiled = Structural::compile(schema);
        let mut pruned = default.clone();
        if !compiled.prune_value(&mut pruned).is_empty() {
            errors.push(FieldError::invalid(&at, default.clone(), "must not have unknown fields"));
        } else {
            errors.extend(value_validation::validate_default(&compiled, default, &at));
        }
    }
    for (name, child) in properties(schema) {
        defaults(child, &format!("{path}.properties[{name}]"), errors);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            defaults(&schema[name], &format!("{path}.{name}"), errors);
        }
    }
}
