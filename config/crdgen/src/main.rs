//! Writes `config/crd` from the API types.

fn main() {}
