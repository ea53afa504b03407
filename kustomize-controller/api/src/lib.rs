//! API types of kustomize.toolkit.fluxcd.io.
