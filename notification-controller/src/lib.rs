//! Dispatches events and receives webhooks.
