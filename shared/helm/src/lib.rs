//! The Helm chart engine: charts, values, rendering, hooks, release records.
