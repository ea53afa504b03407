//! Fetches sources and publishes them as artifacts.
