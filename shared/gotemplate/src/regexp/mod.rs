//! Go's `regexp` on top of the crate `regex`: Go's syntax and error texts, its splitting and its replacement templates.

mod class;
mod syntax;

use regex::bytes::{Regex, RegexBuilder};

use crate::text::decode_rune;
use fluxide_gotext::unicode::{is_digit, is_letter};
use fluxide_gotext::{can_backquote, quote};

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Regexp {
    regex: Regex,
    names: Vec<String>,
    /// The expression is the empty text.
    is_empty: bool,
}

/// Byte offsets of the groups of a match, group 0 being the whole.
pub(crate) type Groups = Vec<Option<(usize, usize)>>;

const SIZE_LIMIT: usize = 16 << 20;

impl Regexp {
    /// `regexp.Compile`; the error is Go's text.
    pub(crate) fn compile(pattern: &[u8]) -> Result<Regexp, String> {
        let translated =
            syntax::translate(pattern).map_err(|error| format!("error parsing regexp: {error}"))?;
        let regex = stacker::maybe_grow(8 << 20, 16 << 20, || {
            RegexBuilder::new(&translated.pattern)
                .size_limit(SIZE_LIMIT)
                .dfa_size_limit(SIZE_LIMIT)
                .nest_limit(10_000)
                .build()
        })
        .map_err(|_| {
            format!("error parsing regexp: expression too large: `{}`", String::from_utf8_lossy(pattern))
        })?;
        Ok(Regexp { regex, names: translated.names, is_empty: pattern.is_empty() })
    }

    /// `regexp.MustCompile`; the error is the text it panics with.
    pub(crate) fn must_compile(pattern: &[u8]) -> Result<Regexp, String> {
        Regexp::compile(pattern).map_err(|error| {
            let shown = if can_backquote(pattern) {
                format!("`{}`", String::from_utf8_lossy(pattern))
            } else {
                String::from_utf8_lossy(&quote(pattern)).into_owned()
            };
            format!("regexp: Compile({shown}): {error}")
        })
    }

    /// The names of the groups, empty for those without.
    #[cfg(test)]
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The first match.
    pub(crate) fn find<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.regex.find(text).map(|found| found.as_bytes())
    }

    /// The groups of each match, at most `limit` of them when it is not negative.
    pub(crate) fn find_all(&self, text: &[u8], limit: i64) -> Vec<Groups> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.regex
            .captures_iter(text)
            .filter(|captures| captures.get(0).is_some_and(|whole| !is_inside_rune(text, whole.start())))
            .take(limit)
            .map(|captures| {
                captures.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()
            })
            .collect()
    }

    /// The spans of the matches, at most `limit` of them when it is not negative.
    pub(crate) fn find_spans(&self, text: &[u8], limit: i64) -> Vec<(usize, usize)> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.regex
            .find_iter(text)
            .filter(|found| !is_inside_rune(text, found.start()))
            .take(limit)
            .map(|found| (found.start(), found.end()))
            .collect()
    }

    /// `Split`: `None` is Go's nil for a limit of 0.
    pub(crate) fn split<'t>(&self, text: &'t [u8], limit: i64) -> Option<Vec<&'t [u8]>> {
        if limit == 0 {
            return None;
        }
        if !self.is_empty && text.is_empty() {
            return Some(vec![text]);
        }
        let mut pieces = Vec::new();
        let (mut begin, mut end) = (0, 0);
        for (from, to) in self.find_spans(text, limit) {
            if limit > 0 && pieces.len() as i64 == limit - 1 {
                break;
            }
            end = from;
            if to != 0 {
                pieces.push(&text[begin..end]);
            }
            begin = to;
        }
        if end != text.len() {
            pieces.push(&text[begin..]);
        }
        Some(pieces)
    }

    /// `ReplaceAll` with a template, or with literal text.
    pub(crate) fn replace_all(&self, text: &[u8], replacement: &[u8], literal: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut last = 0;
        if literal || !replacement.contains(&b'$') {
            for (from, to) in self.find_spans(text, -1) {
                out.extend_from_slice(&text[last..from]);
                out.extend_from_slice(replacement);
                last = to;
            }
        } else {
            for groups in self.find_all(text, -1) {
                let Some(Some((from, to))) = groups.first().copied() else { continue };
                out.extend_from_slice(&text[last..from]);
                self.expand(&mut out, replacement, text, &groups);
                last = to;
            }
        }
        out.extend_from_slice(&text[last..]);
        out
    }

    /// Appends a replacement template with `$name`, `${name}` and `$$` filled in.
    pub(crate) fn expand(
        &self,
        out: &mut Vec<u8>,
        mut template: &[u8],
        text: &[u8],
        groups: &[Option<(usize, usize)>],
    ) {
        while let Some(dollar) = memchr::memchr(b'$', template) {
            out.extend_from_slice(&template[..dollar]);
            template = &template[dollar + 1..];
            if template.first() == Some(&b'$') {
                out.push(b'$');
                template = &template[1..];
                continue;
            }
            let Some((name, width)) = variable(template) else {
                out.push(b'$');
                continue;
            };
            template = &template[width..];
            let group = match group_number(name) {
                Some(number) => groups.get(number).copied().flatten(),
                None => self
                    .names
                    .iter()
                    .zip(groups)
                    .filter(|(known, _)| known.as_bytes() == name)
                    .find_map(|(_, group)| *group),
            };
            if let Some((from, to)) = group {
                out.extend_from_slice(&text[from..to]);
            }
        }
        out.extend_from_slice(template);
    }
}

/// Whether an offset is between the bytes of one rune, where only empty matches are found and Go does not look.
fn is_inside_rune(text: &[u8], at: usize) -> bool {
    if !text.get(at).is_some_and(|byte| (0x80..0xc0).contains(byte)) {
        return false;
    }
    (1..=at.min(3)).any(|back| decode_rune(&text[at - back..]).1 > back)
}

/// What is wrong with a regular expression in Go's syntax, in Go's words; `None` when it is one.
///
/// ```
/// let error = fluxide_gotemplate::regular_expression_error(b"(");
/// assert_eq!(error.as_deref(), Some("error parsing regexp: missing closing ): `(`"));
/// ```
pub fn syntax_error(pattern: &[u8]) -> Option<String> {
    Regexp::compile(pattern).err()
}

/// `regexp.QuoteMeta`.
pub(crate) fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    for byte in text {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// The name after a dollar sign, and how much of the template it takes.
fn variable(template: &[u8]) -> Option<(&[u8], usize)> {
    let braced = template.first() == Some(&b'{');
    let start = usize::from(braced);
    let mut end = start;
    while end < template.len() {
        let (rune, width) = decode_rune(&template[end..]);
        if !is_letter(rune) && !is_digit(rune) && rune != '_' {
            break;
        }
        end += width;
    }
    if end == start || braced && template.get(end) != Some(&b'}') {
        return None;
    }
    Some((&template[start..end], end + usize::from(braced)))
}

fn group_number(name: &[u8]) -> Option<usize> {
    if name.len() > 1 && name[0] == b'0' || name.len() > 9 || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(name.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::Regexp;

    #[test]
    fn expressions_match_as_in_go() {
        let corpus = include_str!("../../tests/corpus/regexp.jsonl");
        let mut failures = Vec::new();
        let mut count = 0;
        for line in corpus.lines() {
            let case: Json = serde_json::from_str(line).expect("a case is JSON");
            count += 1;
            let actual = outcome(&case["in"]);
            let expected = match &case["err"] {
                Json::String(text) => Err(text.clone()),
                _ => Ok(case["out"].clone()),
            };
            if actual != expected {
                failures.push(format!("{line}\n   got {actual:?}"));
            }
        }
        failures.iter().take(30).for_each(|failure| eprintln!("{failure}"));
        assert!(failures.is_empty(), "{} of {count} expressions differ", failures.len());
    }

    fn outcome(input: &Json) -> Result<Json, String> {
        let regexp = Regexp::compile(input["pattern"].as_str().expect("a pattern").as_bytes())?;
        let text = input["input"].as_str().expect("an input");
        let bytes = text.as_bytes();
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(limit) = input["n"].as_i64() {
            let found = regexp.find_spans(bytes, limit);
            let found: Vec<_> = found.into_iter().map(|(from, to)| shown(&bytes[from..to])).collect();
            let split =
                regexp.split(bytes, limit).map(|pieces| pieces.into_iter().map(shown).collect::<Vec<_>>());
            return Ok(
                json!({"find_n": if found.is_empty() { Json::Null } else { json!(found) }, "split": split}),
            );
        }
        if let Some(replacement) = input["repl"].as_str() {
            let replacement = replacement.as_bytes();
            let mut out = json!({
                "replace": shown(&regexp.replace_all(bytes, replacement, false)),
                "literal": shown(&regexp.replace_all(bytes, replacement, true)),
            });
            if let Some(groups) = regexp.find_all(bytes, 1).first() {
                let mut first = Vec::new();
                regexp.expand(&mut first, replacement, bytes, groups);
                out["expand_first"] = json!(shown(&first));
            }
            return Ok(out);
        }
        let all: Vec<Vec<i64>> = regexp
            .find_all(bytes, -1)
            .into_iter()
            .map(|groups| {
                groups
                    .into_iter()
                    .flat_map(|group| group.map_or([-1, -1], |(from, to)| [from as i64, to as i64]))
                    .collect()
            })
            .collect();
        Ok(
            json!({"all": if all.is_empty() { Json::Null } else { json!(all) }, "match": regexp.is_match(bytes), "names": regexp.names()}),
        )
    }
}
