//! API types of helm.toolkit.fluxcd.io.
