//! YAML as the Go ecosystem reads and writes it.
//!
//! Three readers and writers of YAML meet in Kubernetes tooling, and their quirks are visible in what users see:
//!
//! - go-yaml v3 through kustomize's kyaml: a tree of [`Node`]s with comments and styles ([`parse`], [`encode`]);
//! - go-yaml v2 through `sigs.k8s.io/yaml`: YAML to JSON and back ([`sigs`]);
//! - kustomize's print of one resource, which passes through both ([`resource`]).
//!
//! Everything here is pure: bytes in, values or text out.

pub mod alias;
mod decode;
mod emit;
mod error;
mod json;
pub mod kio;
mod natural;
pub mod node;
pub mod number;
mod outline;
mod parse;
pub mod resolve;
pub mod resource;
mod select;
pub mod sigs;
pub mod stream;
mod syntax;
mod timestamp;
pub mod value;

pub use decode::decode;
pub use emit::{EncodeOptions, encode, encode_all};
pub use error::Error;
pub use json::{quote_json, to_json};
pub use node::{Kind, Node, Style};
pub use parse::{parse, parse_one};
pub use timestamp::Timestamp;
pub use value::Value;
