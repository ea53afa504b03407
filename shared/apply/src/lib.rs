//! Brings the objects of a cluster to a declared state and keeps them there: objects are applied
//! server-side in stages, only when they drifted, remembered in an inventory, pruned when they are
//! no longer declared, and watched until healthy.
//!
//! Deciding is kept apart from doing. The modules [`object`], [`order`], [`inventory`],
//! [`metadata`], [`managed_fields`], [`drift`] and [`kstatus`] are plain functions on plain data;
//! [`cluster`], [`apply`], [`preview`], [`prune`], [`wait`], [`follow`] and [`live`] talk to an API
//! server.

pub mod apply;
pub mod cluster;
pub mod drift;
pub mod follow;
pub mod health;
pub mod ignore;
pub mod inventory;
pub mod known_kinds;
pub mod kstatus;
pub mod live;
pub mod managed_fields;
pub mod memory;
pub mod metadata;
pub mod normalize;
pub mod object;
pub mod order;
pub mod preview;
pub mod prune;
pub mod selector;
pub mod wait;

pub use inventory::{Entry, ObjectId};
pub use object::Object;
