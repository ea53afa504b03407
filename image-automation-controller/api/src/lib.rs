//! API types of image.toolkit.fluxcd.io.
