//! Rules in CEL: any text compiles or is refused, and what compiles ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fluxide_apiserver::fuzzing::cel(bytes));
