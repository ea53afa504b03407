//! An embedded Kubernetes API server for trying, testing and dry runs.
//!
//! [`Server`] builds and starts it on the loopback interface; any Kubernetes client takes it for a real one. It knows
//! Kubernetes and nothing of what runs on it. It is not for production: one process, one store, no replication.

mod admission;
pub mod api_error;
mod auth;
mod cel;
mod clock;
pub mod command;
mod controllers;
mod core;
mod crd;
mod defaulting;
mod discovery;
mod faults;
#[doc(hidden)]
pub mod fuzzing;
mod go_value;
mod handlers;
mod kinds;
mod object;
mod openapi;
mod output;
mod patching;
mod pod_logs;
mod protobuf;
mod registry;
mod request;
mod request_log;
mod schema;
mod seed;
mod selectors;
mod server;
mod store;
mod strategy;
mod typing;
mod validation;
mod versions;

pub use clock::Clock;
pub use faults::{Fault, FaultRule, Faults};
pub use request_log::{RequestKey, RequestLog};
pub use server::{RunningServer, Server, ServerBuilder, ServerError};
