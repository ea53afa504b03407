//! What must hold for any input: no panic, bounded depth, and texts that read back as what was written.

use std::collections::BTreeMap;

use fluxide_goyaml::{
    EncodeOptions, Error, Node, Value, alias, decode, encode, kio, parse, parse_one, resource, sigs, stream,
};
use proptest::prelude::*;

/// Calls everything that reads bytes, and writes again what was read.
fn read_everything(bytes: &[u8]) {
    if let Ok(documents) = parse(bytes) {
        for mut document in documents {
            let _ = decode(&document);
            let text = encode(&document, EncodeOptions::WIDE);
            let _ = parse_one(text.as_bytes());
            let _ = alias::resolve(&mut document);
        }
    }
    let _ = sigs::yaml_to_json(bytes);
    let _ = sigs::yaml_to_json_strict(bytes);
    let _ = sigs::json_to_yaml(bytes);
    let _ = stream::read_objects(bytes);
    for resource in resource::read_objects(bytes).unwrap_or_default() {
        let _ = resource::to_yaml(&resource);
    }
    if let Ok(documents) = kio::parse_all_preserving_indent(bytes) {
        let _ = kio::string_all(&documents);
    }
}

/// Pieces that mean something in YAML, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b: ",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "\n  - ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "!!str ",
        "!t ",
        "| ",
        "|+\n ",
        "> ",
        ">2-\n  ",
        "'",
        "\"",
        "\\n",
        "# c",
        " # c\n",
        "\t",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "0x1",
        "1e3",
        "true",
        "~",
        "2001-01-01",
        "12:30",
        "é",
        "\u{2028}",
        "\u{85}",
        "\u{FEFF}",
        "\r\n",
        "😀",
        "kind: List\n",
        "items:\n",
        "metadata: {name: x}\n",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

/// Lines that are mostly plain block YAML.
fn lines() -> impl Strategy<Value = String> {
    let keys = ["", "", "a: ", "b: ", "\"c\": ", "a:", "long: ", "'d': ", "on: ", "e f: ", "1: "];
    let values = [
        "",
        "",
        "1",
        "x",
        "some text",
        "\"q\"",
        "'s'",
        "'it''s'",
        "\"a\\\"b\"",
        "{}",
        "[]",
        "[a, \"b\"]",
        "|",
        ">-",
        "|+",
        "|2",
        "# c",
        "x # c",
        "x #c",
        "a: b",
        "b:",
        ":80",
        "-1",
        "- y",
        "-",
        "&x 1",
        "*x",
        "!!str 1",
        "\"open",
        "'open",
        "close\"",
        ".nan",
        "-.inf",
        "?",
        "? k",
        "%x",
        "@",
        "{a: 1}",
        "[1,",
        "\tx",
        "x\ty",
        "é\u{2028}",
        "---",
        "...",
        "<<",
        "~",
        "trailing ",
        "a:b",
        "#",
    ];
    let line = (
        proptest::sample::select(vec![0usize, 0, 0, 1, 2, 2, 2, 3, 4, 4, 6]),
        proptest::sample::select(vec!["", "", "", "- ", "- - ", "-   "]),
        proptest::sample::select(keys.to_vec()),
        proptest::sample::select(values.to_vec()),
        proptest::sample::select(vec!["\n", "\n", "\n", "\n", "\n\n", " \n", "\r\n", ""]),
    );
    let line =
        line.prop_map(|(indent, dash, key, value, end)| format!("{:indent$}{dash}{key}{value}{end}", ""));
    proptest::collection::vec(line, 1..9).prop_map(|lines| lines.concat())
}

/// Strings that are hard to quote.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[a: #\\-?'\"\n\t{}\\[\\],&*!|>%@`~]{0,12}",
        "(yes|no|null|~|0x1|1e3|0o7|12:30|2001-01-01|\\.inf|<<|=|-|---)",
        "(a|é|\u{A0}|\u{2028}|\u{FEFF}|😀|\n| ){0,8}",
        "([a-z]{1,9} ){8,30}",
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::Uint),
        any::<f64>().prop_filter("JSON has no such number", |value| value.is_finite()).prop_map(Value::Float),
        awkward().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::btree_map(awkward(), inner, 0..5).prop_map(Value::Object),
        ]
    })
}

/// A node tree of a value; every string is plain until the encoder quotes it.
fn tree(value: &Value) -> Node {
    match value {
        Value::Null => Node::null(),
        Value::Bool(value) => Node::bool(*value),
        Value::Int(value) => Node::int(*value),
        Value::Uint(value) => Node::scalar("!!int", value.to_string()),
        Value::Float(value) => Node::scalar("!!float", format!("{value:e}")),
        Value::String(text) => Node::string(text.clone()),
        Value::Array(items) => Node::sequence(items.iter().map(tree)),
        Value::Object(map) => Node::mapping(map.iter().map(|(key, value)| (key.as_str(), tree(value)))),
    }
}

/// What JSON makes of a value's numbers.
fn through_json(value: &Value) -> Value {
    match value {
        Value::Float(value) => match fluxide_goyaml::number::format_json_float(*value) {
            Some(text) => text
                .parse()
                .map(Value::Int)
                .or_else(|_| text.parse().map(Value::Uint))
                .unwrap_or(Value::Float(*value)),
            None => Value::Null,
        },
        Value::Array(items) => Value::Array(items.iter().map(through_json).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), through_json(value))).collect())
        }
        other => other.clone(),
    }
}

/// Whether go-yaml itself brings a value back: it reads a line separator inside quotes as a line break and drops the
/// blanks around it, and it writes the key `<<` without quotes.
fn is_faithful(value: &Value) -> bool {
    let plain = |text: &str| !text.contains(['\u{2028}', '\u{FEFF}', '\t']) && text != "<<";
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().all(is_faithful),
        Value::Object(map) => map.iter().all(|(key, value)| plain(key) && is_faithful(value)),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn text_never_panics(text in "\\PC{0,80}") {
        read_everything(text.as_bytes());
    }

    #[test]
    fn yaml_like_text_never_panics(text in soup()) {
        read_everything(text.as_bytes());
    }

    #[test]
    fn values_read_back(value in values()) {
        if !is_faithful(&value) {
            return Ok(());
        }
        let text = sigs::to_yaml(&value).expect("JSON can carry it");
        let read = sigs::from_yaml(text.as_bytes());
        prop_assert_eq!(read, Ok(through_json(&value)), "{}", text);
    }

    #[test]
    fn json_is_the_same_by_both_ways(value in values()) {
        let json = fluxide_goyaml::to_json(&value).expect("JSON can carry it");
        prop_assert_eq!(sigs::to_yaml(&value), sigs::json_to_yaml(json.as_bytes()));
    }

    #[test]
    fn trees_read_back(map in proptest::collection::btree_map("[a-z]{1,5}", values(), 0..5)) {
        let value = Value::Object(map);
        if !is_faithful(&value) {
            return Ok(());
        }
        let node = tree(&value);
        for options in [EncodeOptions::KYAML, EncodeOptions::WIDE] {
            let text = encode(&node, options);
            let read = parse_one(text.as_bytes()).and_then(|document| decode(&document));
            prop_assert_eq!(read, decode(&node), "{}", text);
        }
    }

    #[test]
    fn leaving_members_out_changes_nothing_else(text in prop_oneof![4 => lines(), 1 => soup()]) {
        let keep = |key: &str| matches!(key, "a" | "c");
        let all = sigs::from_yaml(text.as_bytes());
        let all = all.and_then(|value| fluxide_goyaml::to_json(&value).map(|_| value));
        let kept = all.map(|value| match value {
            Value::Object(map) => Value::Object(map.into_iter().filter(|(key, _)| keep(key)).collect()),
            other => other,
        });
        prop_assert_eq!(sigs::from_yaml_selected(text.as_bytes(), keep), kept, "{}", text);
    }

    #[test]
    fn encoding_is_stable(text in soup()) {
        // What was written once is written the same way again, as long as no comment or folding is in the way.
        if text.contains(['#', '>', '\u{2028}', '\u{85}', '\u{FEFF}', '\r']) {
            return Ok(());
        }
        let Ok(document) = parse_one(text.as_bytes()) else { return Ok(()) };
        let first = encode(&document, EncodeOptions::KYAML);
        let Ok(again) = parse_one(first.as_bytes()) else { return Ok(()) };
        prop_assert_eq!(encode(&again, EncodeOptions::KYAML), first);
    }

    #[test]
    fn saved_round_trips_change_nothing(text in soup()) {
        let Ok(resources) = resource::read(text.as_bytes()) else { return Ok(()) };
        for resource in resources.iter().filter(|resource| resource.is_mapping()) {
            let text = encode(resource, EncodeOptions::KYAML);
            let slow = parse_one(text.as_bytes()).and_then(|document| decode(&document));
            prop_assert_eq!(format!("{:?}", resource::to_value(resource)), format!("{:?}", slow), "{}", text);
        }
    }
}

/// Half of what async runtimes and tests give to their threads.
const STACK: usize = 1 << 20;

/// Runs on a thread with little stack.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread can be started");
    thread.join().expect("no panic");
}

#[test]
fn depth_is_bounded() {
    on_a_small_stack(|| {
        for depth in [190, 210, 200_000] {
            for text in [
                "[".repeat(depth) + &"]".repeat(depth),
                "{a: ".repeat(depth) + &"}".repeat(depth),
                "- ".repeat(depth) + "a",
                "? ".repeat(depth) + "a",
                (0..depth.min(2_000)).map(|at| format!("{}a:\n", " ".repeat(at))).collect(),
            ] {
                read_everything(text.as_bytes());
                let parsed = parse_one(text.as_bytes());
                let refused =
                    matches!(&parsed, Err(error) if error.to_string().contains("exceeded max depth"));
                assert_eq!(refused, depth > 200, "{depth}");
            }
        }
    });
}

#[test]
fn anchors_cannot_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(sigs::from_yaml(text.as_bytes()), Err(Error::ExcessiveAliasing));
    assert_eq!(resource::read(text.as_bytes()), Err(Error::ExcessiveAliasing));
    let document = parse_one(text.as_bytes()).expect("the text itself is small");
    assert_eq!(decode(&document), Err(Error::ExcessiveAliasing));
}

#[test]
fn an_anchor_in_itself_is_an_error() {
    let recursive = Err(Error::RecursiveAnchor("a".to_owned()));
    assert_eq!(resource::read(b"a: &a [*a]\n"), recursive);
    assert_eq!(resource::read(b"a: &a\n  <<: *a\n"), Err(Error::RecursiveAnchor("a".to_owned())));
    assert_eq!(sigs::from_yaml(b"a: &a [*a]\n").map(|_| Vec::new()), recursive);
    let unknown = Err(Error::UnknownAnchor("b".to_owned()));
    assert_eq!(parse(b"a: *b\n"), unknown);
}

#[test]
fn a_map_of_many_keys_is_sorted_in_time() {
    let map: BTreeMap<String, Value> = (0..100_000).map(|at| (format!("k{at}"), Value::Int(at))).collect();
    let text = sigs::to_yaml(&Value::Object(map)).expect("plain values");
    let lines: Vec<&str> = text.lines().take(12).collect();
    assert_eq!(lines[..3], ["k0: 0", "k1: 1", "k2: 2"]);
    assert_eq!(lines[11], "k11: 11");
}
