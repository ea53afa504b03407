//! Reads any bytes every way there is, writes what came out, and compares the ways that must agree.
//!
//! Run with `cargo +nightly fuzz run read` in the crate's directory.

#![no_main]

use fluxide_goyaml::{EncodeOptions, Value, alias, decode, encode, kio, parse, parse_one, resource, sigs, stream, to_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for mut document in parse(bytes).unwrap_or_default() {
        let _ = decode(&document);
        let _ = parse_one(encode(&document, EncodeOptions::WIDE).as_bytes());
        let _ = alias::resolve(&mut document);
    }
    if let Ok(value) = sigs::from_yaml(bytes)
        && let Ok(json) = to_json(&value)
    {
        assert_eq!(sigs::to_yaml(&value), sigs::json_to_yaml(json.as_bytes()));
    }
    let _ = sigs::yaml_to_json_strict(bytes);
    let keep = |key: &str| key.len() < 2;
    let all = sigs::from_yaml(bytes).and_then(|value| to_json(&value).map(|_| value));
    let kept = all.map(|value| match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(key, _)| keep(key)).collect()),
        other => other,
    });
    assert_eq!(format!("{:?}", sigs::from_yaml_selected(bytes, keep)), format!("{kept:?}"));
    let _ = stream::read_objects(bytes);
    for resource in resource::read_objects(bytes).unwrap_or_default() {
        let text = encode(&resource, EncodeOptions::KYAML);
        let slow = parse_one(text.as_bytes()).and_then(|document| decode(&document));
        assert_eq!(format!("{:?}", resource::to_value(&resource)), format!("{slow:?}"));
        let long = resource::to_value(&resource).and_then(|value| sigs::to_yaml(&value));
        assert_eq!(resource::to_yaml(&resource).ok(), long.ok());
    }
    if let Ok(documents) = kio::parse_all_preserving_indent(bytes) {
        let _ = kio::string_all(&documents);
    }
});
