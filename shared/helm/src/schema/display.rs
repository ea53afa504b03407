//! What is wrong with values, in the words of santhosh-tekuri/jsonschema.

use boon::{ErrorKind, ValidationError};
use fluxide_gotemplate::regular_expression_error;
use fluxide_gotext::quote_str;
use fluxide_goyaml::number::format_float;
use serde_json::Value as Json;

use super::LOCATION;

/// Prints validation errors as santhosh-tekuri/jsonschema does, the library that Helm uses.
pub(super) struct Display<'o> {
    pub(super) out: &'o mut String,
    /// The schema, where the patterns stand as they were written.
    pub(super) schema: Option<&'o Json>,
    /// Within `propertyNames`, where the library forgets the place.
    pub(super) relative: bool,
}

/// A combinator that failed for one schema alone: our library leaves it out, and Helm's does not.
#[derive(PartialEq)]
struct LeftOut {
    /// The schema that it holds, below the one that the error above is about.
    schema: String,
    failed: &'static str,
    /// How many steps of the cause's place lead to its own.
    depth: usize,
    /// The value that does not fit it; one schema may apply to several.
    place: String,
}

impl Display<'_> {
    /// Writes the causes of an error.
    pub(super) fn causes(&mut self, error: &ValidationError, indent: usize) {
        self.below(&with_left_out(error), 0, indent);
    }

    /// Writes causes below the combinators from a level on. Causes that share one were those of one schema in it.
    fn below(&mut self, causes: &[(&ValidationError, Vec<LeftOut>)], level: usize, indent: usize) {
        let mut rest = causes;
        while let Some((first, left_out)) = rest.first() {
            let Some(outermost) = left_out.get(level) else {
                self.write(first, indent);
                rest = &rest[1..];
                continue;
            };
            let count = rest.iter().take_while(|(_, other)| other.get(level) == Some(outermost)).count();
            let (together, behind) = rest.split_at(count);
            let is_shared = |at: usize| together.iter().all(|(_, other)| other.get(at) == left_out.get(at));
            let shared = (level..left_out.len()).take_while(|at| is_shared(*at)).count();
            let mut below = indent;
            for combinator in &left_out[level..level + shared] {
                self.line(first, combinator.depth, below, combinator.failed);
                below += 1;
            }
            if let (true, Some(innermost)) = (count > 1, left_out.get(level + shared - 1)) {
                self.line(first, innermost.depth, below, "validation failed");
                below += 1;
            }
            self.below(together, level + shared, below);
            rest = behind;
        }
    }

    fn write(&mut self, error: &ValidationError, indent: usize) {
        let causes = with_left_out(error);
        // A reference with one cause is that cause.
        let one_cause = causes.first().is_some_and(|(_, left_out)| {
            causes.len() == 1
                || !left_out.is_empty() && causes.iter().all(|(_, other)| other.first() == left_out.first())
        });
        let mut below = indent;
        if !(matches!(error.kind, ErrorKind::Reference { .. }) && one_cause) {
            let depth = match error.kind {
                ErrorKind::PropertyName { .. } => 0,
                _ => error.instance_location.tokens.len(),
            };
            let described = match &error.kind {
                ErrorKind::Pattern { got, want } => {
                    let written = self.schema.and_then(|schema| written_pattern(schema, error.schema_url));
                    format!("{} does not match pattern {}", quote(got), quote(written.unwrap_or(want)))
                }
                kind => describe(kind),
            };
            self.line(error, depth, indent, &described);
            below += 1;
        }
        let relative = self.relative;
        self.relative |= matches!(error.kind, ErrorKind::PropertyName { .. });
        self.below(&causes, 0, below);
        self.relative = relative;
    }

    /// Writes a line about the place that the first steps of an error's place lead to.
    fn line(&mut self, error: &ValidationError, depth: usize, indent: usize, text: &str) {
        let place = error.instance_location.to_string();
        let place = if self.relative { "" } else { first_steps(&place, depth) };
        self.out.push('\n');
        self.out.push_str(&"  ".repeat(indent - 1));
        self.out.push_str(&format!("- at {}: {text}", quote(place)));
    }
}

/// The causes of an error, each with the combinators that are left out between the two, outermost first.
fn with_left_out<'e, 's, 'v>(
    error: &'e ValidationError<'s, 'v>,
) -> Vec<(&'e ValidationError<'s, 'v>, Vec<LeftOut>)> {
    let (base, combines) = match &error.kind {
        ErrorKind::Reference { url, .. } | ErrorKind::Schema { url } => (*url, false),
        ErrorKind::AllOf | ErrorKind::AnyOf | ErrorKind::OneOf(None) => (error.schema_url, true),
        _ => (error.schema_url, false),
    };
    error.causes.iter().map(|cause| (cause, left_out(base, cause, combines))).collect()
}

/// Walks from one schema to another within it. The first combinator on the way was not left out when `combines`.
fn left_out(base: &str, cause: &ValidationError, combines: bool) -> Vec<LeftOut> {
    let base = base.strip_suffix('#').unwrap_or(base);
    let Some(path) = cause.schema_url.strip_prefix(base) else { return Vec::new() };
    let path = path.strip_prefix('#').unwrap_or(path);
    let mut steps = path.split('/').skip(1).peekable();
    let mut found = Vec::new();
    let mut walked = String::new();
    let mut depth = 0;
    while let Some(keyword) = steps.next() {
        let is_index = |step: &&str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        let (has_name, goes_down, failed) = match keyword {
            "allOf" => (true, false, Some("'allOf' failed")),
            "anyOf" => (true, false, Some("'anyOf' failed")),
            "oneOf" => (true, false, Some("'oneOf' failed, none matched")),
            "properties" | "patternProperties" | "prefixItems" => (true, true, None),
            "items" => (steps.peek().is_some_and(is_index), true, None),
            "additionalProperties"
            | "unevaluatedProperties"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains" => (false, true, None),
            "dependentSchemas" | "dependencies" => (true, false, None),
            _ => (false, false, None),
        };
        walked.push('/');
        walked.push_str(keyword);
        if has_name {
            walked.push('/');
            walked.push_str(steps.next().unwrap_or_default());
        }
        depth += usize::from(goes_down);
        if let Some(failed) = failed {
            found.push(LeftOut { schema: walked.clone(), failed, depth, place: String::new() });
        }
    }
    if combines && !found.is_empty() {
        found.remove(0);
    }
    // Until here depths count from the upper place; places are told by the one of the cause.
    let above = cause.instance_location.tokens.len().saturating_sub(depth);
    let place = cause.instance_location.to_string();
    for combinator in &mut found {
        combinator.depth += above;
        combinator.place = first_steps(&place, combinator.depth).to_owned();
    }
    found
}

/// The part of a JSON pointer that its first steps make.
fn first_steps(pointer: &str, count: usize) -> &str {
    let end = pointer.match_indices('/').nth(count).map_or(pointer.len(), |(at, _)| at);
    &pointer[..end]
}

/// The pattern of the schema at an address as it was written; our library rewrites it for its own engine.
fn written_pattern<'s>(schema: &'s Json, url: &str) -> Option<&'s str> {
    let pointer = url.strip_prefix(LOCATION)?.strip_prefix('#')?;
    let mut decoded = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| std::str::from_utf8(behind.get(..2)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    schema.pointer(&String::from_utf8(decoded).ok()?)?.get("pattern")?.as_str()
}

fn describe(kind: &ErrorKind) -> String {
    let limits =
        |name: &str, got: usize, want: usize| format!("{name}: got {}, want {}", grouped(got), grouped(want));
    let numbers = |name: &str, got: &serde_json::Number, want: &serde_json::Number| {
        format!("{name}: got {}, want {}", number(got), number(want))
    };
    match kind {
        ErrorKind::Group | ErrorKind::Reference { .. } => "validation failed".to_owned(),
        ErrorKind::Schema { url } => format!("jsonschema validation failed with {}", quote(url)),
        ErrorKind::ContentSchema => "'contentSchema' failed".to_owned(),
        ErrorKind::PropertyName { prop } => format!("invalid propertyName {}", quote(prop)),
        ErrorKind::RefCycle { url, kw_loc1, kw_loc2 } => {
            format!("both {kw_loc1} and {kw_loc2} resolve to {} causing reference cycle", quote_str(url))
        }
        ErrorKind::FalseSchema => "false schema".to_owned(),
        ErrorKind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|kind| kind.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        ErrorKind::Enum { want } if want.iter().any(|item| item.is_array() || item.is_object()) => {
            "'enum' failed".to_owned()
        }
        ErrorKind::Enum { want } => {
            let shown: Vec<String> = want.iter().map(display).collect();
            let few = if shown.len() == 1 { "" } else { "one of " };
            format!("value must be {few}{}", shown.join(", "))
        }
        ErrorKind::Const { want } if want.is_array() || want.is_object() => "'const' failed".to_owned(),
        ErrorKind::Const { want } => format!("value must be {}", display(want)),
        ErrorKind::Format { got, want, err } => {
            // No other check can be put in place of this one.
            let in_go = match &**got {
                Json::String(pattern) if *want == "regex" => regular_expression_error(pattern.as_bytes()),
                _ => None,
            };
            let problem = in_go.unwrap_or_else(|| err.to_string());
            format!("{} is not valid {want}: {problem}", display(got))
        }
        ErrorKind::MinProperties { got, want } => limits("minProperties", *got, *want),
        ErrorKind::MaxProperties { got, want } => limits("maxProperties", *got, *want),
        ErrorKind::AdditionalProperties { got } => {
            format!("additional properties {} not allowed", quoted(got.iter().map(AsRef::as_ref)))
        }
        ErrorKind::Required { want } if want.len() == 1 => format!("missing property {}", quote(want[0])),
        ErrorKind::Required { want } => format!("missing properties {}", quoted(want.iter().copied())),
        ErrorKind::Dependency { prop, missing } | ErrorKind::DependentRequired { prop, missing } => {
            format!("properties {} required, if {} exists", quoted(missing.iter().copied()), quote(prop))
        }
        ErrorKind::MinItems { got, want } => limits("minItems", *got, *want),
        ErrorKind::MaxItems { got, want } => limits("maxItems", *got, *want),
        ErrorKind::Contains => "no items match contains schema".to_owned(),
        ErrorKind::MinContains { got, want } if got.is_empty() => {
            format!("min {} items required to match contains schema, but none matched", grouped(*want))
        }
        ErrorKind::MinContains { got, want } => contains("min", got, *want),
        ErrorKind::MaxContains { got, want } => contains("max", got, *want),
        ErrorKind::UniqueItems { got: [first, second] } => {
            format!("items at {} and {} are equal", grouped(*first), grouped(*second))
        }
        ErrorKind::AdditionalItems { got } => format!("last {} additionalItem(s) not allowed", grouped(*got)),
        ErrorKind::MinLength { got, want } => limits("minLength", *got, *want),
        ErrorKind::MaxLength { got, want } => limits("maxLength", *got, *want),
        ErrorKind::Pattern { got, want } => format!("{} does not match pattern {}", quote(got), quote(want)),
        ErrorKind::ContentEncoding { want, err } => format!("value is not {} encoded: {err}", quote(want)),
        ErrorKind::ContentMediaType { want, err, .. } => {
            format!("value if not of mediatype {}: {err}", quote(want))
        }
        ErrorKind::Minimum { got, want } => numbers("minimum", got, want),
        ErrorKind::Maximum { got, want } => numbers("maximum", got, want),
        ErrorKind::ExclusiveMinimum { got, want } => numbers("exclusiveMinimum", got, want),
        ErrorKind::ExclusiveMaximum { got, want } => numbers("exclusiveMaximum", got, want),
        ErrorKind::MultipleOf { got, want } => numbers("multipleOf", got, want),
        ErrorKind::Not => "'not' failed".to_owned(),
        ErrorKind::AllOf => "'allOf' failed".to_owned(),
        ErrorKind::AnyOf => "'anyOf' failed".to_owned(),
        ErrorKind::OneOf(None) => "'oneOf' failed, none matched".to_owned(),
        ErrorKind::OneOf(Some((first, second))) => {
            format!("'oneOf' failed, subschemas {}, {} matched", grouped(*first), grouped(*second))
        }
    }
}

fn contains(which: &str, got: &[usize], want: usize) -> String {
    let places: Vec<String> = got.iter().map(usize::to_string).collect();
    format!(
        "{which} {} items required to match contains schema, but matched {} items at {}",
        grouped(want),
        grouped(got.len()),
        places.join(" ")
    )
}

/// Text in single quotes, with the escapes of `%q`.
fn quote(text: &str) -> String {
    let quoted = quote_str(text);
    format!("'{}'", quoted[1..quoted.len() - 1].replace("\\\"", "\"").replace('\'', "\\'"))
}

fn quoted<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.map(quote).collect::<Vec<_>>().join(", ")
}

fn display(value: &Json) -> String {
    match value {
        Json::String(text) => quote(text),
        Json::Array(_) | Json::Object(_) => "value".to_owned(),
        Json::Null => "<nil>".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::Bool(value) => value.to_string(),
    }
}

/// A count with commas between thousands, as the library's English printer puts them.
fn grouped(count: usize) -> String {
    group(&count.to_string())
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number as the library's English printer shows it: `1,500`, `1.5×10⁰⁶`.
fn number(number: &serde_json::Number) -> String {
    let shown = format_float(number.as_f64().unwrap_or(f64::NAN));
    let (sign, shown) = shown.strip_prefix('-').map_or(("", shown.as_str()), |rest| ("-", rest));
    if let Some((mantissa, exponent)) = shown.split_once('e') {
        let exponent: String = exponent.chars().filter_map(superscript).collect();
        return format!("{sign}{mantissa}×10{exponent}");
    }
    let (whole, fraction) =
        shown.split_once('.').map_or((shown, None), |(whole, fraction)| (whole, Some(fraction)));
    match fraction {
        None => format!("{sign}{}", group(whole)),
        Some(fraction) => format!("{sign}{}.{fraction}", group(whole)),
    }
}

fn superscript(character: char) -> Option<char> {
    let digit = character
        .to_digit(10)
        .map(|digit| ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize]);
    digit.or((character == '-').then_some('⁻'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_for_english_readers() {
        let shown = [1500.0, 1_234_567.5, 12_345_678.0, 1e-5, 123_456.789, -1500.0, 1e21]
            .map(|value| number(&serde_json::Number::from_f64(value).unwrap()));
        let expected =
            ["1,500", "1.2345675×10⁰⁶", "1.2345678×10⁰⁷", "1×10⁻⁰⁵", "123,456.789", "-1,500", "1×10²¹"];
        assert_eq!(shown, expected);
    }
}
