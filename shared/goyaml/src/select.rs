//! Some members of a mapping, without a tree of all the others.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::outline::outline;
use crate::resolve::{Rules, Scalar, resolve};
use crate::syntax::parser::{Event, EventKind, Parser};
use crate::syntax::token::ScalarStyle;
use crate::syntax::{Dialect, input};
use crate::value::Value;

/// Reads the first document as go-yaml v2 does, without those members of its mapping that `keep` does not want.
///
/// `None` when it takes a tree to tell what the document means: it is no mapping, or there are anchors, tags, merge keys,
/// keys that are no strings, numbers that JSON does not have.
pub(crate) fn select(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Result<Option<Value>, Error> {
    let input = input::decode(bytes);
    let mut reader = Reader { parser: Parser::new(&input, Dialect::V2) };
    match reader.document(&keep) {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::NotPlain) => Ok(None),
    }
}

/// [`select`], which does not even look for tokens in what is not wanted when its lines tell that it is plain.
pub(crate) fn select_members(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Result<Option<Value>, Error> {
    let input = input::decode(bytes);
    if input.problem.is_none()
        && let Some(members) = outline(&input.text)
        && !members.is_empty()
    {
        let wanted: String =
            members.iter().filter(|member| keep(member.key)).map(|member| member.text).collect();
        if wanted.is_empty() {
            return Ok(Some(Value::Object(BTreeMap::new())));
        }
        if let Ok(Some(value)) = select(wanted.as_bytes(), &keep) {
            return Ok(Some(value));
        }
    }
    select(bytes, keep)
}

/// Why reading ended early.
enum Stop {
    /// The tree is needed.
    NotPlain,
    Failed(Error),
}

struct Reader<'a> {
    parser: Parser<'a>,
}

impl Reader<'_> {
    fn document(&mut self, keep: &impl Fn(&str) -> bool) -> Result<Value, Stop> {
        let mut event = self.next()?;
        if event.kind == EventKind::StreamStart {
            event = self.next()?;
        }
        if event.kind != EventKind::DocumentStart || self.next()?.kind != EventKind::MappingStart {
            return Err(Stop::NotPlain);
        }
        let mut map = BTreeMap::new();
        loop {
            let event = self.next()?;
            if event.kind == EventKind::MappingEnd {
                break;
            }
            let name = key(event)?;
            if keep(&name) {
                let event = self.next()?;
                map.insert(name, self.value(event)?);
            } else {
                self.skip()?;
            }
        }
        self.next()?;
        Ok(Value::Object(map))
    }

    fn value(&mut self, event: Event) -> Result<Value, Stop> {
        match event.kind {
            EventKind::Scalar => scalar(event),
            EventKind::SequenceStart => {
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.kind == EventKind::SequenceEnd {
                        return Ok(Value::Array(items));
                    }
                    items.push(self.value(event)?);
                }
            }
            EventKind::MappingStart => {
                let mut map = BTreeMap::new();
                loop {
                    let event = self.next()?;
                    if event.kind == EventKind::MappingEnd {
                        return Ok(Value::Object(map));
                    }
                    let name = key(event)?;
                    let event = self.next()?;
                    map.insert(name, self.value(event)?);
                }
            }
            _ => Err(Stop::NotPlain),
        }
    }

    /// Reads a value and forgets it.
    fn skip(&mut self) -> Result<(), Stop> {
        self.parser.discard_block_scalars(true);
        let result = self.skip_events();
        self.parser.discard_block_scalars(false);
        result
    }

    fn skip_events(&mut self) -> Result<(), Stop> {
        // For each open collection, whether it is a mapping and a key comes next.
        let mut open: Vec<Option<bool>> = Vec::new();
        loop {
            let event = self.next()?;
            match event.kind {
                EventKind::Scalar if open.last() == Some(&Some(true)) => check_key(&event)?,
                EventKind::Scalar => check_scalar(&event)?,
                EventKind::SequenceEnd | EventKind::MappingEnd => {
                    open.pop();
                }
                _ if open.last() == Some(&Some(true)) => return Err(Stop::NotPlain),
                EventKind::SequenceStart => {
                    open.push(None);
                    continue;
                }
                EventKind::MappingStart => {
                    open.push(Some(true));
                    continue;
                }
                _ => return Err(Stop::NotPlain),
            }
            match open.last_mut() {
                None => return Ok(()),
                Some(Some(key_next)) => *key_next = !*key_next,
                Some(None) => {}
            }
        }
    }

    fn next(&mut self) -> Result<Event, Stop> {
        let event = self.parser.next().map_err(|error| Stop::Failed(error.told_by(Dialect::V2)))?;
        if event.properties.is_some() { Err(Stop::NotPlain) } else { Ok(event) }
    }
}

fn key(event: Event) -> Result<String, Stop> {
    if event.kind != EventKind::Scalar {
        return Err(Stop::NotPlain);
    }
    check_key(&event)?;
    Ok(event.value)
}

fn check_key(event: &Event) -> Result<(), Stop> {
    let plain = event.style == ScalarStyle::Plain;
    if plain && (event.value == "<<" || resolve(Rules::V2, "", &event.value) != Ok(Scalar::String)) {
        return Err(Stop::NotPlain);
    }
    Ok(())
}

fn check_scalar(event: &Event) -> Result<(), Stop> {
    let plain = event.style == ScalarStyle::Plain;
    // NaN and the infinities are written with a point in front.
    let may_be_special = plain && event.value.trim_start_matches(['+', '-']).starts_with('.');
    if may_be_special
        && matches!(resolve(Rules::V2, "", &event.value), Ok(Scalar::Float(value)) if !value.is_finite())
    {
        return Err(Stop::NotPlain);
    }
    Ok(())
}

fn scalar(event: Event) -> Result<Value, Stop> {
    if event.style != ScalarStyle::Plain {
        return Ok(Value::String(event.value));
    }
    Ok(match resolve(Rules::V2, "", &event.value).map_err(|_| Stop::NotPlain)? {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Uint(value) => Value::Uint(value),
        Scalar::Float(value) if value.is_finite() => Value::Float(value),
        Scalar::String => Value::String(event.value),
        _ => return Err(Stop::NotPlain),
    })
}

#[cfg(test)]
mod tests {
    use crate::sigs::{from_yaml, from_yaml_selected};

    #[test]
    fn what_is_left_out_is_read_all_the_same() {
        let text = b"kind: A\ndata:\n  a: |\n    long\n    text\n  \"b\": [1, {c: d}]\n\"metadata\": {name: x}\nlast: 1\n";
        let keep = |key: &str| key == "kind" || key == "metadata";
        let expected = from_yaml(b"kind: A\nmetadata: {name: x}\n").unwrap();
        assert_eq!(from_yaml_selected(text, keep).unwrap(), expected);
        // Through the tree as well: an anchor, a key that is no string, a merge.
        for more in ["x: &a 1\ny: *a\n", "1: x\n", "<<: {z: 1}\n", "d: 2020-01-01\n", "b: !!binary aGk=\n"] {
            let text = [text.as_slice(), more.as_bytes()].concat();
            assert_eq!(from_yaml_selected(&text, keep).unwrap(), expected, "{more}");
        }
        for bad in ["x: [", "x: *none", "x: .nan", "x: [-.inf]", "x: !!int a"] {
            let text = [text.as_slice(), bad.as_bytes()].concat();
            assert!(from_yaml_selected(&text, keep).is_err(), "{bad}");
        }
        assert_eq!(from_yaml_selected(b"- a\n", keep).unwrap(), from_yaml(b"[a]").unwrap());
        assert_eq!(from_yaml_selected(b"", keep).unwrap(), from_yaml(b"null").unwrap());
    }
}
