//! An embedded Kubernetes API server for trying, testing and dry runs.
