//! Fields that are left to others: they do not count as drift, and an apply does not change them.

use serde_json::{Map, Value};

use crate::managed_fields;
use crate::object::Object;
use crate::selector::{self, Selector, SelectorText};

/// A rule as users write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleText {
    /// JSON pointers to the fields.
    pub paths: Vec<String>,
    /// The objects that the rule is for; all when left out.
    pub target: Option<SelectorText>,
}

/// A rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to create ignore rule selector: spec.ignore[{index}].target: {source}")]
pub struct Error {
    /// Position of the rule.
    pub index: usize,
    /// What is wrong with it.
    pub source: selector::Error,
}

/// Parsed rules.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<(Option<Selector>, Vec<Pointer>)>);

/// The segments of a JSON pointer.
pub type Pointer = Vec<String>;

impl Rules {
    /// Parses rules. Malformed pointers are left out, they point to nothing.
    pub fn parse(texts: &[RuleText]) -> Result<Self, Error> {
        let mut rules = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let target = text.target.as_ref().map(Selector::parse).transpose();
            let target = target.map_err(|source| Error { index, source })?;
            rules.push((target, text.paths.iter().filter_map(|path| parse_pointer(path)).collect()));
        }
        Ok(Self(rules))
    }

    /// The fields of an object that are left to others.
    pub fn pointers(&self, object: &Object) -> Vec<Pointer> {
        let applies = |target: &Option<Selector>| target.as_ref().is_none_or(|target| target.matches(object));
        let rules = self.0.iter().filter(|(target, _)| applies(target));
        rules.flat_map(|(_, pointers)| pointers.iter().cloned()).collect()
    }
}

fn parse_pointer(text: &str) -> Option<Pointer> {
    let text = text.strip_prefix('/')?;
    Some(text.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
}

/// The object without some of its fields.
pub fn without(object: &Object, pointers: &[Pointer]) -> Object {
    let mut stripped = object.clone();
    for pointer in pointers {
        remove(stripped.fields_mut(), pointer);
    }
    stripped
}

/// Changes a payload so that applying it leaves fields as they are in the cluster.
///
/// A field that another manager has applied is left out: it is that manager's from now on. Any other
/// field gets the value that it has in the cluster, so that it stays ours and keeps that value; also
/// when the payload would not change it, if the fields of others were taken over since: what is ours
/// and not in the payload would go.
pub fn leave_alone(
    payload: &mut Object,
    live: &Object,
    dry_run: &Object,
    field_manager: &str,
    pointers: &[Pointer],
    was_taken_over: bool,
) {
    for pointer in pointers {
        let (in_cluster, applied) = (find(live.fields(), pointer), find(dry_run.fields(), pointer));
        if in_cluster == applied && !was_taken_over {
            continue;
        }
        match in_cluster {
            Some(value) if !managed_fields::is_applied_by_other(live, pointer, field_manager) => {
                let value = value.clone();
                set(payload.fields_mut(), pointer, value);
            }
            _ => remove(payload.fields_mut(), pointer),
        }
    }
}

fn find<'a>(fields: &'a Map<String, Value>, pointer: &[String]) -> Option<&'a Value> {
    let (first, rest) = pointer.split_first()?;
    rest.iter().try_fold(fields.get(first)?, |value, segment| match value {
        Value::Object(members) => members.get(segment),
        Value::Array(items) => items.get(index(segment, items.len())?),
        _ => None,
    })
}

fn find_mut<'a>(fields: &'a mut Map<String, Value>, pointer: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = pointer.split_first()?;
    rest.iter().try_fold(fields.get_mut(first)?, |value, segment| match value {
        Value::Object(members) => members.get_mut(segment),
        Value::Array(items) => {
            let index = index(segment, items.len())?;
            items.get_mut(index)
        }
        _ => None,
    })
}

/// The position a segment means in a list; negative ones count from the end.
fn index(segment: &str, length: usize) -> Option<usize> {
    let position: i64 = segment.parse().ok()?;
    if position >= 0 {
        usize::try_from(position).ok()
    } else {
        length.checked_sub(position.unsigned_abs() as usize)
    }
}

fn remove(fields: &mut Map<String, Value>, pointer: &[String]) {
    let Some((last, parent)) = pointer.split_last() else { return };
    if parent.is_empty() {
        fields.remove(last);
        return;
    }
    match find_mut(fields, parent) {
        Some(Value::Object(members)) => {
            members.remove(last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = index(last, items.len()).filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Sets a field, with the maps that lead to it. Lists do not grow.
fn set(fields: &mut Map<String, Value>, pointer: &[String], value: Value) {
    let Some((last, parents)) = pointer.split_last() else { return };
    let mut at = match parents.split_first() {
        None => {
            fields.insert(last.clone(), value);
            return;
        }
        Some((first, rest)) => {
            let mut at = fields.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            for segment in rest {
                at = match at {
                    Value::Array(items) => {
                        let Some(item) = index(segment, items.len()).and_then(|index| items.get_mut(index))
                        else {
                            return;
                        };
                        item
                    }
                    Value::Object(members) => {
                        members.entry(segment.clone()).or_insert_with(|| Value::Object(Map::new()))
                    }
                    _ => return,
                };
            }
            at
        }
    };
    match &mut at {
        Value::Object(members) => {
            members.insert(last.clone(), value);
        }
        Value::Array(items) => {
            if let Some(item) = index(last, items.len()).and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::new(value).unwrap()
    }

    fn pointer(text: &str) -> Pointer {
        parse_pointer(text).unwrap()
    }

    #[test]
    fn all_rules_count() {
        let rule = |path: &str| RuleText { paths: vec![path.to_owned()], target: None };
        let rules = Rules::parse(&[rule("/spec/a"), rule("/spec/b"), rule("not a pointer")]).unwrap();
        let pointers = rules.pointers(&object(json!({"kind": "X"})));
        assert_eq!(pointers, [pointer("/spec/a"), pointer("/spec/b")]);
    }

    #[test]
    fn pointers_reach_lists_and_escaped_keys() {
        let full =
            object(json!({"metadata": {"annotations": {"a/b": "1"}}, "spec": {"l": [1, {"x": 2}, 3]}}));
        let stripped = without(
            &full,
            &[
                pointer("/metadata/annotations/a~1b"),
                pointer("/spec/l/-1"),
                pointer("/spec/l/1/x"),
                pointer("/none/x"),
            ],
        );
        assert_eq!(stripped.into_value(), json!({"metadata": {"annotations": {}}, "spec": {"l": [1, {}]}}));
    }

    #[test]
    fn fields_of_other_appliers_are_given_up_and_others_adopted() {
        let live = object(json!({
            "spec": {"replicas": 3, "paused": true, "containers": [{"name": "c", "image": "live"}]},
            "metadata": {"managedFields": [{
                "manager": "autoscaler", "operation": "Apply",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}}}},
            }]},
        }));
        let dry_run = object(
            json!({"spec": {"replicas": 1, "paused": false, "containers": [{"name": "c", "image": "x"}]}}),
        );
        let mut payload = dry_run.clone();
        let pointers =
            ["/spec/replicas", "/spec/paused", "/spec/containers/0/image", "/spec/gone"].map(pointer);
        leave_alone(&mut payload, &live, &dry_run, "kustomize-controller", &pointers, false);
        assert_eq!(payload.into_value(), json!({"spec": {"paused": true, "containers": [{"name": "c"}]}}));
    }
}
