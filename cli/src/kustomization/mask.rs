//! Hides what SOPS has encrypted: ciphertext tells a reader nothing, and would be taken for the secret.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fluxide_apply::Object;
use serde_json::{Map, Value};

/// What stands for an encrypted value.
pub const MASK: &str = "**SOPS**";

/// What stands for an encrypted Docker configuration, which has to be JSON.
const DOCKER_MASK: &str = r#"{"mask":"**SOPS**"}"#;

/// Hides the encrypted values of a Secret.
pub fn mask(object: &mut Object) {
    if object.kind() != "Secret" {
        return;
    }
    let is_encrypted = object.fields().get("sops").and_then(|sops| sops.get("mac")?.as_str());
    if is_encrypted.is_some_and(|mac| mac.starts_with("ENC[")) {
        object.fields_mut().remove("sops");
        let is_docker =
            object.fields().get("type").is_some_and(|kind| kind == "kubernetes.io/dockerconfigjson");
        let text = if is_docker { DOCKER_MASK } else { MASK };
        hide(object, "data", &BASE64_STANDARD.encode(text));
        hide(object, "stringData", text);
        return;
    }
    replace(object, "data", |value| {
        let decoded = BASE64_STANDARD.decode(value).ok()?;
        is_sops(&decoded).then(|| BASE64_STANDARD.encode(MASK))
    });
    replace(object, "stringData", |value| is_sops(value.as_bytes()).then(|| BASE64_STANDARD.encode(MASK)));
}

/// Whether a Secret of a build has masked values, so that they cannot be compared with others.
pub fn is_masked(object: &Object) -> bool {
    let values = object.fields().get("data").and_then(Value::as_object);
    values
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_str)
        .any(|value| BASE64_STANDARD.decode(value).is_ok_and(|decoded| contains(&decoded, MASK.as_bytes())))
}

/// Puts a text in the place of every value, whatever it is.
fn hide(object: &mut Object, field: &str, text: &str) {
    let Some(Value::Object(values)) = object.fields_mut().get_mut(field) else { return };
    values.values_mut().for_each(|value| *value = text.into());
}

fn replace(object: &mut Object, field: &str, with: impl Fn(&str) -> Option<String>) {
    let Some(Value::Object(values)) = object.fields_mut().get_mut(field) else { return };
    for value in values.values_mut() {
        if let Some(masked) = value.as_str().and_then(&with) {
            *value = masked.into();
        }
    }
}

fn is_sops(bytes: &[u8]) -> bool {
    contains(bytes, b"sops") && contains(bytes, b"ENC[")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn masked(fields: Value) -> Value {
        let mut object = Object::new(fields).unwrap();
        mask(&mut object);
        object.into_value()
    }

    #[test]
    fn only_ciphertext_is_hidden() {
        let whole = json!({"kind": "Secret", "data": {"a": "RU5DWw=="}, "stringData": {"b": "ENC[x]", "n": null},
            "sops": {"mac": "ENC[AES256_GCM,data:x]"}});
        let expected = json!({"kind": "Secret", "data": {"a": "KipTT1BTKio="}, "stringData": {"b": "**SOPS**", "n": "**SOPS**"}});
        assert_eq!(masked(whole), expected);
        let plain = json!({"kind": "Secret", "data": {"a": "QQ==", "odd": "%"}});
        assert_eq!(masked(plain.clone()), plain);
        let file = BASE64_STANDARD.encode(r#"{"a":"ENC[x]","sops":{}}"#);
        let secret = masked(json!({"kind": "Secret", "data": {"file": file, "a": "QQ=="}}));
        assert_eq!(secret["data"], json!({"file": "KipTT1BTKio=", "a": "QQ=="}));
        assert!(is_masked(&Object::new(secret).unwrap()));
        let docker = json!({"kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": "ENC[x]"}, "sops": {"mac": "ENC["}});
        assert_eq!(masked(docker)["stringData"][".dockerconfigjson"], DOCKER_MASK);
    }
}
