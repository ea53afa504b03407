//! API types of source.toolkit.fluxcd.io and source.extensions.fluxcd.io.
