//! The controller against an API server: what goes in, what comes out, what it writes.

mod delivery;
mod events;
mod queues;
mod webhooks;
mod world;
