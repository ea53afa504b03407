//! The controller against an API server: what goes in, what comes out, what it writes.

mod delivery;
mod events;
mod flux_webhooks;
mod hostile;
mod observed;
mod proxy;
mod queues;
mod tls;
mod webhooks;
mod world;
