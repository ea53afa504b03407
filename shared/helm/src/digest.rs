//! The digests by which Flux recognises values and releases it has seen before.

use fluxide_digest::Algorithm;
use fluxide_goyaml::{Value, sigs};

use crate::hook::HookEvent;
use crate::json::ObjectWriter;
use crate::release::{Release, hook_json};
use crate::values::Table;

/// The digest of the values a release was made with. No values hash as nothing at all.
pub fn values_digest(algorithm: Algorithm, values: &Table) -> String {
    algorithm.digest(values_body(values).as_bytes()).to_string()
}

/// Whether the digest is that of the values. An unknown algorithm is no match.
pub fn values_match(digest: &str, values: &Table) -> bool {
    let Some((algorithm, _)) = digest.split_once(':') else { return false };
    let Ok(algorithm) = algorithm.parse() else { return false };
    values_digest(algorithm, values) == digest
}

/// The text that is hashed for values.
pub fn values_body(values: &Table) -> String {
    if values.is_empty() {
        return String::new();
    }
    sigs::to_yaml_bytewise(&Value::Object(values.clone()))
}

/// The digest of a release as Flux observes it, without its test hooks.
///
/// `oci_digest` is the digest of the chart's OCI artifact, when it came from a registry.
pub fn release_digest(algorithm: Algorithm, release: &Release, oci_digest: &str) -> String {
    algorithm.digest(release_body(release, oci_digest).as_bytes()).to_string()
}

/// The text that is hashed for a release.
pub fn release_body(release: &Release, oci_digest: &str) -> String {
    let mut out = ObjectWriter::new();
    out.text("name", &release.name);
    out.raw("version", &release.version.to_string());
    let mut info = ObjectWriter::new();
    release.info.write_known(&mut info);
    out.raw("info", &info.finish());
    let metadata = release.chart.as_ref().and_then(|chart| chart.metadata.as_ref());
    out.raw("chartMetadata", &metadata.map_or("{}".to_owned(), |metadata| metadata.to_json()));
    match release.config.as_ref().filter(|config| !config.is_empty()) {
        None => out.raw("config", "null"),
        Some(config) => out.value("config", &Value::Object(config.clone())),
    }
    out.text("manifest", &release.manifest);
    let hooks: Vec<String> =
        release.hooks.iter().filter(|hook| !hook.events.contains(&HookEvent::Test)).map(hook_json).collect();
    if hooks.is_empty() {
        out.raw("hooks", "null");
    } else {
        out.list("hooks", hooks.into_iter());
    }
    out.text("namespace", &release.namespace);
    out.text_unless_empty("ociDigest", oci_digest);
    let mut body = out.finish();
    body.push('\n');
    body
}

/// A release name that fits Helm's 53 characters: long ones end in a part of their hash.
pub fn shorten_release_name(name: &str) -> String {
    if name.len() <= 53 {
        return name.to_owned();
    }
    let digest = Algorithm::Sha256.digest(name.as_bytes());
    let mut end = 40;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", &name[..end], &digest.hex()[..12])
}
