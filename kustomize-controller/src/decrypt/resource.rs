//! Objects of a build: encrypted as a whole, or Secrets with encrypted files in their data.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fluxide_sops::Format;
use serde_json::Value;

use super::{Decryptor, Error};

/// The annotation that leaves an object encrypted.
pub const ANNOTATION: &str = "kustomize.toolkit.fluxcd.io/decrypt";

/// Why an object cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// It is encrypted as a whole.
    #[error("failed to decrypt and format '{namespace}/{name}' {kind} data: {source}")]
    Whole {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its kind.
        kind: String,
        /// Why.
        source: Box<Error>,
    },
    /// One entry of a Secret is encrypted.
    #[error("failed to decrypt and format '{namespace}/{name}' Secret field '{key}': {source}")]
    Field {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key in its data.
        key: String,
        /// Why.
        source: Box<Error>,
    },
    /// The plain text of a whole object is no JSON.
    #[error("the decrypted object '{0}' is not valid JSON")]
    NotJson(String),
}

/// Whether the object asks to be left encrypted.
pub fn is_disabled(object: &Value) -> bool {
    object["metadata"]["annotations"][ANNOTATION].as_str().is_some_and(disables)
}

/// Whether a value of the annotation [`ANNOTATION`] says so.
pub fn disables(value: &str) -> bool {
    value.eq_ignore_ascii_case("disabled")
}

impl Decryptor {
    /// Decrypts what is encrypted in an object; `None` when nothing is.
    pub fn decrypt_resource(&mut self, object: &Value) -> Result<Option<Value>, ResourceError> {
        if is_disabled(object) {
            return Ok(None);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        let sops = &object["sops"];
        if sops.as_object().is_some_and(|sops| !sops.is_empty())
            && sops["mac"].as_str().is_some_and(|mac| !mac.is_empty())
        {
            let not_json = || ResourceError::NotJson(format!("{namespace}/{name}"));
            let bytes = serde_json::to_vec(object).map_err(|_| not_json())?;
            let plain = self.decrypt(&bytes, Format::Json, Format::Json, false).map_err(|source| {
                let kind = text(&object["kind"]);
                ResourceError::Whole {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    kind,
                    source: Box::new(source),
                }
            })?;
            return serde_json::from_slice(&plain).map(Some).map_err(|_| not_json());
        }
        if object["kind"] != "Secret" {
            return Ok(None);
        }
        let Some(data) = object["data"].as_object() else { return Ok(None) };
        let mut result = None;
        for (key, value) in data {
            let Some(Ok(bytes)) = value.as_str().map(|value| BASE64_STANDARD.decode(value)) else { continue };
            let Some(format) = Format::of_encrypted(&bytes) else { continue };
            let plain = self.decrypt(&bytes, format, Format::of_name(key), true).map_err(|source| {
                ResourceError::Field {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    key: key.clone(),
                    source: Box::new(source),
                }
            })?;
            result.get_or_insert_with(|| object.clone())["data"][key] = BASE64_STANDARD.encode(plain).into();
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxide_sops::Keyring;

    const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/sops/tests/corpus");

    fn read(path: &str) -> String {
        std::fs::read_to_string(format!("{CORPUS}/{path}")).unwrap()
    }

    fn decryptor(names: &Value) -> Decryptor {
        let mut keys = Keyring::default();
        for name in names.as_array().unwrap().iter().filter_map(Value::as_str) {
            match name.starts_with("pgp") {
                true => keys.add_pgp(&read(&format!("keys/{name}.asc"))).unwrap(),
                false => keys.add_age(&read(&format!("keys/{name}.agekey"))).unwrap(),
            }
        }
        Decryptor::new(Box::new(keys))
    }

    fn parse(yaml: &str) -> Value {
        fluxide_goyaml::sigs::from_yaml(yaml.as_bytes()).unwrap().into()
    }

    #[test]
    fn objects_decrypt_as_in_flux() {
        let mut wrong = Vec::new();
        for line in read("resources.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let input = &case["in"];
            let object = parse(&read(input["file"].as_str().unwrap()));
            let actual =
                decryptor(&input["keys"]).decrypt_resource(&object).map_err(|error| error.to_string());
            let expected = case["controller_out_file"].as_str().map(read);
            match (expected, actual) {
                (None, Err(_)) => {}
                (Some(text), Ok(None)) if text.trim() == "(unchanged)" || parse(&text) == object => {}
                (Some(text), Ok(Some(actual))) if text.trim() != "(unchanged)" && parse(&text) == actual => {}
                (expected, actual) => wrong.push(format!("{}: {expected:?}, got {actual:?}", input["file"])),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
