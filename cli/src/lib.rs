//! The fluxide command: try, build, inspect and run a GitOps repository.
