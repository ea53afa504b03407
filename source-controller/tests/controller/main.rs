//! The controller against an API server and real Git servers: what it stores, and what it says about it.

mod bad_input;
mod behaviour;
mod faults;
#[path = "../../../shared/git/tests/support/mod.rs"]
mod git;
mod identities;
mod includes;
mod output;
mod process;
mod recorded;
mod restart;
mod takeover;
mod world;
