//! `.helmignore`: which files of a chart's directory are no part of the chart.

use thiserror::Error;

use crate::file::{base_name, without_bom};
use crate::pattern::{self, BadPattern};

/// Why `.helmignore` cannot be used. The texts are Helm's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IgnoreError {
    /// A pattern has `**`.
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    /// A pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

/// The rules of a `.helmignore` file. The first rule that applies decides.
#[derive(Clone, Debug, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    /// `!`: what does **not** match is ignored, as in Helm.
    negated: bool,
    /// A trailing `/`: directories alone.
    directory: bool,
    /// A `/` at the start or within: the whole path is matched, else the last part.
    whole_path: bool,
}

impl IgnoreRules {
    /// Reads the file, and adds Helm's own rule for hidden files among the templates.
    pub fn parse(text: &[u8]) -> Result<IgnoreRules, IgnoreError> {
        let mut rules = IgnoreRules::default();
        for line in String::from_utf8_lossy(without_bom(text)).lines() {
            rules.add(line)?;
        }
        rules.add("templates/.?*")?;
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), IgnoreError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.contains("**") {
            return Err(IgnoreError::DoubleStar);
        }
        pattern::matches(line, "abc")?;
        let (negated, rule) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (directory, rule) = rule.strip_suffix('/').map_or((false, rule), |rest| (true, rest));
        let whole_path = rule.contains('/');
        let pattern = rule.strip_prefix('/').unwrap_or(rule).to_owned();
        self.rules.push(Rule { pattern, negated, directory, whole_path });
        Ok(())
    }

    /// Whether the file or directory at the path is left out of the chart.
    pub fn ignores(&self, path: &str, is_directory: bool) -> bool {
        if matches!(path, "" | "." | "./") {
            return false;
        }
        for rule in &self.rules {
            let subject = if rule.whole_path { path } else { base_name(path) };
            let matched = || pattern::matches(&rule.pattern, subject).unwrap_or(false);
            if rule.negated {
                if (rule.directory && !is_directory) || !matched() {
                    return true;
                }
            } else if (!rule.directory || is_directory) && matched() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules =
            IgnoreRules::parse(b"\xEF\xBB\xBF# c\n*.txt\n/root.md\na/b.yaml\n.git/\n docs/ \n").unwrap();
        for (path, directory, expected) in [
            ("x/y.txt", false, true),
            ("root.md", false, true),
            ("x/root.md", false, false),
            ("a/b.yaml", false, true),
            ("x/a/b.yaml", false, false),
            (".git", true, true),
            (".git", false, false),
            ("docs", true, true),
            ("templates/.hidden", false, true),
            ("templates/a", false, false),
        ] {
            assert_eq!(rules.ignores(path, directory), expected, "{path}");
        }
    }

    #[test]
    fn a_negated_rule_ignores_what_does_not_match() {
        let rules = IgnoreRules::parse(b"!keep.me\n").unwrap();
        assert!(rules.ignores("other", false));
        assert!(!rules.ignores("keep.me", false));
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert_eq!(IgnoreRules::parse(b"a/**/b").unwrap_err(), IgnoreError::DoubleStar);
        assert_eq!(IgnoreRules::parse(b"[").unwrap_err(), IgnoreError::Pattern(BadPattern));
    }
}
