//! Semantic version constraints with the rules of the Go library Masterminds/semver.
