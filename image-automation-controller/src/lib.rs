//! Scans registries and writes new image tags to Git.
