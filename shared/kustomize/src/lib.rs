//! The kustomize build engine, byte for byte.
