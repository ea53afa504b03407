//! What holds for every sequence of applies: they settle, they neither lose nor invent owners, and independent ones commute.

use std::collections::BTreeSet;

use fluxide_structured_merge::schema::Schema;
use fluxide_structured_merge::{
    Applied, ApplyError, ApplyRequest, FieldSet, Managers, SingleVersion, UpdateRequest, apply, typed, update,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const VERSION: &str = "example.com/v1";

fn schema() -> Schema {
    let open_api = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"},
        "b": {"type": "integer"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "args": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {
                "name": {"type": "string"}, "x": {"type": "string"}, "y": {"type": "string"}}}}
    }}}});
    Schema::from_open_api(&open_api, false).unwrap()
}

fn text() -> impl Strategy<Value = Value> {
    "[a-c]{1,2}".prop_map(Value::from)
}

fn texts() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", text(), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn item() -> impl Strategy<Value = (String, Value)> {
    ("[a-d]", prop::option::of(text()), prop::option::of(text())).prop_map(|(name, x, y)| {
        let mut item = json!({"name": name});
        for (member, value) in [("x", x), ("y", y)] {
            if let Some(value) = value {
                item[member] = value;
            }
        }
        (name, item)
    })
}

/// A spec. Lists with owned items are not empty: nobody owns such a list when it is, in Kubernetes as here.
fn spec() -> impl Strategy<Value = Value> {
    let members = (
        prop::option::of(text()),
        prop::option::of((0_i64..3).prop_map(Value::from)),
        prop::option::of(prop::collection::btree_set("[a-d]", 1..4).prop_map(|tags| json!(tags))),
        prop::option::of(prop::collection::vec(text(), 0..3).prop_map(Value::Array)),
        prop::option::of(texts()),
        prop::option::of(texts()),
        prop::option::of(texts().prop_map(|inner| json!({"inner": inner}))),
        prop::option::of(prop::collection::vec(item(), 1..4).prop_map(|items| {
            let mut seen = BTreeSet::new();
            items.into_iter().filter(|(name, _)| seen.insert(name.clone())).map(|(_, item)| item).collect()
        })),
    );
    members.prop_map(|(a, b, tags, args, labels, whole, free, items)| {
        let names = ["a", "b", "tags", "args", "labels", "whole", "free", "items"];
        let values = [a, b, tags, args, labels, whole, free, items];
        let members = names.into_iter().zip(values);
        Value::Object(members.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    })
}

/// The object with this spec; null leaves it without one.
fn object(spec: &Value) -> Value {
    if spec.is_null() {
        return json!({"apiVersion": VERSION, "kind": "Thing", "metadata": {"name": "x"}});
    }
    json!({"apiVersion": VERSION, "kind": "Thing", "metadata": {"name": "x"}, "spec": spec})
}

struct Server {
    schema: Schema,
}

impl Server {
    fn apply(
        &self,
        live: Option<&Value>,
        spec: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        let request = ApplyRequest {
            live,
            applied: &object(spec),
            manager,
            force,
            api_version: VERSION,
            kind: "Thing",
            subresource: "",
            now: "2026-01-01T00:00:00Z",
        };
        apply(&request, &SingleVersion::new(VERSION, self.schema.root()))
    }

    fn update(&self, live: &Value, spec: &Value, manager: &str) -> Value {
        let mut new = object(spec);
        new["metadata"] = live["metadata"].clone();
        let request = UpdateRequest {
            live: Some(live),
            new: &new,
            manager,
            api_version: VERSION,
            subresource: "",
            now: "2026-01-01T00:00:00Z",
        };
        update(&request, &SingleVersion::new(VERSION, self.schema.root()))
    }

    fn fields(&self, object: &Value) -> FieldSet {
        typed::field_set(object, self.schema.root())
    }
}

fn owned(object: &Value) -> FieldSet {
    Managers::of_object(object).0.values().fold(FieldSet::new(), |all, owned| all.union(&owned.fields))
}

/// The object without nulls and without empty members, which pruning may leave behind.
fn compact(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), compact(value)))
                .filter(|(_, value)| !value.is_null() && value != &json!({}) && value != &json!([]))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(compact).collect()),
        scalar => scalar.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Applying the same again changes neither the object nor an owner.
    #[test]
    fn applies_settle(first in spec(), second in spec()) {
        let server = Server { schema: schema() };
        let live = server.apply(None, &first, "one", false).unwrap().object;
        let live = server.apply(Some(&live), &second, "two", true).unwrap().object;
        let again = server.apply(Some(&live), &second, "two", false).unwrap();
        prop_assert!(!again.changed);
        prop_assert_eq!(again.object, live);
    }

    /// After an apply its manager owns exactly what it applied, and nobody owns what is not there.
    #[test]
    fn owners_are_neither_lost_nor_invented(specs in prop::collection::vec((spec(), 0..3_usize), 1..6)) {
        let server = Server { schema: schema() };
        let names = ["one", "two", "three"];
        let mut live: Option<Value> = None;
        for (spec, who) in specs {
            let object = server.apply(live.as_ref(), &spec, names[who], true).unwrap().object;
            let managers = Managers::of_object(&object);
            let mine = managers.0.iter().find(|(id, _)| id.manager == names[who]).map(|(_, owned)| owned.fields.clone());
            let applied = server.fields(&json!({"spec": spec}));
            prop_assert_eq!(mine.unwrap_or_default(), applied);
            let present = server.fields(&object);
            for path in owned(&object).paths() {
                let parents = !present.has(&path.0) && present.paths().iter().any(|other| other.0.starts_with(&path.0));
                let emptied = !present.has(&path.0);
                prop_assert!(present.has(&path.0) || parents || emptied && is_container(&path.to_string()), "{} is owned but absent", path);
            }
            live = Some(object);
        }
    }

    /// Managers of disjoint fields may come in any order, and never conflict.
    #[test]
    fn independent_managers_commute(left in spec(), right in spec(), swap in any::<bool>()) {
        let server = Server { schema: schema() };
        let (left, right) = disjoint(&left, &right);
        let one = server.apply(None, &left, "left", false).unwrap().object;
        let one = server.apply(Some(&one), &right, "right", false).unwrap().object;
        let other = server.apply(None, &right, "right", false).unwrap().object;
        let other = server.apply(Some(&other), &left, "left", false).unwrap().object;
        prop_assert_eq!(&one["spec"], &other["spec"]);
        let entries = |object: &Value| {
            let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            for entry in &mut entries {
                if let Some(members) = entry.as_object_mut() {
                    members.remove("time");
                }
            }
            entries.sort_by_key(Value::to_string);
            entries
        };
        prop_assert_eq!(entries(&one), entries(&other));

        // What one of them withdraws is exactly what it brought.
        let (gone, kept, kept_spec) = if swap { ("left", "right", &right) } else { ("right", "left", &left) };
        let withdrawn = server.apply(Some(&one), &Value::Null, gone, false).unwrap().object;
        let rest = |spec: &Value| compact(&json!({"spec": spec}));
        prop_assert_eq!(rest(&withdrawn["spec"]), rest(kept_spec));
        prop_assert!(Managers::of_object(&withdrawn).0.keys().all(|id| id.manager == kept));
    }

    /// Another value never gets in without force, and with force always.
    #[test]
    fn force_decides(first in spec(), second in spec()) {
        let server = Server { schema: schema() };
        let live = server.apply(None, &first, "one", false).unwrap().object;
        let forced = server.apply(Some(&live), &second, "two", true).unwrap().object;
        match server.apply(Some(&live), &second, "two", false) {
            Ok(applied) => prop_assert_eq!(applied.object, forced),
            Err(ApplyError::Conflicts(conflicts)) => {
                prop_assert!(!conflicts.0.is_empty());
                let all = owned(&live);
                for conflict in &conflicts.0 {
                    prop_assert!(all.has(&conflict.path.0));
                }
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Updates take what they change and nothing else; an update without effect leaves every owner.
    #[test]
    fn updates_take_what_they_change(first in spec(), second in spec()) {
        let server = Server { schema: schema() };
        let mut live = server.apply(None, &first, "one", false).unwrap().object;
        live["metadata"]["uid"] = "1".into();
        let unchanged = server.update(&live, &live["spec"], "two");
        prop_assert_eq!(&unchanged, &live);
        if Managers::of_object(&live).is_empty() {
            return Ok(());
        }
        let updated = server.update(&live, &second, "two");
        prop_assert_eq!(&updated["spec"], &second);
        let present = server.fields(&updated);
        for (id, owned) in &Managers::of_object(&updated).0 {
            for path in owned.fields.paths() {
                let there = present.has(&path.0) || present.paths().iter().any(|other| other.0.starts_with(&path.0));
                prop_assert!(there || is_container(&path.to_string()), "{} owns {}, which is gone", id.manager, path);
            }
        }
    }

    /// The merge never panics, whatever is applied over whatever is stored.
    #[test]
    fn anything_is_answered(live in any_value(4), applied in any_value(4)) {
        let server = Server { schema: schema() };
        let mut stored = object(&live);
        stored["metadata"]["managedFields"] = live.clone();
        let _ = server.apply(Some(&stored), &applied, "one", true);
        let _ = server.update(&stored, &applied, "two");
        let _ = FieldSet::from_json(&live);
    }
}

/// A map or list that went empty reads as absent though it is owned.
fn is_container(path: &str) -> bool {
    [".spec", ".labels", ".free", ".inner", ".tags", ".items"].iter().any(|suffix| path.ends_with(suffix))
}

/// The specs without what both mention: scalars and whole lists stay with the left one.
fn disjoint(left: &Value, right: &Value) -> (Value, Value) {
    let mut right = right.clone();
    if let (Value::Object(right), Value::Object(left)) = (&mut right, left) {
        right.retain(|name, _| !left.contains_key(name));
    }
    (left.clone(), right)
}

fn any_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a-c.]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        let name = prop_oneof![
            Just("spec".to_owned()),
            Just("items".to_owned()),
            Just("tags".to_owned()),
            Just("name".to_owned()),
            Just("f:spec".to_owned()),
            Just("k:{\"name\":\"a\"}".to_owned()),
            Just("operation".to_owned()),
            "[a-c]".prop_map(String::from),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
