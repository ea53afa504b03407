//! Artifacts: store, deterministic archives, ignore rules, file server, verified fetch and cache.
