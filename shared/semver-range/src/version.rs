//! Versions: three readings of their text, and their order.

use std::cmp::Ordering;
use std::fmt;

/// A semantic version that remembers how it was written.
///
/// Equality and order ignore build metadata and spelling: `v1.0` equals `1.0.0+a`.
#[derive(Clone, Debug)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    pre: String,
    metadata: String,
    original: String,
}

/// Why text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// It does not look like one at all.
    #[error("invalid semantic version")]
    Invalid,
    /// Nothing was given.
    #[error("version string empty")]
    Empty,
    /// Something else than digits where a number belongs.
    #[error("invalid characters in version")]
    InvalidCharacters,
    /// A number with a leading zero.
    #[error("version segment starts with 0")]
    LeadingZero,
    /// A pre-release with empty parts or foreign characters.
    #[error("invalid prerelease string")]
    InvalidPrerelease,
    /// Build metadata with empty parts or foreign characters.
    #[error("invalid metadata string")]
    InvalidMetadata,
    /// A part that has to be a number is missing.
    #[error("strconv.ParseUint: parsing \"\": invalid syntax")]
    EmptySegment,
    /// A number beyond 64 bits.
    #[error("{}strconv.ParseUint: parsing \"{segment}\": value out of range", if *.strict { "" } else { "error parsing version segment: " })]
    OutOfRange {
        /// The number.
        segment: String,
        /// Whether it was read strictly.
        strict: bool,
    },
    /// Longer than any version.
    #[error("version string is too long (max {MAX_LENGTH} bytes)")]
    TooLong,
}

/// The longest text that can be a version.
const MAX_LENGTH: usize = 256;

impl Version {
    /// Reads a version loosely: an optional `v`, one to three numbers, leading zeros forgiven.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong);
        }
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = match rest.split_once('+') {
            Some((rest, metadata)) => (rest, Some(metadata)),
            None => (rest, None),
        };
        let (numbers, pre) = match rest.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (rest, None),
        };
        for identifiers in [pre, metadata].into_iter().flatten() {
            if !identifiers.split('.').all(is_identifier) {
                return Err(VersionError::Invalid);
            }
        }
        let mut segments = [0; 3];
        for (index, segment) in numbers.split('.').enumerate() {
            let place =
                segments.get_mut(index).filter(|_| is_number(segment)).ok_or(VersionError::Invalid)?;
            *place = number(segment, false)?;
        }
        let pre = pre.unwrap_or_default();
        check_prerelease(pre)?;
        let [major, minor, patch] = segments;
        Ok(Version {
            major,
            minor,
            patch,
            pre: pre.to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// Reads a version by the letter of the specification: three numbers, no `v`, no leading zeros.
    pub fn parse_strict(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VersionError::Invalid);
        };
        let (rest, metadata) = match rest.split_once('+') {
            Some((rest, metadata)) => {
                if !metadata.split('.').all(is_identifier) {
                    return Err(VersionError::InvalidMetadata);
                }
                (rest, metadata)
            }
            None => (rest, ""),
        };
        let (patch, pre) = match rest.split_once('-') {
            Some((patch, pre)) => {
                if !pre.split('.').all(is_identifier) {
                    return Err(VersionError::InvalidPrerelease);
                }
                check_prerelease(pre)?;
                (patch, pre)
            }
            None => (rest, ""),
        };
        let segments = [major, minor, patch];
        for segment in segments {
            if !segment.bytes().all(|b| b.is_ascii_digit()) {
                return Err(VersionError::InvalidCharacters);
            }
            if segment.len() > 1 && segment.starts_with('0') {
                return Err(VersionError::LeadingZero);
            }
        }
        let mut numbers = [0; 3];
        for (value, segment) in numbers.iter_mut().zip(segments) {
            if segment.is_empty() {
                return Err(VersionError::EmptySegment);
            }
            *value = number(segment, true)?;
        }
        let [major, minor, patch] = numbers;
        Ok(Version {
            major,
            minor,
            patch,
            pre: pre.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Reads the version in a tag: loosely, but all three numbers have to be there.
    pub fn parse_tag(text: &str) -> Result<Self, VersionError> {
        if text.splitn(3, '.').count() != 3 {
            return Err(VersionError::Invalid);
        }
        Self::parse(text)
    }

    /// The first number.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// The second number.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The third number.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// The pre-release, without its hyphen; empty for a release.
    pub fn prerelease(&self) -> &str {
        &self.pre
    }

    /// The build metadata, without its plus sign.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The text it was read from.
    pub fn original(&self) -> &str {
        &self.original
    }
}

/// The canonical form: no `v`, three numbers.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| compare_prerelease(&self.pre, &other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// The order of two pre-releases; none at all comes last.
pub(crate) fn compare_prerelease(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => compare_identifier(a, b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers by value and before words. What does not fit 64 bits counts as a word.
fn compare_identifier(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(segment: &str, strict: bool) -> Result<u64, VersionError> {
    segment.parse().map_err(|_| VersionError::OutOfRange { segment: segment.to_owned(), strict })
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_prerelease(pre: &str) -> Result<(), VersionError> {
    let leading_zero = |part: &str| part.len() > 1 && part.starts_with('0') && is_number(part);
    if pre.split('.').any(leading_zero) {
        return Err(VersionError::LeadingZero);
    }
    Ok(())
}
