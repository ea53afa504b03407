//! Names of releases: which are allowed, and how they are made of templates.

use fluxide_gotemplate::{Limits, MissingKey, Session, Templates, Value, sprig};
use jiff::Timestamp;
use thiserror::Error;

/// The name of a release is not allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReleaseNameError {
    /// There is none.
    #[error("release name \"\": no name provided")]
    Missing,
    /// It is too long, or has characters that it must not have.
    #[error(
        "release name {}: invalid release name, must match regex \
         ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53",
        fluxide_gotext::quote_str(.0)
    )]
    Invalid(String),
}

/// Checks the name of a release: DNS labels joined by dots, 53 bytes at most.
pub fn check_release_name(name: &str) -> Result<(), ReleaseNameError> {
    if name.is_empty() {
        return Err(ReleaseNameError::Missing);
    }
    if name.len() <= 53 && is_subdomain(name) {
        return Ok(());
    }
    Err(ReleaseNameError::Invalid(name.to_owned()))
}

/// Whether a text is DNS labels joined by dots (RFC 1123), however long.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Whether a text is a DNS label (RFC 1123), however long.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|&byte| inner(byte))
        && bytes.last().is_some_and(|&byte| inner(byte))
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
}

/// The name that a template makes, as `helm --name-template` has it. The error is Go's text.
///
/// ```
/// let now = "2026-01-01T00:00:00Z".parse()?;
/// assert_eq!(fluxide_helm::name_from_template("{{ lower \"WEB\" }}-1", now)?, "web-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn name_from_template(template: &str, now: Timestamp) -> Result<String, String> {
    let mut templates = Templates::new("name-template", sprig::functions(), MissingKey::Invalid);
    templates.parse("name-template", template).map_err(|error| error.to_string())?;
    let mut session = Session::new(Limits::default()).at(now);
    let name = templates.execute("name-template", &Value::Nil, &mut session);
    let name = name.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}
