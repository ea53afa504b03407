//! Files made and decrypted by SOPS itself.

use std::path::{Path, PathBuf};

use fluxide_sops::{Encrypted, Format, Keyring};
use serde_json::Value;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(corpus().join(path)).unwrap()
}

fn format(name: &Value) -> Format {
    match name.as_str().unwrap() {
        "yaml" => Format::Yaml,
        "json" => Format::Json,
        "dotenv" => Format::Dotenv,
        "ini" => Format::Ini,
        "binary" => Format::Binary,
        other => panic!("{other}"),
    }
}

fn keyring(names: &Value) -> Keyring {
    let mut keys = Keyring::default();
    for name in names.as_array().unwrap() {
        let name = name.as_str().unwrap();
        if name.starts_with("pgp") {
            let text = String::from_utf8(read(&format!("keys/{name}.asc"))).unwrap();
            keys.add_pgp(&text).unwrap();
        } else {
            let text = String::from_utf8(read(&format!("keys/{name}.agekey"))).unwrap();
            keys.add_age(&text).unwrap();
        }
    }
    keys
}

/// The plain file, or why there is none.
fn decrypted(input: &Value, check_mac: bool) -> Result<Vec<u8>, String> {
    let bytes = read(input["file"].as_str().unwrap());
    let encrypted = Encrypted::load(&bytes, format(&input["format"])).map_err(|error| error.to_string())?;
    let key = encrypted.data_key(&mut keyring(&input["keys"])).map_err(|error| error.to_string())?;
    let decrypted = encrypted.decrypt(&key).map_err(|error| error.to_string())?;
    if check_mac {
        decrypted.verify_mac().map_err(|error| error.to_string())?;
    }
    decrypted.document.emit(format(&input["output_format"])).map_err(|error| error.to_string())
}

#[test]
fn files_decrypt_to_the_byte() {
    let index = String::from_utf8(read("index.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for line in index.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let input = &case["in"];
        let name = input["file"].as_str().unwrap();
        for (check_mac, expected) in [(true, "out_file"), (false, "out_file_ignore_mac")] {
            let actual = decrypted(input, check_mac);
            match (case.get(expected).and_then(Value::as_str), actual) {
                (None, Err(_)) => {}
                (None, Ok(_)) => wrong.push(format!("{name} ({expected}): decrypted, but must fail")),
                (Some(_), Err(error)) => wrong.push(format!("{name} ({expected}): {error}")),
                (Some(file), Ok(actual)) => {
                    let expected = read(file);
                    if actual != expected {
                        wrong.push(format!(
                            "{name}:\n--- expected\n{}\n--- actual\n{}",
                            String::from_utf8_lossy(&expected),
                            String::from_utf8_lossy(&actual)
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn failures_say_what_happened_and_no_value() {
    let index = String::from_utf8(read("index.jsonl")).unwrap();
    let key_phrases = [
        ("bad-no-sops", "sops metadata not found"),
        ("bad-sops-null", "Found sops entry that is not a mapping"),
        ("bad-no-recipients", "No keys found in file"),
        ("bad-tag-flipped", "Could not decrypt with AES_GCM: cipher: message authentication failed"),
        ("bad-type-unknown", "Unknown datatype: foo"),
        ("bad-number-for-enc", "Expected encrypted value as string, but got int"),
        ("bad-suffix-changed", "Input string <redacted> does not match sops' data format"),
        ("bad-duplicate-key", "mapping key \"kind\" already defined at line 2"),
        ("bad-mac-missing", "MAC mismatch. File has no MAC, computed "),
        ("bad-mac-flipped", "Cannot decrypt MAC: "),
        ("bad-wrong-age-key", "Group 0: FAILED\n  age1"),
        ("bad-json-not-object", "SOPS only supports JSON files with a top-level object"),
    ];
    for (file, phrase) in key_phrases {
        let line = index.lines().find(|line| line.contains(&format!("files/{file}.enc"))).unwrap();
        let case: Value = serde_json::from_str(line).unwrap();
        let error = decrypted(&case["in"], true).unwrap_err();
        assert!(error.contains(phrase), "{file}: {error}");
        assert!(!error.contains("bob"), "{file} tells a value: {error}");
    }
}
