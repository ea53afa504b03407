//! Builds any tree of files in both modes: no panic, no output that depends on anything but the input.
//!
//! The input is text; a line `=== PATH` begins a file. Run with `cargo +nightly fuzz run overlay` in the crate's directory.

#![no_main]

use fluxide_kustomize::{Limits, MemoryFs, Options, build};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut fs = MemoryFs::new();
    let (mut path, mut content) = (b"kustomization.yaml".to_vec(), Vec::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"=== ") {
            Some(next) => {
                fs.insert(&format!("/app/{}", String::from_utf8_lossy(&path)), std::mem::take(&mut content));
                path = next.trim_ascii().to_vec();
            }
            None => content.extend_from_slice(line),
        }
    }
    fs.insert(&format!("/app/{}", String::from_utf8_lossy(&path)), content);
    for mut options in [Options::kustomize(), Options::flux()] {
        options.limits = Limits { file_bytes: 1 << 16, total_bytes: 1 << 18, depth: 8, resources: 1_000 };
        let run = || build(&fs, "/app", &options).and_then(|resources| resources.to_yaml()).map_err(|e| e.to_string());
        assert_eq!(run(), run());
    }
});
