//! The `image-automation-controller` binary.

fn main() {}
