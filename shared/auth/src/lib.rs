//! Identities at clouds and Git hosts.
//!
//! A controller that has no password for a service proves who it is in another way and gets a token that is good for a
//! while: as a GitHub App ([`github_app`]), or as a workload at [`azure`], [`aws`] or [`gcp`], with its own identity or with
//! that of a ServiceAccount ([`service_account`]). With the same identities it finds and enters
//! other clusters ([`cluster`]). [`TokenCache`] keeps tokens for most of their life.
//!
//! No program is ever started, and no token, key or assertion appears in an error or in `Debug`.

pub mod aws;
pub mod azure;
mod cache;
pub mod cluster;
mod environment;
mod error;
pub mod gcp;
pub mod github_app;
mod http;
pub mod jwt;
pub mod service_account;
pub mod sigv4;

pub use cache::{CacheEvents, CacheKey, TokenCache, Unobserved};
pub use environment::Environment;
pub use error::AuthError;
pub use http::{ClientSettings, send};

use std::fmt;
use std::time::SystemTime;

/// Something that proves an identity for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What to send.
    pub secret: String,
    /// When it ends.
    pub expires: SystemTime,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}
