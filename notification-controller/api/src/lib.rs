//! API types of notification.toolkit.fluxcd.io.
