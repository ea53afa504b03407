//! values.schema.json: checks values against JSON schemas of drafts 4 to 2020-12, with Helm's words for what is wrong.

use std::error::Error as StdError;

use boon::{CompileError, Compiler, ErrorKind, Schemas, UrlLoader, ValidationError};
use fluxide_goyaml::number::format_float;
use serde_json::Value as Json;

use fluxide_gotext::quote_str;

/// The name the schema of a chart goes by.
const LOCATION: &str = "file:///values.schema.json";

/// How deep a schema may nest.
const MAX_DEPTH: usize = 256;

/// Gives schemas that other schemas refer to by address. A chart is hostile input: think before fetching what it names.
pub trait SchemaLoader {
    /// The schema at the address, which is absolute, or why there is none.
    fn load(&self, url: &str) -> Result<Json, String>;
}

/// Refuses every address. The default, since charts must not make this program connect anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRemoteSchemas;

impl SchemaLoader for NoRemoteSchemas {
    fn load(&self, url: &str) -> Result<Json, String> {
        Err(format!(
            "references to other documents are not followed; copy the schema at {url} into the chart"
        ))
    }
}

/// Checks values against one schema. The error is what is wrong, a line for each cause, as Helm prints it.
pub fn validate(schema: &[u8], values: &Json, loader: &dyn SchemaLoader) -> Result<(), String> {
    let schema = parse(schema)?;
    let mut compiler = Compiler::new();
    let documents = References::resolve(&schema, loader);
    compiler.use_loader(Box::new(documents));
    compiler.add_resource(LOCATION, schema).map_err(|error| compile_error(&error))?;
    let mut schemas = Schemas::new();
    let index = compiler.compile(LOCATION, &mut schemas).map_err(|error| compile_error(&error))?;
    schemas.validate(values, index).map_err(|error| {
        let mut out = String::new();
        let mut display = Display { out: &mut out, relative: false };
        for cause in &error.causes {
            display.wrapped(cause, &error.kind, 1);
        }
        out.push('\n');
        out.trim_start_matches('\n').to_owned()
    })
}

/// Reads the schema with the words of Go's decoder.
fn parse(schema: &[u8]) -> Result<Json, String> {
    let mut stream = serde_json::Deserializer::from_slice(schema).into_iter::<Json>();
    let value = match stream.next() {
        Some(Ok(value)) => value,
        None => return Err("EOF".to_owned()),
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".to_owned()),
        Some(Err(error)) => return Err(format!("invalid JSON: {error}")),
    };
    if schema[stream.byte_offset()..].iter().any(|byte| !byte.is_ascii_whitespace()) {
        return Err("invalid character after top-level value".to_owned());
    }
    if depth(&value) > MAX_DEPTH {
        return Err(format!("schema is nested deeper than {MAX_DEPTH} levels"));
    }
    Ok(value)
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The documents that a schema may refer to, loaded before it is compiled.
struct References {
    documents: Vec<(String, Result<Json, String>)>,
}

/// How many documents a schema may pull in.
const MAX_DOCUMENTS: usize = 64;

impl References {
    fn resolve(schema: &Json, loader: &dyn SchemaLoader) -> References {
        let mut references = References { documents: Vec::new() };
        let mut pending = vec![schema.clone()];
        while let Some(document) = pending.pop() {
            let mut urls = Vec::new();
            collect_urls(&document, &mut urls);
            for url in urls {
                let known = references.documents.iter().any(|(other, _)| *other == url);
                if known || references.documents.len() == MAX_DOCUMENTS {
                    continue;
                }
                let loaded = loader.load(&url);
                if let Ok(document) = &loaded
                    && depth(document) <= MAX_DEPTH
                {
                    pending.push(document.clone());
                }
                references.documents.push((url, loaded));
            }
        }
        references
    }
}

/// The absolute addresses that `$ref` and `$schema` name, without fragments.
fn collect_urls(value: &Json, urls: &mut Vec<String>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect_urls(item, urls)),
        Json::Object(map) => {
            for (key, value) in map {
                match value {
                    Json::String(text) if matches!(key.as_str(), "$ref" | "$schema") => {
                        let url = text.split('#').next().unwrap_or_default();
                        let web = url.starts_with("http://") || url.starts_with("https://");
                        let standard = url.contains("://json-schema.org/");
                        if web && !standard {
                            urls.push(url.to_owned());
                        }
                    }
                    value => collect_urls(value, urls),
                }
            }
        }
        _ => {}
    }
}

impl UrlLoader for References {
    fn load(&self, url: &str) -> Result<Json, Box<dyn StdError>> {
        if url.starts_with("urn:") {
            // What is not known by a name is allowed, as in Helm.
            return Ok(Json::Bool(true));
        }
        if let Some((_, loaded)) = self.documents.iter().find(|(known, _)| known == url) {
            return loaded.clone().map_err(Into::into);
        }
        if let Some(path) = url.strip_prefix("file://") {
            return Err(format!(
                "open {path}: schemas outside the chart are not read; copy it into the chart"
            )
            .into());
        }
        Err(format!("{url} is not loaded; copy the schema into the chart").into())
    }
}

fn compile_error(error: &CompileError) -> String {
    match error {
        CompileError::ParseUrlError { url, src } => format!("error in parsing {}: {src}", quote_str(url)),
        CompileError::LoadUrlError { url, src } => format!("failing loading {}: {src}", quote_str(url)),
        CompileError::UnsupportedUrlScheme { url } => {
            format!("no URLLoader registered for {}", quote_str(url))
        }
        CompileError::InvalidMetaSchemaUrl { url, src } => {
            format!("invalid $schema in {}: {src}", quote_str(url))
        }
        CompileError::UnsupportedDraft { url } => format!("draft {} is not supported", quote_str(url)),
        CompileError::MetaSchemaCycle { url } => format!("cycle in resolving $schema in {}", quote_str(url)),
        CompileError::ValidationError { url, src } => {
            let mut out = String::new();
            let schema = match &src.kind {
                ErrorKind::Schema { url } => url,
                _ => src.schema_url,
            };
            let mut display = Display { out: &mut out, relative: false };
            for cause in &src.causes {
                display.wrapped(cause, &src.kind, 1);
            }
            let url = if url.contains('#') { url.clone() } else { format!("{url}#") };
            let schema = if schema.contains('#') { schema.to_owned() } else { format!("{schema}#") };
            format!(
                "{} is not valid against metaschema: jsonschema validation failed with '{schema}'{out}",
                quote_str(&url)
            )
        }
        CompileError::ParseIdError { loc } => format!("error in parsing id at {}", quote_str(loc)),
        CompileError::ParseAnchorError { loc } => format!("error in parsing anchor at {}", quote_str(loc)),
        CompileError::DuplicateId { url, id, ptr1, ptr2 } => format!(
            "duplicate id {} in {} at {} and {}",
            quote_str(id),
            quote_str(url),
            quote_str(ptr1),
            quote_str(ptr2)
        ),
        CompileError::DuplicateAnchor { anchor, url, ptr1, ptr2 } => format!(
            "duplicate anchor {} in {} at {} and {}",
            quote_str(anchor),
            quote_str(url),
            quote_str(ptr1),
            quote_str(ptr2)
        ),
        CompileError::InvalidJsonPointer(url) => format!("invalid json-pointer {}", quote_str(url)),
        CompileError::JsonPointerNotFound(url) => format!("json-pointer in {} not found", quote_str(url)),
        CompileError::AnchorNotFound { url, reference } => {
            format!("anchor in {} not found in schema {}", quote_str(reference), quote_str(url))
        }
        CompileError::UnsupportedVocabulary { url, vocabulary } => {
            format!("unsupported vocabulary {} in {}", quote_str(vocabulary), quote_str(url))
        }
        CompileError::InvalidRegex { url, regex, src } => {
            format!("invalid regex {} at {}: {src}", quote_str(regex), quote_str(url))
        }
        CompileError::Bug(error) => format!("unable to validate schema: {error}"),
    }
}

/// Prints validation errors as santhosh-tekuri/jsonschema does, the library that Helm uses.
struct Display<'o> {
    out: &'o mut String,
    /// Within `propertyNames`, where the library forgets the place.
    relative: bool,
}

impl Display<'_> {
    fn write(&mut self, error: &ValidationError, indent: usize) {
        let mut below = indent;
        // A reference with one cause is that cause.
        if !(matches!(error.kind, ErrorKind::Reference { .. }) && error.causes.len() == 1) {
            self.out.push('\n');
            self.out.push_str(&"  ".repeat(indent - 1));
            let place = match (self.relative, &error.kind) {
                (true, _) | (_, ErrorKind::PropertyName { .. }) => String::new(),
                _ => error.instance_location.to_string(),
            };
            self.out.push_str(&format!("- at {}: {}", quote(&place), describe(&error.kind)));
            below += 1;
        }
        let relative = self.relative;
        self.relative |= matches!(error.kind, ErrorKind::PropertyName { .. });
        for cause in &error.causes {
            self.wrapped(cause, &error.kind, below);
        }
        self.relative = relative;
    }

    /// Writes a cause below the combinator that failed for it alone, which our library leaves out and Helm's does not.
    fn wrapped(&mut self, cause: &ValidationError, above: &ErrorKind, indent: usize) {
        let mut left_out = Vec::new();
        let mut place = cause.schema_url;
        while let Some((rest, combinator)) = parent_combinator(place) {
            left_out.push(combinator);
            place = rest;
        }
        let combines = matches!(above, ErrorKind::AllOf | ErrorKind::AnyOf | ErrorKind::OneOf(None));
        if combines {
            left_out.pop();
        }
        for (depth, combinator) in left_out.iter().rev().enumerate() {
            let place = if self.relative { String::new() } else { cause.instance_location.to_string() };
            self.out.push('\n');
            self.out.push_str(&"  ".repeat(indent - 1 + depth));
            self.out.push_str(&format!("- at {}: {combinator}", quote(&place)));
        }
        self.write(cause, indent + left_out.len());
    }
}

/// The schema that holds the one at this address in a combinator, with the words for that combinator's failure.
fn parent_combinator(schema: &str) -> Option<(&str, &'static str)> {
    let (list, index) = schema.rsplit_once('/')?;
    if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (parent, keyword) = list.rsplit_once('/')?;
    let failed = match keyword {
        "allOf" => "'allOf' failed",
        "anyOf" => "'anyOf' failed",
        "oneOf" => "'oneOf' failed, none matched",
        _ => return None,
    };
    Some((parent, failed))
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
            let in_go = match &**got {
                Json::String(pattern) if *want == "regex" => {
                    fluxide_gotemplate::regular_expression_error(pattern.as_bytes())
                }
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
    use serde_json::json;

    use super::*;

    fn check(schema: Json, values: Json) -> String {
        validate(schema.to_string().as_bytes(), &values, &NoRemoteSchemas).err().unwrap_or_default()
    }

    #[test]
    fn numbers_are_printed_for_english_readers() {
        let shown = [1500.0, 1_234_567.5, 12_345_678.0, 1e-5, 123_456.789, -1500.0, 1e21]
            .map(|value| number(&serde_json::Number::from_f64(value).unwrap()));
        let expected =
            ["1,500", "1.2345675×10⁰⁶", "1.2345678×10⁰⁷", "1×10⁻⁰⁵", "123,456.789", "-1,500", "1×10²¹"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn causes_are_nested_and_sorted() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"two": {"required": ["p", "q"], "minProperties": 3}, "s": {"type": "string"}},
            "required": ["b'c"],
            "properties": {
                "any": {"anyOf": [{"$ref": "#/definitions/two"}, {"type": "string"}]},
                "names": {"propertyNames": {"pattern": "^[a-z]+$", "maxLength": 2}},
                "ref": {"$ref": "#/definitions/s"},
                "mail": {"format": "email"},
                "list": {"uniqueItems": true, "minItems": 1234}
            }
        });
        let values = json!({"any": {"a": 1}, "names": {"BAD": 1}, "ref": 5, "mail": "nope", "list": [1, 1]});
        let expected = "\
- at '': missing property 'b\\'c'
- at '/any': 'anyOf' failed
  - at '/any': validation failed
    - at '/any': minProperties: got 1, want 3
    - at '/any': missing properties 'p', 'q'
  - at '/any': got object, want string
- at '/list': validation failed
  - at '/list': minItems: got 2, want 1,234
  - at '/list': items at 0 and 1 are equal
- at '/mail': 'nope' is not valid email: missing @
- at '': invalid propertyName 'BAD'
  - at '': maxLength: got 3, want 2
  - at '': 'BAD' does not match pattern '^[a-z]+$'
- at '/ref': got number, want string
";
        assert_eq!(check(schema, values), expected);
    }

    #[test]
    fn formats_are_checked_up_to_draft_7_only() {
        assert_eq!(check(json!({"properties": {"a": {"format": "email"}}}), json!({"a": "x"})), "");
    }

    #[test]
    fn bad_schemas_are_explained() {
        let invalid = check(json!({"type": "objekt"}), json!({}));
        assert!(
            invalid.starts_with(
                "\"file:///values.schema.json#\" is not valid against metaschema: jsonschema validation failed with \
                 'https://json-schema.org/draft/2020-12/schema#'\n- at '': 'allOf' failed\n"
            ) || invalid.contains("- at '/type': 'anyOf' failed"),
            "{invalid}"
        );
        let missing = check(json!({"properties": {"a": {"$ref": "#/nope"}}}), json!({}));
        assert_eq!(missing, "json-pointer in \"file:///values.schema.json#/nope\" not found");
        let remote = check(json!({"properties": {"a": {"$ref": "http://x.example/s.json"}}}), json!({}));
        assert!(remote.starts_with("failing loading \"http://x.example/s.json\": "), "{remote}");
        let outside = check(json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), json!({}));
        assert!(outside.starts_with("failing loading \"file:///etc/passwd\": "), "{outside}");
        assert_eq!(validate(b"{", &json!({}), &NoRemoteSchemas).unwrap_err(), "unexpected EOF");
        assert_eq!(
            validate(b"{}x", &json!({}), &NoRemoteSchemas).unwrap_err(),
            "invalid character after top-level value"
        );
    }
}
