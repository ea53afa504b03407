//! YAML as the Go ecosystem reads and writes it.
