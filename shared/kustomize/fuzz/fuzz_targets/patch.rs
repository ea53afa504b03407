//! Applies any patch to any resources: as a strategic merge patch, a JSON patch and a replacement.
//!
//! The input is the resources and, after a line `===`, the patch. Run with `cargo +nightly fuzz run patch` in the crate's
//! directory.

#![no_main]

use fluxide_kustomize::{MemoryFs, Options, build};
use libfuzzer_sys::fuzz_target;

const KUSTOMIZATIONS: [&str; 4] = [
    "resources: [r.yaml]\npatches: [{path: p.yaml}]\n",
    "resources: [r.yaml]\npatches: [{path: p.yaml, target: {kind: .*}, options: {allowNameChange: true}}]\n",
    "resources: [r.yaml]\npatchesStrategicMerge: [p.yaml]\n",
    "resources: [r.yaml]\nreplacements: [{path: p.yaml}]\n",
];

fuzz_target!(|bytes: &[u8]| {
    let separator = b"\n===\n";
    let Some(at) = bytes.windows(separator.len()).position(|window| window == separator) else { return };
    let (resources, patch) = (&bytes[..at], &bytes[at + separator.len()..]);
    for kustomization in KUSTOMIZATIONS {
        let fs = MemoryFs::new()
            .with("/a/kustomization.yaml", kustomization)
            .with("/a/r.yaml", resources)
            .with("/a/p.yaml", patch);
        let _ = build(&fs, "/a", &Options::kustomize()).and_then(|resources| resources.to_yaml());
    }
});
