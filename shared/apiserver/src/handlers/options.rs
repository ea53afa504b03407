//! The options that a write takes from its query, validated as the server validates them.

use serde_json::json;

use super::Context;
use crate::api_error::{ApiError, ApiResult, FieldError};

/// The bytes that the name of a field manager may have.
const LONGEST_MANAGER: usize = 128;

/// Refuses options that no write of this kind may have; every wrong one is named.
pub(crate) fn validate(ctx: &Context) -> ApiResult<()> {
    let query = &ctx.request.query;
    let kind = match ctx.target.verb {
        "create" => "CreateOptions",
        "patch" => "PatchOptions",
        "update" => "UpdateOptions",
        _ => return Ok(()),
    };
    let mut errors = Vec::new();
    if kind == "PatchOptions" {
        let applies = super::decode::media_type(ctx).starts_with("application/apply-patch");
        if applies && query.text("fieldManager").is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
        if !applies && query.get("force").is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
    }
    errors.extend(check_manager("fieldManager", query.text("fieldManager")));
    match query.get("dryRun") {
        None | Some("" | "All") => {}
        Some(other) => errors.push(FieldError::not_supported("dryRun", json!([other]), &["All"])),
    }
    if !matches!(query.text("fieldValidation"), "" | "Ignore" | "Strict" | "Warn") {
        errors.push(FieldError::not_supported(
            "fieldValidation",
            query.text("fieldValidation"),
            &["", "Ignore", "Strict", "Warn"],
        ));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("meta.k8s.io", kind, "", errors)) }
}

/// What is wrong with the name of a field manager.
pub(crate) fn check_manager(field: &str, name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long(field, LONGEST_MANAGER));
    }
    for (position, character) in name.char_indices() {
        if character.is_control() || (character.is_whitespace() && character != ' ') {
            let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
            errors.push(FieldError::invalid(field, name, detail));
        }
    }
    errors
}
