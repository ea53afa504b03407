//! Expressions that select, from the call of a webhook, the objects to reconcile.

use fluxide_cel::{Error as CelError, Expression};
use fluxide_notification_api::receiver::{Receiver, ReceiverResource};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::media_type;
use crate::lenient_json;

/// What expressions know about: the object, the body of the call, and the claims of its token.
pub fn names(with_claims: bool) -> &'static [&'static str] {
    if with_claims { &["res", "req", "claims"] } else { &["res", "req"] }
}

/// Compiles an expression.
pub fn compile(text: &str, names: &[&str]) -> Result<Expression, CelError> {
    Expression::parse_checked(text, names)
}

/// Why a call cannot be judged by expressions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its body is no JSON object.
    #[error("failed to parse request body as JSON: {0}")]
    Body(serde_json::Error),
    /// An expression cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CelError),
}

/// The expressions of a Receiver and the call they are about.
pub struct Filters {
    every: Option<Expression>,
    each: Vec<Option<Expression>>,
    request: Value,
    claims: Option<Value>,
}

impl Filters {
    /// Compiles the expressions and reads the body, which nobody needs if there are none.
    pub fn new(
        receiver: &Receiver,
        headers: &HeaderMap,
        body: &[u8],
        claims: Option<Value>,
    ) -> Result<Self, Error> {
        let names = names(claims.is_some());
        let compile = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
            Some(text) => compile(text, names).map(Some),
            None => Ok(None),
        };
        let every = compile(receiver.spec.resource_filter.as_deref())?;
        let each: Vec<Option<Expression>> = receiver
            .spec
            .resources
            .iter()
            .map(|resource| compile(resource.filter.as_deref()))
            .collect::<Result<_, _>>()?;
        let needs_body = every.is_some() || each.iter().any(Option::is_some);
        let request = if needs_body { request(headers, body).map_err(Error::Body)? } else { Value::Null };
        Ok(Self { every, each, request, claims })
    }

    /// Whether anything is asked about the objects of an entry.
    pub fn asks(&self, entry: usize) -> bool {
        self.every.is_some() || self.each.get(entry).is_some_and(Option::is_some)
    }

    /// Whether an object of an entry is selected.
    pub fn selects(&self, entry: usize, object: Value) -> Result<bool, CelError> {
        let mut variables = Map::new();
        variables.insert("res".to_owned(), object);
        variables.insert("req".to_owned(), self.request.clone());
        if let Some(claims) = &self.claims {
            variables.insert("claims".to_owned(), claims.clone());
        }
        for expression in self.every.iter().chain(self.each.get(entry).into_iter().flatten()) {
            if !expression.evaluate_bool_with_doubles(&variables)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The entry's own words, for messages.
pub fn describe(resource: &ReceiverResource) -> String {
    format!("{}/{}", resource.reference.kind.as_str(), resource.reference.name)
}

/// The body as expressions see it: a JSON object, that of the field `payload` of a form, or nothing.
fn request(headers: &HeaderMap, body: &[u8]) -> Result<Value, serde_json::Error> {
    let empty = || Value::Object(Map::new());
    let object = |bytes: &[u8]| {
        let bytes = lenient_json::mended(bytes);
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        Option::<Map<String, Value>>::deserialize(&mut reader)
            .map(|object| Value::Object(object.unwrap_or_default()))
    };
    if is_json(headers) {
        return object(body);
    }
    if is_form(headers) {
        let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
        return payload.map_or(Ok(empty()), |(_, payload)| object(payload.as_bytes()));
    }
    Ok(empty())
}

/// Whether one of the content types before the first that is none is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let kinds = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kinds.split(',').map_while(media_type::parse).any(|kind| kind == "application/json")
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(media_type::parse).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}
