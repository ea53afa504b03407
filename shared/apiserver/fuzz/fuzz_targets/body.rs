//! JSON and YAML bodies: any bytes are an object or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fluxide_apiserver::fuzzing::body(bytes));
