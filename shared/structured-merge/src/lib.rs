//! Server-side apply as pure functions: field sets, typed merges, managers and conflicts.
