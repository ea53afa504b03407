//! `include` and `tpl`.

use crate::error::Error;
use crate::function::Call;
use crate::text::Text;
use crate::value::Value;
use fluxide_gotext::quote;

/// How often one name may be included inside itself.
const MAX_NESTED: u32 = 1000;

const NO_VALUE: &[u8] = b"<no value>";

/// Executes a template by name and gives its output.
pub(super) fn include(call: &mut Call<'_>, name: &[u8], data: &Value) -> Result<Value, Error> {
    let nested = &mut call.session.nested;
    let count = match nested.get_mut(name) {
        Some(count) => count,
        None => nested.entry(Text::from(name)).or_insert(0),
    };
    if *count > MAX_NESTED {
        return Err(Error::wrapping(
            [b"rendering template has a nested reference name: ", name, b": unable to execute template"]
                .concat(),
            Error::new("unable to execute template"),
        ));
    }
    *count += 1;
    let result = call.execute(name, data);
    if let Some(count) = call.session.nested.get_mut(name) {
        *count -= 1;
    }
    Ok(Value::String(result?))
}

/// Parses a text as a template, beside those there are, and gives its output. What it defines is known only inside it.
pub(super) fn tpl(call: &mut Call<'_>, text: &[u8], data: &Value) -> Result<Value, Error> {
    // A text without actions is its own output.
    if memchr::memmem::find(text, b"{{").is_none() && !text.iter().all(u8::is_ascii_whitespace) {
        let mut out = text.to_vec();
        strip_no_value(&mut out);
        call.charge(out.len())?;
        return Ok(Value::string(out));
    }
    let name = call.templates.name().clone();
    let parsed = match call.session.parsed.get(text) {
        Some(parsed) => parsed.clone(),
        None => {
            call.charge(text.len().saturating_mul(32))?;
            let parsed = call.templates.parse_text(&name, Text::from(text)).map_err(|error| {
                let shown = quote(text);
                Error::wrapping(
                    [b"cannot parse template ", shown.as_slice(), b": ", error.text()].concat(),
                    error,
                )
            })?;
            let parsed = std::sync::Arc::new(parsed);
            call.session.parsed.insert(Text::from(text), parsed.clone());
            parsed
        }
    };
    let mut templates = call.templates.clone();
    templates.add(&parsed);
    let mut out = templates.execute_parsed(&parsed, &name, data, call.session).map_err(|error| {
        let shown = quote(text);
        Error::wrapping(
            [b"error during tpl function execution for ", shown.as_slice(), b": ", error.text()].concat(),
            error,
        )
    })?;
    strip_no_value(&mut out);
    Ok(Value::string(out))
}

/// Removes every `<no value>`, which Go prints for what is missing, and literal ones with it.
pub fn strip_no_value(text: &mut Vec<u8>) {
    if memchr::memmem::find(text, NO_VALUE).is_none() {
        return;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut last = 0;
    for at in memchr::memmem::find_iter(text, NO_VALUE) {
        out.extend_from_slice(&text[last..at]);
        last = at + NO_VALUE.len();
    }
    out.extend_from_slice(&text[last..]);
    *text = out;
}
