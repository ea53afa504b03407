//! Patterns of `.Files.Glob`: `*` within a directory, `**` across them, `?`, `[a-z]`, `[!a]`, `{a,b/c}`.

use crate::text::{decode_rune, runes};

/// A pattern.
#[derive(Debug)]
pub(super) struct Glob(Vec<Vec<Token>>);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Literal(char),
    /// Anything without a slash.
    Star,
    /// Anything.
    DoubleStar,
    /// One rune that is no slash.
    Question,
    /// One rune of a set of ranges, or none of them.
    Set {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

/// Alternatives multiply; no sane pattern has more.
const MAX_ALTERNATIVES: usize = 10_000;

impl Glob {
    /// Reads a pattern; `None` when it is malformed.
    pub(super) fn compile(pattern: &[u8]) -> Option<Glob> {
        let pattern: Vec<char> = runes(pattern).map(|(_, rune, _)| rune).collect();
        let mut at = 0;
        let alternatives = sequence(&pattern, &mut at, 0)?;
        (at == pattern.len()).then_some(Glob(alternatives))
    }

    /// Whether the pattern matches the whole path.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.0.iter().any(|tokens| matches(tokens, path))
    }
}

/// Tokens up to the end, or inside braces up to a comma or the closing brace, once for each choice of alternatives.
fn sequence(pattern: &[char], at: &mut usize, depth: usize) -> Option<Vec<Vec<Token>>> {
    let mut choices: Vec<Vec<Token>> = vec![Vec::new()];
    let push = |choices: &mut Vec<Vec<Token>>, token: Token| {
        choices.iter_mut().for_each(|choice| choice.push(token.clone()))
    };
    while let Some(rune) = pattern.get(*at) {
        *at += 1;
        match rune {
            '*' => {
                if pattern.get(*at) == Some(&'*') {
                    *at += 1;
                    push(&mut choices, Token::DoubleStar);
                } else {
                    push(&mut choices, Token::Star);
                }
            }
            '?' => push(&mut choices, Token::Question),
            '\\' => {
                // At the very end it stands for nothing.
                if let Some(escaped) = pattern.get(*at) {
                    *at += 1;
                    push(&mut choices, Token::Literal(*escaped));
                }
            }
            '[' => push(&mut choices, set(pattern, at)?),
            '{' if depth < 100 => {
                let mut branches = Vec::new();
                loop {
                    branches.extend(sequence(pattern, at, depth + 1)?);
                    // The end of the pattern closes every brace.
                    let Some(end) = pattern.get(*at) else { break };
                    *at += 1;
                    if *end == '}' {
                        break;
                    }
                }
                if choices.len().saturating_mul(branches.len()) > MAX_ALTERNATIVES {
                    return None;
                }
                choices = choices
                    .iter()
                    .flat_map(|choice| {
                        branches.iter().map(move |branch| [choice.as_slice(), branch].concat())
                    })
                    .collect();
            }
            '{' => return None,
            ',' | '}' if depth > 0 => {
                *at -= 1;
                return Some(choices);
            }
            other => push(&mut choices, Token::Literal(*other)),
        }
    }
    Some(choices)
}

/// What follows `[`: a list of runes, or one range.
fn set(pattern: &[char], at: &mut usize) -> Option<Token> {
    let negated = pattern.get(*at) == Some(&'!');
    if negated {
        *at += 1;
    }
    let mut items: Vec<(char, bool)> = Vec::new();
    loop {
        let rune = *pattern.get(*at)?;
        *at += 1;
        match rune {
            ']' if !items.is_empty() => break,
            ']' => return None,
            '\\' => {
                items.push((*pattern.get(*at)?, true));
                *at += 1;
            }
            rune => items.push((rune, false)),
        }
    }
    let ranges = match items.as_slice() {
        [(low, _), ('-', false), (high, _)] => {
            if low > high {
                return None;
            }
            vec![(*low, *high)]
        }
        // A range has one end, and nothing behind it.
        [_, ('-', false), ..] => return None,
        items => items.iter().map(|(rune, _)| (*rune, *rune)).collect(),
    };
    Some(Token::Set { ranges, negated })
}

/// Matches with the states of all positions at once, so that stars do not multiply the work.
fn matches(tokens: &[Token], path: &[u8]) -> bool {
    let mut active = vec![false; tokens.len() + 1];
    active[0] = true;
    let skip_stars = |active: &mut Vec<bool>| {
        for at in 0..tokens.len() {
            if active[at] && matches!(tokens[at], Token::Star | Token::DoubleStar) {
                active[at + 1] = true;
            }
        }
    };
    skip_stars(&mut active);
    let mut rest = path;
    while !rest.is_empty() {
        let (rune, width) = decode_rune(rest);
        rest = &rest[width..];
        let mut next = vec![false; tokens.len() + 1];
        for (at, token) in tokens.iter().enumerate() {
            if !active[at] {
                continue;
            }
            match token {
                Token::Literal(expected) => next[at + 1] |= rune == *expected,
                Token::Question => next[at + 1] |= rune != '/',
                Token::Star => next[at] |= rune != '/',
                Token::DoubleStar => next[at] = true,
                Token::Set { ranges, negated } => {
                    next[at + 1] |=
                        ranges.iter().any(|(low, high)| (*low..=*high).contains(&rune)) != *negated;
                }
            }
        }
        skip_stars(&mut next);
        active = next;
    }
    active[tokens.len()]
}
