//! Semantic version constraints with the rules of the Go library Masterminds/semver.
//!
//! They are not those of Cargo or npm: `1.2` means `~1.2`, `>11` starts at 12, a pre-release matches only when a comparator
//! of its group names one, and leading zeros are forgiven. Charts, image policies and Git sources are written against
//! them.
//!
//! ```
//! use fluxide_semver_range::{Constraint, Version};
//! let constraint = Constraint::parse(">=1.0 <2.0 || ^3")?;
//! assert!(constraint.matches(&Version::parse("v1.4")?));
//! assert!(!constraint.matches(&Version::parse("2.0.0")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod constraint;
mod version;

pub use constraint::{Constraint, ConstraintError};
pub use version::{Version, VersionError};
