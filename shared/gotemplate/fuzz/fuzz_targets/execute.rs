//! Executes any bytes as a template, within limits that keep one run short.
//!
//! Run with `cargo +nightly fuzz run execute` in the crate's directory.

#![no_main]

use fluxide_gotemplate::{Limits, Map, MissingKey, Session, Templates, Value, helm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut templates = Templates::new("fuzz", helm::functions(), MissingKey::Zero);
    if templates.parse("text", bytes).is_err() {
        return;
    }
    let values = Map::new();
    values.insert("s", Value::from("text"));
    values.insert("f", Value::from(1.5));
    values.insert("l", Value::from(vec![Value::from("a"), Value::from(2.0), Value::Nil]));
    values.insert("m", Value::Map([("k".into(), Value::from(true))].into_iter().collect()));
    let data = Map::new();
    data.insert("Values", helm::values(&values));
    let limits = Limits { steps: 100_000, output: 1 << 20, memory: 16 << 20, depth: 2000 };
    let mut session = Session::new(limits).with_seed(1);
    if let Err(error) = templates.execute("text", &Value::Map(data), &mut session) {
        let _ = helm::execution_error_text("text", &error);
    }
});
