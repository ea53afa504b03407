//! values.schema.json: checks values against JSON schemas of drafts 4 to 2020-12, with Helm's words for what is wrong.

mod display;
mod format;
mod plain;

use std::error::Error as StdError;

use boon::{CompileError, Compiler, ErrorKind, Schemas, UrlLoader};
use fluxide_gotemplate::{go, regular_expression_error};
use fluxide_gotext::quote_str;
use serde_json::Value as Json;

use crate::json::without_lone_surrogates;
use display::Display;

/// The name the schema of a chart goes by.
const LOCATION: &str = "file:///values.schema.json";

/// How deep a schema may nest.
const MAX_DEPTH: usize = 256;

/// Gives schemas that other schemas refer to by address. A chart is hostile input: think before fetching what it names.
pub trait SchemaLoader {
    /// The schema at the address, which is absolute, or why there is none.
    fn load(&self, url: &str) -> Result<Json, String>;

    /// What to say of a schema that is looked for in a file of this machine. None is ever read.
    fn refuse_file(&self) -> fn(&str) -> String {
        |path| format!("open {path}: schemas outside the chart are not read; copy it into the chart")
    }
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

/// Checks a chart's values against its own schema, for a linter. Without a schema all is well.
pub(crate) fn validate_alone(
    schema: &[u8],
    values: &crate::values::Table,
    loader: &dyn SchemaLoader,
) -> Result<(), String> {
    if schema.is_empty() {
        return Ok(());
    }
    validate(schema, &Json::from(fluxide_goyaml::Value::Object(values.clone())), loader)
}

/// Checks values against one schema. The error is what is wrong, a line for each cause, as Helm prints it.
pub fn validate(schema: &[u8], values: &Json, loader: &dyn SchemaLoader) -> Result<(), String> {
    let schema = parse(schema)?;
    if plain::certainly_fits(&schema, values) {
        return Ok(());
    }
    library(&schema, values, loader)
}

fn library(schema: &Json, values: &Json, loader: &dyn SchemaLoader) -> Result<(), String> {
    let mut compiler = Compiler::new();
    let documents = References::resolve(schema, loader);
    compiler.use_loader(Box::new(documents));
    format::register(&mut compiler);
    compiler.add_resource(LOCATION, schema.clone()).map_err(|error| compile_error(&error))?;
    let mut schemas = Schemas::new();
    let index = compiler.compile(LOCATION, &mut schemas).map_err(|error| compile_error(&error))?;
    schemas.validate(values, index).map_err(|error| {
        let mut out = String::new();
        Display { out: &mut out, schema: Some(schema), relative: false }.causes(&error, 1);
        out.push('\n');
        out.trim_start_matches('\n').to_owned()
    })
}

/// Reads the schema with the words of Go's decoder.
fn parse(schema: &[u8]) -> Result<Json, String> {
    let schema = &*without_lone_surrogates(schema);
    let mut stream = serde_json::Deserializer::from_slice(schema).into_iter::<Json>();
    let value = match stream.next() {
        Some(Ok(value)) => value,
        None => return Err("EOF".to_owned()),
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".to_owned()),
        Some(Err(error)) => {
            return Err(go::check_json(schema).err().unwrap_or_else(|| format!("invalid JSON: {error}")));
        }
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
    refuse_file: fn(&str) -> String,
}

/// How many documents a schema may pull in.
const MAX_DOCUMENTS: usize = 64;

impl References {
    fn resolve(schema: &Json, loader: &dyn SchemaLoader) -> References {
        let mut references = References { documents: Vec::new(), refuse_file: loader.refuse_file() };
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
        if let Some(rest) = url.strip_prefix("file://") {
            // What stands before the path is a host, which files have none of.
            let path = rest.find('/').map_or("", |at| &rest[at..]);
            return Err((self.refuse_file)(path).into());
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
            Display { out: &mut out, schema: None, relative: false }.causes(src, 1);
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
            let problem = regular_expression_error(regex.as_bytes()).unwrap_or_else(|| src.to_string());
            format!("invalid regex {} at {}: {problem}", quote_str(regex), quote_str(url))
        }
        CompileError::Bug(error) => format!("unable to validate schema: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Json, values: Json) -> String {
        validate(schema.to_string().as_bytes(), &values, &NoRemoteSchemas).err().unwrap_or_default()
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
    fn combinators_that_fail_at_several_places_are_told_for_each() {
        let schema = json!({"properties": {
            "m": {"additionalProperties": {"allOf": [{"type": "string", "minLength": 3}]}},
            "l": {"items": {"oneOf": [{"type": "string"}]}}
        }});
        let expected = "\
- at '/l': validation failed
  - at '/l/0': 'oneOf' failed, none matched
    - at '/l/0': got number, want string
  - at '/l/1': 'oneOf' failed, none matched
    - at '/l/1': got number, want string
- at '/m': validation failed
  - at '/m/a': 'allOf' failed
    - at '/m/a': got number, want string
  - at '/m/b': 'allOf' failed
    - at '/m/b': minLength: got 1, want 3
";
        assert_eq!(check(schema, json!({"l": [1, 2], "m": {"a": 1, "b": "x", "c": "long"}})), expected);
    }

    #[test]
    fn combinators_that_fail_for_one_schema_are_told() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {
                "deep": {"allOf": [{"allOf": [{"required": ["x"], "minProperties": 9}]}]},
                "text": {"oneOf": [{"type": "string", "pattern": "\\d"}]}
            },
            "properties": {"a": {"$ref": "#/definitions/deep"}},
            "allOf": [{"properties": {"b": {"anyOf": [{"$ref": "#/definitions/text"}]}}}]
        });
        let expected = "\
- at '/a': 'allOf' failed
  - at '/a': 'allOf' failed
    - at '/a': validation failed
      - at '/a': minProperties: got 0, want 9
      - at '/a': missing property 'x'
- at '': 'allOf' failed
  - at '/b': 'anyOf' failed
    - at '/b': 'oneOf' failed, none matched
      - at '/b': 'c' does not match pattern '\\\\d'
";
        assert_eq!(check(schema, json!({"a": {}, "b": "c"})), expected);
    }

    /// Whatever the quick check accepts, the library accepts; and it does accept a good part.
    #[test]
    fn the_quick_check_never_accepts_what_the_library_refuses() {
        let strategy = (random::schema(), random::value());
        let config = proptest::test_runner::Config { cases: 4_000, ..Default::default() };
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let counted = std::cell::Cell::new(0);
        runner
            .run(&strategy, |(schema, values)| {
                if plain::certainly_fits(&schema, &values) {
                    counted.set(counted.get() + 1);
                    let told = library(&schema, &values, &NoRemoteSchemas);
                    proptest::prop_assert_eq!(told, Ok(()), "{} with {}", schema, values);
                }
                Ok(())
            })
            .unwrap();
        assert!(counted.get() > 400, "only {} accepted", counted.get());
    }

    /// Schemas of few keywords with few values, so that they meet.
    mod random {
        use proptest::prelude::*;
        use serde_json::{Map, Value as Json, json};

        pub(super) fn value() -> impl Strategy<Value = Json> {
            let leaf = prop_oneof![
                prop::sample::select(vec![
                    json!(null),
                    json!(true),
                    json!(0),
                    json!(1),
                    json!(1.0),
                    json!(2.5),
                    json!(-3)
                ]),
                prop::sample::select(vec![
                    json!(""),
                    json!("a"),
                    json!("ü"),
                    json!("long text"),
                    json!(1u64 << 63)
                ]),
            ];
            leaf.prop_recursive(3, 12, 3, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
                    prop::collection::btree_map("[abc]", inner, 0..3)
                        .prop_map(|members| Json::Object(members.into_iter().collect())),
                ]
            })
        }

        pub(super) fn schema() -> impl Strategy<Value = Json> {
            let drafts = prop::sample::select(vec![
                None,
                Some("http://json-schema.org/draft-04/schema#"),
                Some("http://json-schema.org/draft-06/schema#"),
                Some("http://json-schema.org/draft-07/schema#"),
                Some("https://json-schema.org/draft/2019-09/schema"),
                Some("https://json-schema.org/draft/2020-12/schema"),
                Some("http://json-schema.org/schema#"),
                Some("https://json-schema.org/draft/2020-12/other"),
            ]);
            (drafts, keywords(), keywords()).prop_map(|(draft, mut schema, defined)| {
                if let Json::Object(members) = &mut schema {
                    members.extend(draft.map(|draft| ("$schema".to_owned(), json!(draft))));
                    members.extend(
                        draft.is_some().then(|| ("$id".to_owned(), json!("https://a.example/b.json"))),
                    );
                    let section = if members.contains_key("type") { "$defs" } else { "definitions" };
                    members.insert(section.to_owned(), json!({"d": defined}));
                }
                schema
            })
        }

        /// Mostly sound, sometimes not.
        fn keywords() -> impl Strategy<Value = Json> {
            let plain = prop_oneof![
                prop::sample::select(vec![
                    "string", "number", "integer", "object", "array", "null", "boolean", "text"
                ])
                .prop_map(|name| ("type", json!(name))),
                prop::sample::select(vec![
                    json!(["string", "object"]),
                    json!(["integer", "integer"]),
                    json!([])
                ])
                .prop_map(|names| ("type", names)),
                prop::collection::vec(value(), 0..3).prop_map(|items| ("enum", Json::Array(items))),
                value().prop_map(|item| ("const", item)),
                value().prop_map(|item| ("default", item)),
                (
                    prop::sample::select(vec![
                        "minimum",
                        "maximum",
                        "exclusiveMinimum",
                        "exclusiveMaximum",
                        "minLength",
                        "maxLength",
                        "minItems",
                        "maxItems",
                        "minProperties",
                        "maxProperties",
                        "multipleOf",
                    ]),
                    prop::sample::select(vec![
                        json!(0),
                        json!(1),
                        json!(2),
                        json!(-1),
                        json!(1.5),
                        json!("1")
                    ])
                ),
                (
                    prop::sample::select(vec![
                        "title",
                        "description",
                        "format",
                        "pattern",
                        "form",
                        "$comment",
                        "$ref"
                    ]),
                    prop::sample::select(vec![
                        json!("email"),
                        json!("a"),
                        json!("^[ab]+$"),
                        json!("[b"),
                        json!("a{2,"),
                        json!("#/$defs/d"),
                        json!("#/definitions/d"),
                        json!(1)
                    ])
                ),
                (
                    prop::sample::select(vec!["uniqueItems", "additionalProperties", "items", "readOnly"]),
                    any::<bool>().prop_map(Json::Bool)
                ),
                prop::collection::vec("[abc]", 0..3).prop_map(|names| ("required", json!(names))),
            ];
            let object = |pairs: Vec<(&'static str, Json)>| {
                Json::Object(
                    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
                )
            };
            prop::collection::vec(plain.clone(), 0..3).prop_map(object).prop_recursive(
                3,
                16,
                3,
                move |inner| {
                    let nested = prop_oneof![
                        (
                            prop::sample::select(vec!["allOf", "anyOf", "oneOf"]),
                            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array)
                        ),
                        (
                            prop::sample::select(vec![
                                "not",
                                "if",
                                "then",
                                "else",
                                "items",
                                "additionalProperties"
                            ]),
                            inner.clone()
                        ),
                        prop::collection::btree_map("[abc^.]{0,2}", inner.clone(), 0..3).prop_map(
                            |members| ("patternProperties", Json::Object(members.into_iter().collect()))
                        ),
                        prop::collection::btree_map("[abc]", inner, 0..3)
                            .prop_map(|members| ("properties", Json::Object(members.into_iter().collect()))),
                    ];
                    (prop::collection::vec(plain.clone(), 0..2), prop::collection::vec(nested, 0..3))
                        .prop_map(move |(own, nested)| object([own, nested].concat()))
                },
            )
        }
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
