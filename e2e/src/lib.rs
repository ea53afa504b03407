//! The harness of the end-to-end tests: a cluster, a Git server, and controllers, for one test each.
//!
//! The cluster is the embedded API server, or the one that `FLUXIDE_E2E_KUBECONFIG` names. Every test has a namespace of its own, and
//! its controllers watch that namespace only, so tests run side by side on one cluster.

pub mod cluster;
pub mod process;
pub mod repository;
pub mod sink;
pub mod wait;
pub mod world;

pub use cluster::Cluster;
pub use repository::Repository;
pub use sink::Sink;
pub use world::{Setup, World};
