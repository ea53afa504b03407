//! Helm's wording of template errors: one line where to look, one what was executed, one what is wrong.

use crate::error::Error;
use crate::text::Text;

/// The text for a template that cannot be parsed.
pub fn parse_error_text(file: &str, error: &Error) -> String {
    let text = error.to_string();
    let parts: Vec<&str> = text.split(": ").collect();
    match parts.as_slice() {
        [_, location, .., last] => format!("parse error at ({location}): {last}"),
        [_, last] => format!("parse error at ({last}): {last}"),
        _ => format!("parse error in ({file}): {text}"),
    }
}

/// The text for a template that fails when executed.
///
/// It is a [`Text`] because `fail` may be given bytes that are no UTF-8; `to_string` makes it printable.
pub fn execution_error_text(file: &str, error: &Error) -> Text {
    let whole = error.text();
    if contains_execution(error)
        && let Some((location, message)) = user_message(whole)
    {
        return Text::from([b"execution error at (", location, b"): ", message].concat());
    }
    Text::from(framed_text(file, error))
}

/// The outermost location, and what was given to `fail` or `required`.
fn user_message(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let find = memchr::memmem::find;
    let rest = &text[find(text, b": ")? + 2..];
    let location = &rest[..find(rest, b": ")?];
    let rest = &rest[location.len() + 2..];
    let start = find(rest, b"HELM_ERR_START")? + b"HELM_ERR_START".len();
    let end = memchr::memmem::rfind(rest, b"HELM_ERR_END")?;
    (start <= end).then(|| (location, &rest[start..end]))
}

fn framed_text(file: &str, error: &Error) -> String {
    let text = error.to_string();
    if !contains_execution(error) {
        return text;
    }
    let parts: Vec<&str> = text.splitn(3, ": ").collect();
    if parts.len() != 3 {
        return format!("execution error in ({file}): {text}");
    }
    let mut frames: Vec<Frame> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let Some(frame) = Frame::parse(&error.to_string()) else { return text };
        if frames.last() != Some(&frame) {
            frames.push(frame);
        }
        current = error.cause();
    }
    let mut out = String::new();
    for frame in frames {
        frame.write(&mut out);
    }
    String::from_utf8_lossy(crate::sprig::trim_space(out.as_bytes())).into_owned()
}

fn contains_execution(error: &Error) -> bool {
    std::iter::successors(Some(error), |error| error.cause()).any(Error::is_execution)
}

#[derive(PartialEq, Eq)]
struct Frame {
    location: String,
    message: String,
    executed: String,
}

impl Frame {
    fn parse(text: &str) -> Option<Frame> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Frame {
                location: String::new(),
                message: text.to_owned(),
                executed: String::new(),
            });
        }
        Frame::parse_executing(rest).or_else(|| Frame::parse_simple(rest))
    }

    /// `NAME:LINE:COLUMN: executing "TEMPLATE" at <NODE>: MESSAGE`.
    fn parse_executing(rest: &str) -> Option<Frame> {
        let (location, after) = rest.split_once(": executing ")?;
        let after = after.strip_prefix('"')?;
        let (template, after) = after.split_once('"')?;
        let (node, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
        Some(Frame {
            location: location.to_owned(),
            message: cut_chained(message),
            executed: format!("executing \"{template}\" at <{node}>:"),
        })
    }

    fn parse_simple(rest: &str) -> Option<Frame> {
        let (location, message) = rest.rsplit_once(": ")?;
        Some(Frame { location: location.to_owned(), message: cut_chained(message), executed: String::new() })
    }

    fn write(&self, out: &mut String) {
        if !self.location.is_empty() {
            out.push_str(&self.location);
            out.push_str("\n  ");
        }
        if !self.executed.is_empty() {
            out.push_str(&self.executed);
            out.push_str("\n    ");
        }
        if !self.message.is_empty() {
            out.push_str(&self.message);
            out.push('\n');
        }
    }
}

/// The message without the error that it goes on with.
fn cut_chained(message: &str) -> String {
    message.split(" template:").next().unwrap_or_default().to_owned()
}
