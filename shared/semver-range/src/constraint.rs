//! Constraints: alternatives of comparators that all have to hold.

mod plain;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use fluxide_gotext::quote_str;
use regex::Regex;

use crate::version::{Version, compare_prerelease};

/// A constraint on versions, such as `>=1.2 <2 || ~3.1`.
#[derive(Clone, Debug)]
pub struct Constraint {
    groups: Vec<Group>,
}

/// Comparators joined by AND.
#[derive(Clone, Debug)]
struct Group {
    comparators: Vec<Comparator>,
    /// One of them names a pre-release, so pre-releases are considered at all.
    wants_prereleases: bool,
}

#[derive(Clone, Debug)]
struct Comparator {
    operator: &'static str,
    version: Version,
    original: String,
    /// A part is missing or a wildcard.
    partial: bool,
    minor_open: bool,
    patch_open: bool,
}

/// Why text is not a constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// It does not follow the grammar.
    #[error("improper constraint: {}", quote_str(.0))]
    Improper(String),
    /// A version in it is none.
    #[error("constraint parser error")]
    Version,
    /// Longer than 512 bytes.
    #[error("constraint string is too long (max {MAX_LENGTH} bytes)")]
    TooLong,
    /// More than 32 alternatives.
    #[error("too many constraint groups (max {MAX_GROUPS})")]
    TooManyGroups,
}

const MAX_LENGTH: usize = 512;
const MAX_GROUPS: usize = 32;

/// Longer operators before their prefixes.
const OPERATORS: [&str; 12] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^", ""];

const SPACE: &str = r"[\t\n\f\r ]";
const OPERAND: &str = r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*)?";

struct Grammar {
    /// `a - b`: both operands are whole groups.
    range: Regex,
    group: Regex,
    comparator: Regex,
}

static GRAMMAR: LazyLock<Option<Grammar>> = LazyLock::new(|| {
    let operators = OPERATORS.map(regex::escape).join("|");
    let comparator = format!("(?:{operators}){SPACE}*(?:{OPERAND})");
    Some(Grammar {
        range: Regex::new(&format!("{SPACE}*({OPERAND}){SPACE}+-{SPACE}+({OPERAND}){SPACE}*")).ok()?,
        group: Regex::new(&format!(
            "^{SPACE}*{comparator}{SPACE}*(?:(?:{SPACE}+|,{SPACE}*){comparator}{SPACE}*)*$"
        ))
        .ok()?,
        comparator: Regex::new(&format!("({operators}){SPACE}*({OPERAND})")).ok()?,
    })
});

/// Capture groups inside one operand.
const OPERAND_CAPTURES: usize = 5;

impl Constraint {
    /// Reads a constraint.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > MAX_LENGTH {
            return Err(ConstraintError::TooLong);
        }
        let text = rewrite_ranges(text)?;
        let alternatives: Vec<&str> = text.split("||").collect();
        if alternatives.len() > MAX_GROUPS {
            return Err(ConstraintError::TooManyGroups);
        }
        let mut groups = Vec::with_capacity(alternatives.len());
        for alternative in alternatives {
            let operands = match plain::read(alternative) {
                Some(operands) => operands,
                None => GRAMMAR
                    .as_ref()
                    .and_then(|grammar| grammar.read(alternative))
                    .ok_or_else(|| improper(alternative))?,
            };
            let comparators = operands.iter().map(Comparator::new).collect::<Result<Vec<_>, _>>()?;
            let wants_prereleases = comparators.iter().any(|c| !c.version.prerelease().is_empty());
            groups.push(Group { comparators, wants_prereleases });
        }
        Ok(Constraint { groups })
    }

    /// Whether a version fits.
    pub fn matches(&self, version: &Version) -> bool {
        self.groups
            .iter()
            .any(|group| group.comparators.iter().all(|c| c.check(version, group.wants_prereleases).is_ok()))
    }

    /// Whether a version fits, or what is against it: one sentence for each comparator that fails.
    pub fn validate(&self, version: &Version) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        let mut told_prerelease = false;
        for group in &self.groups {
            let mut fits = true;
            for comparator in &group.comparators {
                if !group.wants_prereleases && !version.prerelease().is_empty() {
                    fits = false;
                    if !told_prerelease {
                        reasons.push(prerelease_reason(version));
                        told_prerelease = true;
                    }
                } else if let Err(reason) = comparator.check(version, group.wants_prereleases) {
                    fits = false;
                    reasons.push(reason);
                }
            }
            if fits {
                return Ok(());
            }
        }
        Err(reasons)
    }
}

fn improper(text: &str) -> ConstraintError {
    ConstraintError::Improper(text.to_owned())
}

/// Writes `a - b` as `>= a, <= b`.
fn rewrite_ranges(text: &str) -> Result<Cow<'_, str>, ConstraintError> {
    let space = |byte: u8| byte.is_ascii_whitespace();
    if !text.as_bytes().windows(3).any(|three| three[1] == b'-' && space(three[0]) && space(three[2])) {
        return Ok(Cow::Borrowed(text));
    }
    let grammar = GRAMMAR.as_ref().ok_or_else(|| improper(text))?;
    let mut rewritten = text.to_owned();
    for captures in grammar.range.captures_iter(text) {
        let part = |index: usize| captures.get(index).map_or("", |m| m.as_str());
        let (low, high) = (part(1), part(2 + OPERAND_CAPTURES));
        rewritten = rewritten.replacen(part(0), &format!(">= {low}, <= {high} "), 1);
    }
    Ok(Cow::Owned(rewritten))
}

/// A comparator as it is written.
#[derive(Debug, PartialEq, Eq)]
struct Operand<'t> {
    operator: &'t str,
    /// All but the operator.
    original: &'t str,
    /// The first without a dot, the others with theirs, where they are there.
    numbers: [&'t str; 3],
    /// With its hyphen.
    prerelease: &'t str,
}

impl Grammar {
    /// The comparators of an alternative, if it is one.
    fn read<'t>(&self, alternative: &'t str) -> Option<Vec<Operand<'t>>> {
        let operand = |captures: regex::Captures<'t>| {
            let part = |index: usize| captures.get(index).map_or("", |m| m.as_str());
            Operand {
                operator: part(1),
                original: part(2),
                numbers: [part(3), part(4), part(5)],
                prerelease: part(6),
            }
        };
        let is_group = self.group.is_match(alternative);
        is_group.then(|| self.comparator.captures_iter(alternative).map(operand).collect())
    }
}

impl Comparator {
    fn new(operand: &Operand<'_>) -> Result<Self, ConstraintError> {
        let Operand { operator, original, numbers, prerelease: pre } = *operand;
        let open = |number: &str| matches!(number.trim_start_matches('.'), "" | "x" | "X" | "*");
        let [major, minor, patch] = numbers;
        let (mut minor_open, mut patch_open) = (false, false);
        let partial = open(major) || open(minor) || open(patch);
        let text = if open(major) {
            format!("0.0.0{pre}")
        } else if open(minor) {
            minor_open = true;
            format!("{major}.0.0{pre}")
        } else if open(patch) {
            patch_open = true;
            format!("{major}{minor}.0{pre}")
        } else {
            original.to_owned()
        };
        let version = Version::parse(&text).map_err(|_| ConstraintError::Version)?;
        let operator = OPERATORS.into_iter().find(|o| *o == operator).unwrap_or_default();
        Ok(Comparator { operator, version, original: original.to_owned(), partial, minor_open, patch_open })
    }

    fn check(&self, version: &Version, prereleases: bool) -> Result<(), String> {
        if !version.prerelease().is_empty() && !prereleases {
            return Err(prerelease_reason(version));
        }
        let fits = match self.operator {
            "" | "=" if self.partial => return self.check_tilde(version),
            "" | "=" => version == &self.version,
            "!=" => self.differs(version),
            ">" => self.is_below(version),
            "<" => version < &self.version,
            ">=" | "=>" => version >= &self.version,
            "<=" | "=<" => self.reaches(version),
            "^" => return self.check_caret(version),
            _ => return self.check_tilde(version),
        };
        if fits {
            return Ok(());
        }
        Err(self.reason(
            version,
            match self.operator {
                "" | "=" => "is not equal to",
                "!=" => "is equal to",
                ">" => "is less than or equal to",
                "<" => "is greater than or equal to",
                ">=" | "=>" => "is less than",
                _ => "is greater than",
            },
        ))
    }

    fn differs(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.partial {
            return version != own;
        }
        if own.major() != version.major() {
            return true;
        }
        if self.minor_open {
            return false;
        }
        if own.minor() != version.minor() {
            return true;
        }
        if self.patch_open {
            return compare_prerelease(version.prerelease(), own.prerelease()) != Ordering::Equal;
        }
        version != own
    }

    /// `>`: a missing part stands for the highest number there is.
    fn is_below(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.partial || version.major() != own.major() {
            return if self.partial { version.major() > own.major() } else { version > own };
        }
        if self.minor_open {
            return false;
        }
        if self.patch_open {
            return version.minor() > own.minor();
        }
        version > own
    }

    /// `<=`: a missing part stands for the highest number there is.
    fn reaches(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.partial {
            return version <= own;
        }
        match version.major().cmp(&own.major()) {
            Ordering::Greater => false,
            Ordering::Less => true,
            Ordering::Equal => self.minor_open || version.minor() <= own.minor(),
        }
    }

    fn check_tilde(&self, version: &Version) -> Result<(), String> {
        let own = &self.version;
        if version < own {
            return Err(self.reason(version, "is less than"));
        }
        let zero = own.major() == 0 && own.minor() == 0 && own.patch() == 0;
        if zero && !self.minor_open && !self.patch_open {
            return Ok(());
        }
        if version.major() != own.major() {
            return Err(self.reason(version, "does not have same major version as"));
        }
        if version.minor() != own.minor() && !self.minor_open {
            return Err(self.reason(version, "does not have same major and minor version as"));
        }
        Ok(())
    }

    fn check_caret(&self, version: &Version) -> Result<(), String> {
        let own = &self.version;
        if version < own {
            return Err(self.reason(version, "is less than"));
        }
        if own.major() > 0 || self.minor_open {
            if version.major() == own.major() {
                return Ok(());
            }
            return Err(self.reason(version, "does not have same major version as"));
        }
        if version.major() > 0 {
            return Err(self.reason(version, "does not have same major version as"));
        }
        if own.minor() > 0 || self.patch_open {
            if version.minor() == own.minor() {
                return Ok(());
            }
            let reason = self.reason(version, "does not have same minor version as");
            return Err(format!(
                "{reason}. Expected minor versions to match when constraint major version is 0"
            ));
        }
        if version.minor() > 0 {
            return Err(self.reason(version, "does not have same minor version as"));
        }
        if version.patch() == own.patch() {
            return Ok(());
        }
        let reason = self.reason(version, "does not equal");
        Err(format!("{reason}. Expect version and constraint to equal when major and minor versions are 0"))
    }

    fn reason(&self, version: &Version, relation: &str) -> String {
        format!("\"{version}\" {relation} {}", quote_str(&self.original))
    }
}

/// The normalised text: one space between comparators, ` || ` between alternatives.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                f.write_str(" || ")?;
            }
            for (index, comparator) in group.comparators.iter().enumerate() {
                let space = if index > 0 { " " } else { "" };
                write!(f, "{space}{}{}", comparator.operator, comparator.original)?;
            }
        }
        Ok(())
    }
}

fn prerelease_reason(version: &Version) -> String {
    format!("\"{version}\" is a prerelease version and the constraint is only looking for release versions")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_read_plainly_is_what_the_grammar_reads(
            text in "([ \t,]{0,2}(=|>=|=>|<|<=|!=|~|~>|\\^|v|)[ ]{0,2}(v?[0-9xX*]{1,2}(\\.[0-9x]{1,2}){0,3}(-[a-z0-9.-]{0,3})?(\\+[a-z0-9.]{0,2})?|[a-z|.-]?)){0,3}[ ,]{0,2}"
        ) {
            if let Some(operands) = plain::read(&text) {
                prop_assert_eq!(Some(operands), GRAMMAR.as_ref().unwrap().read(&text));
            }
        }
    }

    #[test]
    fn usual_constraints_are_read_plainly() {
        for text in ["1.2.3", ">=1.2 <2, !=1.5.x", " ^v1.0.0-alpha.1+b ", "*", "~> 2", ">= 1.19-0"] {
            assert!(plain::read(text).is_some(), "{text}");
        }
        for text in ["", ">", "1.2.", "1 ,, 2", "1.2.3.4", "1,", "1|2", "1-", "1+", "1-a..b"] {
            assert!(plain::read(text).is_none(), "{text}");
        }
    }
}
