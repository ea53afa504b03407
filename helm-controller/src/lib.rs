//! Installs and upgrades Helm releases.
