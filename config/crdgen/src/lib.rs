//! Writes config/crd from the API types.
