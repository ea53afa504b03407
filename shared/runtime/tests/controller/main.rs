//! Controllers run by the manager, against an API server.

mod faults;
mod manager;
mod support;
