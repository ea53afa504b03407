//! Lexes and parses any bytes as a template.
//!
//! Run with `cargo +nightly fuzz run parse` in the crate's directory.

#![no_main]

use fluxide_gotemplate::{MissingKey, Templates, helm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut templates = Templates::new("fuzz", helm::functions(), MissingKey::Zero);
    if let Err(error) = templates.parse("text", bytes) {
        let _ = helm::parse_error_text("text", &error);
    }
});
