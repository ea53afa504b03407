//! Patches that need no schema: JSON patch (RFC 6902) and JSON merge patch (RFC 7386).

pub(crate) mod json_patch;
pub(crate) mod merge_patch;
