//! Server-side apply in stages, drift, inventory, prune and health.
