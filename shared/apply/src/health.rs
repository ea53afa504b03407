//! Health rules that users write as expressions.

use std::collections::HashMap;

use serde_json::Value;

use crate::known_kinds;
use crate::kstatus::{Status, Verdict};
use crate::object::{Object, split_api_version};
use fluxide_cel::{self as cel, Expression};

/// The expressions of one rule, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleText {
    /// `apiVersion` of the objects; its group counts.
    pub api_version: String,
    /// Kind of the objects; every kind of the group when empty.
    pub kind: String,
    /// For which objects of any kind the rule is, instead of for a kind or group; empty in rules of
    /// users.
    pub when: String,
    /// True while an object is not yet where it should be.
    pub in_progress: String,
    /// True when an object has failed.
    pub failed: String,
    /// True when an object is healthy.
    pub current: String,
}

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two rules are for the same objects.
    #[error("duplicate custom health check for GroupKind {group_kind} at healthchecks[{index}]")]
    Duplicate {
        /// Which objects.
        group_kind: String,
        /// Position of the second rule.
        index: usize,
    },
    /// An expression is not CEL.
    #[error(
        "failed to create custom status evaluator for healthchecks[{index}]: failed to parse the expression {which}: {source}"
    )]
    Expression {
        /// Position of the rule.
        index: usize,
        /// Which of its expressions.
        which: &'static str,
        /// What is wrong with it.
        source: cel::Error,
    },
    /// A rule without its one required expression.
    #[error(
        "failed to create custom status evaluator for healthchecks[{index}]: expression Current not specified"
    )]
    NoCurrent {
        /// Position of the rule.
        index: usize,
    },
}

/// One parsed rule.
pub struct Rule {
    /// Evaluates with empty maps where spec and status are missing.
    fills_gaps: bool,
    in_progress: Option<Expression>,
    failed: Option<Expression>,
    current: Expression,
}

impl Rule {
    /// Judges an object.
    pub fn judge(&self, object: &Object) -> Result<Verdict, cel::Error> {
        let integer = |path: &str, field: &str| object.fields().get(path)?.get(field)?.as_i64();
        if let (Some(observed), Some(generation)) =
            (integer("status", "observedGeneration"), integer("metadata", "generation"))
            && observed != generation
        {
            return Ok(verdict(Status::InProgress));
        }
        let filled = self.fills_gaps.then(|| known_kinds::with_spec_and_status(object.fields()));
        let fields = filled.as_ref().unwrap_or(object.fields());
        let checks = [
            (self.in_progress.as_ref(), Status::InProgress),
            (self.failed.as_ref(), Status::Failed),
            (Some(&self.current), Status::Current),
        ];
        for (expression, status) in checks {
            if let Some(expression) = expression
                && expression.evaluate_bool(fields)?
            {
                return Ok(verdict(status));
            }
        }
        Ok(verdict(Status::InProgress))
    }
}

fn verdict(status: Status) -> Verdict {
    Verdict { status, message: String::new() }
}

/// Rules by the kinds they are for.
#[derive(Default)]
pub struct Rules {
    by_kind: HashMap<(String, String), Rule>,
    /// Rules for whatever objects their expression is true.
    by_content: Vec<(Expression, Rule)>,
}

impl Rules {
    /// Parses rules. Types are not checked: objects can be anything.
    pub fn parse(texts: &[RuleText]) -> Result<Self, Error> {
        Self::parse_all(texts, false)
    }

    /// Parses rules that come with the program: in their expressions spec and status are never
    /// missing.
    pub fn known(texts: &[RuleText]) -> Result<Self, Error> {
        Self::parse_all(texts, true)
    }

    fn parse_all(texts: &[RuleText], fills_gaps: bool) -> Result<Self, Error> {
        let mut rules = Self::default();
        for (index, text) in texts.iter().enumerate() {
            let rule = parse_rule(text, index, fills_gaps)?;
            if !text.when.is_empty() {
                let when = Expression::parse(&text.when);
                let when = when.map_err(|source| Error::Expression { index, which: "When", source })?;
                rules.by_content.push((when, rule));
                continue;
            }
            let group = split_api_version(&text.api_version).0.to_owned();
            let key = (group, text.kind.clone());
            if rules.by_kind.contains_key(&key) {
                let group_kind = if key.0.is_empty() { key.1 } else { format!("{}.{}", key.1, key.0) };
                return Err(Error::Duplicate { group_kind, index });
            }
            rules.by_kind.insert(key, rule);
        }
        Ok(rules)
    }

    /// The rule for an object: that of its kind, or of its whole group.
    pub fn find(&self, object: &Object) -> Option<&Rule> {
        let key = |kind: &str| (object.group().to_owned(), kind.to_owned());
        let by_kind = self.by_kind.get(&key(object.kind())).or_else(|| self.by_kind.get(&key("")));
        by_kind.or_else(|| self.find_by_content(object))
    }

    fn find_by_content(&self, object: &Object) -> Option<&Rule> {
        if self.by_content.is_empty() {
            return None;
        }
        let fields = known_kinds::with_spec_and_status(object.fields());
        let fits = |when: &Expression| when.evaluate_bool(&fields).unwrap_or(false);
        self.by_content.iter().find(|(when, _)| fits(when)).map(|(_, rule)| rule)
    }
}

fn parse_rule(text: &RuleText, index: usize, fills_gaps: bool) -> Result<Rule, Error> {
    let parse = |which, text: &str| {
        Expression::parse(text).map_err(|source| Error::Expression { index, which, source })
    };
    let optional = |which, text: &str| if text.is_empty() { Ok(None) } else { parse(which, text).map(Some) };
    if text.current.is_empty() {
        return Err(Error::NoCurrent { index });
    }
    let current = parse("Current", &text.current)?;
    let in_progress = optional("InProgress", &text.in_progress)?;
    let failed = optional("Failed", &text.failed)?;
    Ok(Rule { fills_gaps, in_progress, failed, current })
}

/// True when `dep` is ready for `own`, by an expression that was parsed for these names.
pub fn is_ready(expression: &Expression, own: Value, dependency: Value) -> Result<bool, cel::Error> {
    let variables = [("self".to_owned(), own), ("dep".to_owned(), dependency)].into_iter().collect();
    expression.evaluate_bool_with_doubles(&variables)
}
