//! The `kustomize-controller` binary.

fn main() {}
