//! The vocabulary all API crates share: conditions, references, artifacts, history.

pub mod object;
