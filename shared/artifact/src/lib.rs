//! Artifacts: store, deterministic archives, ignore rules, file server, verified fetch and cache.
//!
//! A source controller packs what it fetched into one immutable file and serves it; every other controller downloads
//! that file, checks its digest and unpacks it. This crate is both ends:
//!
//! - producing: [`ignore`] decides what goes in, [`archive`] packs it so that equal trees give equal bytes,
//!   [`store`] keeps the files on disk and [`server`] serves them;
//! - consuming: [`fetch`] downloads and verifies, [`unpack`] writes an archive to disk safely, and [`cache`] does both
//!   once for each digest and shares the result between reconcilers.

pub mod archive;
pub mod cache;
pub mod confined;
pub mod fetch;
pub mod ignore;
pub mod server;
pub mod store;
pub mod unpack;

pub use cache::{ArtifactCache, CacheOptions, UnpackedDir};
pub use fetch::{FetchError, Fetcher};
pub use fluxide_digest as digest;
pub use fluxide_digest::{Algorithm, Digest};
pub use store::{Store, StoreOptions, StoredFile};
