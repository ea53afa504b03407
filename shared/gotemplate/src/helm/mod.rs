//! What Helm adds: its functions, the objects its charts see, and its wording of errors.

mod capabilities;
mod explain;
mod files;
mod functions;
mod glob;
mod include;
mod toml;
mod toml_read;
mod values;
mod yaml;

pub use capabilities::{Capabilities, HelmVersion, KubeVersion};
pub use explain::{execution_error_text, parse_error_text};
pub use files::{FILES, Files};
pub use functions::{Lookup, functions};
pub use include::strip_no_value;
pub use values::{VALUES, values};
pub use yaml::to_yaml;
