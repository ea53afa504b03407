//! The `notification-controller` binary.

fn main() {}
