//! Reads any bytes as values and as a line of `--set`, and merges what is read.
//!
//! Run with `cargo +nightly fuzz run values` in the crate's directory.

#![no_main]

use fluxide_helm::strvals;
use fluxide_helm::values::{Table, merge, read_values};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut values = Table::new();
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (line, yaml) = text.split_once('\0').unwrap_or((text, text));
        let _ = strvals::set(line, &mut values);
        let _ = strvals::set_string(line, &mut values);
        let _ = strvals::set_json(line, &mut values);
        let _ = strvals::set_literal(line, &mut values);
        if let Ok(table) = read_values(yaml.as_bytes()) {
            merge(&mut values, table);
        }
    }
});
