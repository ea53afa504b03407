//! Builds Kustomizations from artifacts and applies them.
