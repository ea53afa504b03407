//! Checks any values against any schema; both are JSON, parted by NUL.
//!
//! Run with `cargo +nightly fuzz run schema` in the crate's directory.

#![no_main]

use fluxide_helm::schema::{NoRemoteSchemas, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let schema = parts.next().unwrap_or_default();
    let values = parts.next().and_then(|values| serde_json::from_slice(values).ok());
    let _ = validate(schema, &values.unwrap_or_else(|| serde_json::json!({"a": [1, "x", null], "b": {"c": 1.5}})), &NoRemoteSchemas);
});
