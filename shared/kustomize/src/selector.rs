//! Selecting resources: by regular expressions on their ids, by labels and by annotations.

use crate::id::{Gvk, ResourceId};
use crate::kustomization::Selector;
use crate::resource::Resource;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use thiserror::Error;

/// How large a compiled expression may become.
const REGEX_BYTES: usize = 1 << 20;

/// Why a selector cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SelectorError {
    /// A regular expression is invalid.
    #[error("error parsing regexp: {problem}: `{pattern}`")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// A label or annotation selector is invalid.
    #[error("unable to parse requirement: {0}")]
    Labels(String),
}

/// Compiles an expression of Go's syntax, within bounds.
pub(crate) fn compile(pattern: &str) -> Result<Regex, SelectorError> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build().map_err(|err| {
        let problem = match &err {
            regex::Error::CompiledTooBig(_) => "expression is too large".to_owned(),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        };
        SelectorError::Regex { pattern: pattern.to_owned(), problem }
    })
}

/// A [`Selector`] ready for use.
pub(crate) struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: LabelSelector,
    annotations: LabelSelector,
    has_id: bool,
}

impl Matcher {
    pub(crate) fn new(selector: &Selector) -> Result<Matcher, SelectorError> {
        let parts = [&selector.group, &selector.version, &selector.kind, &selector.name, &selector.namespace];
        Ok(Matcher {
            group: Pattern::new(&selector.group)?,
            version: Pattern::new(&selector.version)?,
            kind: Pattern::new(&selector.kind)?,
            name: Pattern::new(&selector.name)?,
            namespace: Pattern::new(&selector.namespace)?,
            labels: LabelSelector::parse(&selector.label_selector)?,
            annotations: LabelSelector::parse(&selector.annotation_selector)?,
            has_id: parts.iter().any(|part| !part.is_empty()),
        })
    }

    /// Whether a patch with this target is for the resource.
    pub(crate) fn selects(&self, resource: &Resource) -> bool {
        let original = resource.original_id();
        (self.namespace.matches(original.effective_namespace())
            || self.namespace.matches(resource.effective_namespace()))
            && (self.name.matches(&original.name) || self.name.matches(resource.name()))
            && self.matches_gvk(&resource.gvk())
            && self.matches_labels(resource)
    }

    /// Whether an id fits, its namespace taken as it is written.
    pub(crate) fn matches_id(&self, id: &ResourceId) -> bool {
        self.matches_gvk(&id.gvk) && self.name.matches(&id.name) && self.namespace.matches(&id.namespace)
    }

    /// Whether labels and annotations fit.
    pub(crate) fn matches_labels(&self, resource: &Resource) -> bool {
        (self.labels.is_empty() || self.labels.matches(&resource.labels()))
            && (self.annotations.is_empty() || self.annotations.matches(&resource.annotations()))
    }

    /// Whether the selector says anything about ids.
    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    /// Whether the selector says anything about labels or annotations.
    pub(crate) fn has_labels(&self) -> bool {
        !self.labels.is_empty() || !self.annotations.is_empty()
    }

    fn matches_gvk(&self, gvk: &Gvk) -> bool {
        self.group.matches(&gvk.group) && self.version.matches(&gvk.version) && self.kind.matches(&gvk.kind)
    }
}

/// An anchored expression; most are plain names, which need no automaton.
enum Pattern {
    Any,
    Text(String),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, SelectorError> {
        if text.is_empty() {
            return Ok(Pattern::Any);
        }
        if text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'/')
        {
            return Ok(Pattern::Text(text.to_owned()));
        }
        compile(text)?;
        compile(&format!("^(?:{text})$")).map(Pattern::Regex)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(wanted) => wanted == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A Kubernetes label selector: requirements that must all hold.
struct LabelSelector(Vec<Requirement>);

struct Requirement {
    key: String,
    operator: Operator,
}

enum Operator {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl LabelSelector {
    fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        if parser.peek().is_none() {
            return Ok(LabelSelector(requirements));
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.next() {
                None => return Ok(LabelSelector(requirements)),
                Some(Token::Comma) => {}
                Some(other) => return Err(unexpected(&other.text(), "',' or 'end of string'")),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Above(bound) => number(value).is_some_and(|value| value > *bound),
                Operator::Below(bound) => number(value).is_some_and(|value| value < *bound),
            }
        })
    }
}

fn number(value: Option<&String>) -> Option<i64> {
    value?.parse().ok()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equal,
    DoubleEqual,
    NotEqual,
    Above,
    Below,
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Word(word) => word.clone(),
            Token::Comma => ",".into(),
            Token::Open => "(".into(),
            Token::Close => ")".into(),
            Token::Not => "!".into(),
            Token::Equal => "=".into(),
            Token::DoubleEqual => "==".into(),
            Token::NotEqual => "!=".into(),
            Token::Above => ">".into(),
            Token::Below => "<".into(),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Above,
            '<' => Token::Below,
            '=' if chars.next_if_eq(&'=').is_some() => Token::DoubleEqual,
            '=' => Token::Equal,
            '!' if chars.next_if_eq(&'=').is_some() => Token::NotEqual,
            '!' => Token::Not,
            other => {
                let mut word = String::from(other);
                while let Some(c) = chars.next_if(|c| !" \t\r\n,()><=!".contains(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
        };
        tokens.push(token);
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next();
        let negated = token == Some(Token::Not);
        if negated {
            token = self.next();
        }
        let key = match token {
            Some(Token::Word(key)) => key,
            other => return Err(unexpected(&shown(other), "!, identifier, or 'end of string'")),
        };
        if negated {
            return Ok(Requirement { key, operator: Operator::Missing });
        }
        let operator = match self.peek().cloned() {
            None | Some(Token::Comma) => Operator::Exists,
            Some(Token::Equal | Token::DoubleEqual) => {
                self.at += 1;
                Operator::In(vec![self.value()])
            }
            Some(Token::NotEqual) => {
                self.at += 1;
                Operator::NotIn(vec![self.value()])
            }
            Some(Token::Above) => {
                self.at += 1;
                Operator::Above(self.bound()?)
            }
            Some(Token::Below) => {
                self.at += 1;
                Operator::Below(self.bound()?)
            }
            Some(Token::Word(word)) if word == "in" => {
                self.at += 1;
                Operator::In(self.values()?)
            }
            Some(Token::Word(word)) if word == "notin" => {
                self.at += 1;
                Operator::NotIn(self.values()?)
            }
            Some(other) => {
                return Err(unexpected(&other.text(), "in, notin, =, ==, !=, gt, lt"));
            }
        };
        Ok(Requirement { key, operator })
    }

    /// A value, empty before a comma or the end.
    fn value(&mut self) -> String {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                word
            }
            _ => String::new(),
        }
    }

    fn bound(&mut self) -> Result<i64, SelectorError> {
        let value = self.value();
        value.parse().map_err(|_| {
            SelectorError::Labels(format!(
                "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            Some(Token::Open) => {}
            other => return Err(unexpected(&shown(other), "'('")),
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(values),
                other => return Err(unexpected(&shown(other), "',' or ')'")),
            }
        }
    }
}

fn shown(token: Option<Token>) -> String {
    token.map(|token| token.text()).unwrap_or_default()
}

fn unexpected(found: &str, expected: &str) -> SelectorError {
    SelectorError::Labels(format!("found '{found}', expected: {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, expected: bool) {
        let labels = [("app", "web"), ("tier", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(LabelSelector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
    }

    #[test]
    fn matches_labels() {
        check("", true);
        check("app=web", true);
        check("app==web,tier", true);
        check("app!=web", false);
        check("!missing, app in (db, web)", true);
        check("app notin (web)", false);
        check("missing notin (web)", true);
        check("tier>2,tier<4", true);
        check("app=", false);
    }

    #[test]
    fn refuses_what_is_no_selector() {
        for text in ["=x", "a b", "a in x", "a in (x", "a>b", ","] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn anchors_expressions_and_bounds_them() {
        assert!(Pattern::new("web.*").unwrap().matches("web-1"));
        assert!(!Pattern::new("a|b").unwrap().matches("ab"));
        assert!(Pattern::new("(?=x)").is_err());
        assert!(Pattern::new("((a{100}){100}){100}").is_err());
    }
}
