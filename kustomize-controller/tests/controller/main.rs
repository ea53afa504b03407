//! The controller against an API server: what it does to a cluster, and what it says about it.

mod apply;
mod decryption;
mod deletion;
mod failures;
mod fields;
mod gates;
mod health;
mod hostile;
mod lifecycle;
mod live;
mod never;
mod recorded;
mod requests;
mod world;
