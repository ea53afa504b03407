//! The `fluxide` binary.

fn main() {}
