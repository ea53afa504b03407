//! Git over HTTP and SSH in process: list references, fetch, check out, verify.
//!
//! No program is ever started, no configuration of a user or system is read, and nothing a repository says is run. The
//! protocol and the object formats are gitoxide's; what it lacks is here: HTTP with settings of its own for each
//! repository, SSH in process, sparse checkout and submodules.
//!
//! The main function is [`checkout`]: it resolves a [`Reference`], and unless that is what the caller has already,
//! fetches it and writes its files to a directory. [`checkout_local`] does the same with a repository on this machine.

mod checkout;
mod error;
mod http;
mod local;
mod objects;
mod reach;
mod reference;
mod remote;
mod session;
pub mod ssh;
mod submodule;
mod tree;
pub mod verify;

pub use checkout::{Checkout, CheckoutOptions, Limits, checkout, checkout_local};
pub use error::GitError;
pub use objects::{Commit, Signature, Tag};
pub use reference::Reference;
pub use remote::{Auth, ClientCertificate, Proxy, Remote, TlsSettings, percent_decode};
