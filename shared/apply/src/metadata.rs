//! What an object's own metadata says about how it is to be treated, and what the engine writes
//! into it before an apply.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use crate::object::Object;

/// The API group whose labels and annotations steer an apply, and name the owner of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Group of the labels, for example `kustomize.toolkit.fluxcd.io`.
    pub group: String,
    /// Name of the object on whose behalf things are applied.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl Owner {
    /// Marks an object as ours.
    pub fn label(&self, object: &mut Object) {
        object.set_label(&self.key("name"), &self.name);
        object.set_label(&self.key("namespace"), &self.namespace);
    }

    /// The label that has our name.
    pub fn name_label(&self) -> String {
        self.key("name")
    }

    /// True when the labels of an object name us.
    pub fn owns(&self, object: &Object) -> bool {
        object.label(&self.key("name")) == Some(&self.name)
            && object.label(&self.key("namespace")) == Some(&self.namespace)
    }

    /// True when an object asks to be left as it is by `reconcile: disabled` or `ssa: Ignore`.
    pub fn is_ignored(&self, object: &Object) -> bool {
        self.says(object, "reconcile", "disabled") || self.says(object, "ssa", "Ignore")
    }

    /// True when an object is to be created and then never touched again.
    pub fn is_create_only(&self, object: &Object) -> bool {
        self.says(object, "ssa", "IfNotPresent")
    }

    /// True when the fields that other managers own in an object are to be left alone.
    pub fn is_merged(&self, object: &Object) -> bool {
        self.says(object, "ssa", "Merge")
    }

    /// True when an object may be recreated to change an immutable field.
    pub fn is_forced(&self, object: &Object) -> bool {
        self.says(object, "force", "enabled")
    }

    /// True when an object must never be deleted.
    pub fn is_kept(&self, object: &Object) -> bool {
        self.says(object, "prune", "disabled")
    }

    /// True when a label or annotation has a value, in any letter case.
    fn says(&self, object: &Object, key: &str, value: &str) -> bool {
        let key = self.key(key);
        [object.label(&key), object.annotation(&key)]
            .into_iter()
            .flatten()
            .any(|found| found.eq_ignore_ascii_case(value))
    }

    fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.group)
    }
}

/// Sets labels and annotations on an object, overriding what it has. Those without a value become empty, as in Flux.
pub fn set_common_metadata(
    object: &mut Object,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) {
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(map)) = object.metadata_mut().get_mut(field) {
            map.values_mut().filter(|value| value.is_null()).for_each(|null| *null = Value::from(""));
        }
    }
    for (key, value) in labels {
        object.set_label(key, value);
    }
    for (key, value) in annotations {
        object.set_annotation(key, value);
    }
}

/// Drops the CA bundle of a CRD's conversion webhook when it is not a bundle of PEM certificates:
/// the API server would refuse the whole CRD, and CA injectors fill it in later.
pub fn drop_invalid_ca_bundle(object: &mut Object) {
    if !object.is_custom_resource_definition() {
        return;
    }
    let path = ["spec", "conversion", "webhook", "clientConfig"];
    let mut fields = Some(object.fields_mut());
    for key in path {
        fields = fields.and_then(|fields| fields.get_mut(key)).and_then(Value::as_object_mut);
    }
    let Some(client_config) = fields else { return };
    let invalid =
        client_config.get("caBundle").and_then(Value::as_str).is_some_and(|bundle| !is_ca_bundle(bundle));
    if invalid {
        client_config.remove("caBundle");
    }
}

fn is_ca_bundle(base64: &str) -> bool {
    let Ok(pem) = base64::engine::general_purpose::STANDARD.decode(base64) else { return false };
    let Ok(pem) = std::str::from_utf8(&pem) else { return false };
    let mut certificates = 0;
    for block in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let Some((body, _)) = block.split_once("-----END CERTIFICATE-----") else { return false };
        let body: String = body.split_whitespace().collect();
        match base64::engine::general_purpose::STANDARD.decode(body) {
            Ok(der) if is_der_sequence(&der) => certificates += 1,
            _ => return false,
        }
    }
    certificates > 0
}

/// True when the bytes are one DER sequence of exactly the length that it announces, which is what
/// tells a certificate from text in the place of one.
fn is_der_sequence(der: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = der else { return false };
    if *length < 0x80 {
        return rest.len() == usize::from(*length) && !rest.is_empty();
    }
    let digits = usize::from(length & 0x7f);
    if digits == 0 || digits > 4 || rest.len() < digits {
        return false;
    }
    let announced = rest[..digits].iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
    rest.len() - digits == announced
}

/// True for a Secret that still carries SOPS metadata, so that applying it would publish ciphertext
/// as if it were the secret.
pub fn is_encrypted_secret(object: &Object) -> bool {
    object.is_secret() && object.fields().contains_key("sops")
}
