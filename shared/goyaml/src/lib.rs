//! YAML as the Go ecosystem reads and writes it.
//!
//! Three readers and writers of YAML meet in Kubernetes tooling, and their quirks are visible in what users see:
//!
//! - go-yaml v3 through kustomize's kyaml: a tree of [`Node`]s with comments and styles ([`parse`], [`encode`]);
//! - go-yaml v2 through `sigs.k8s.io/yaml`: YAML to JSON and back;
//! - kustomize's print of one resource, which passes through both.
//!
//! Everything here is pure: bytes in, values or text out.

mod emit;
mod error;
mod natural;
pub mod node;
pub mod number;
mod parse;
pub mod resolve;
mod syntax;
mod timestamp;
pub mod value;

pub use emit::{EncodeOptions, encode, encode_all};
pub use error::Error;
pub use node::{Kind, Node, Style};
pub use parse::{parse, parse_one};
pub use timestamp::Timestamp;
pub use value::Value;
