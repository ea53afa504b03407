//! API types of `notification.toolkit.fluxcd.io`.
//!
//! The types describe the stored versions: v1beta3 of Alert and Provider, v1 of Receiver.
//! `v1beta2` of all three is served with the same schema.

pub mod alert;
pub mod provider;
pub mod receiver;
pub mod reference;

pub use alert::{Alert, AlertSpec};
pub use provider::{Provider, ProviderSpec, ProviderType};
pub use receiver::{Receiver, ReceiverSpec, ReceiverStatus, ReceiverType};
pub use reference::CrossNamespaceObjectReference;
