//! Reads any bytes as a release record and as the manifests of one, and writes again what could be read.
//!
//! Run with `cargo +nightly fuzz run record` in the crate's directory.

#![no_main]

use fluxide_helm::digest::{release_digest, values_digest};
use fluxide_helm::manifest::{sort_manifests, split_manifests};
use fluxide_helm::release::Release;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(release) = Release::from_json(bytes) {
        let stored = release.encode();
        let again = Release::decode(stored.as_bytes()).expect("what was stored is read again");
        assert_eq!(again.to_json(), release.to_json());
        let _ = release_digest(Default::default(), &release, "");
        let _ = values_digest(Default::default(), &release.config.unwrap_or_default());
    }
    let _ = Release::decode(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = split_manifests(&text);
    let _ = sort_manifests([("c/templates/a.yaml".to_owned(), text.into_owned())]);
});
