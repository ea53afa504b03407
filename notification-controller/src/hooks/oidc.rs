//! `generic-oidc`: tokens of the issuers that a receiver lists, judged by its expressions.

use std::collections::HashSet;
use std::sync::Arc;

use fluxide_cel::{Error as CelError, Expression};
use fluxide_notification_api::receiver::OidcProvider;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::issuer_keys::{self, Documents};
use super::jwt::{self, Keys, Token};
use crate::notifier::policy::AddressPolicy;

const DEFAULT_AUDIENCE: &str = "notification-controller";
const DEFAULT_ALGORITHM: &str = "RS256";
/// What expressions know about.
const NAMES: [&str; 2] = ["claims", "vars"];

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has no token.
    #[error("the Authorization header is missing or malformed")]
    NoToken,
    /// Its token cannot be read.
    #[error("failed to parse bearer token: {0}")]
    Parse(jwt::Error),
    /// The issuer is not on the list.
    #[error("no oidcProvider configured for issuer {0:?}")]
    UnknownIssuer(String),
    /// The issuer cannot be asked.
    #[error("failed to initialize OIDC provider for issuer {issuer:?}: {reason}")]
    Discovery {
        /// Which.
        issuer: String,
        /// Why not.
        reason: String,
    },
    /// Its token is not good.
    #[error("failed to verify OIDC token: {0}")]
    Verify(jwt::Error),
    /// An expression cannot be used.
    #[error("invalid oidcProvider configuration for issuer {issuer:?}: {reason}")]
    Expression {
        /// Of which issuer.
        issuer: String,
        /// Why not.
        reason: String,
    },
    /// A variable cannot be evaluated.
    #[error("failed to evaluate variable {name:?}: {error}")]
    Variable {
        /// Which.
        name: String,
        /// Why not.
        error: CelError,
    },
    /// A validation cannot be evaluated.
    #[error("failed to evaluate validation: {0}")]
    Validation(CelError),
    /// The claims are not as they should be.
    #[error("token validation failed: {0}")]
    Claims(String),
}

/// What an issuer says about itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
}

/// What is known of issuers. Cloning shares it.
#[derive(Clone)]
pub struct Issuers {
    discoveries: Documents<Discovery>,
    keys: Documents<Keys>,
}

impl Issuers {
    /// Asks issuers at addresses that a policy allows.
    pub fn new(policy: AddressPolicy) -> Self {
        Self { discoveries: Documents::new(policy.clone()), keys: Documents::new(policy) }
    }
}

/// The expressions for the tokens of an issuer.
struct Expressions {
    variables: Vec<(String, Expression)>,
    validations: Vec<(String, Expression)>,
}

impl Issuers {
    /// The claims of the token in a header, if one of these issuers vouches for them.
    pub async fn check(&self, providers: &[OidcProvider], authorization: &str) -> Result<Value, Error> {
        let token = jwt::bearer(authorization).ok_or(Error::NoToken)?;
        let token = Token::parse(token).map_err(Error::Parse)?;
        let issuer = token.issuer().map_err(Error::Parse)?.to_owned();
        let provider = providers.iter().find(|provider| provider.issuer_url == issuer);
        let provider = provider.ok_or_else(|| Error::UnknownIssuer(issuer.clone()))?;
        let expressions =
            compile(provider).map_err(|reason| Error::Expression { issuer: issuer.clone(), reason })?;
        let unusable = |reason: String| Error::Discovery { issuer: issuer.clone(), reason };
        let discovery = self.discover(&issuer).await.map_err(unusable)?;
        let keys = self.keys.keys(&discovery.jwks_uri, |keys| token.has_key(keys)).await;
        let keys = keys.map_err(|error| unusable(error.to_string()))?;
        let advertised = &discovery.id_token_signing_alg_values_supported;
        let default = [DEFAULT_ALGORITHM.to_owned()];
        let algorithms = if advertised.is_empty() { &default[..] } else { advertised };
        let audience = provider.audience.as_deref().filter(|audience| !audience.is_empty());
        let audience = audience.unwrap_or(DEFAULT_AUDIENCE);
        let claims = token.verify(&keys, algorithms, audience, Timestamp::now()).map_err(Error::Verify)?;
        expressions.judge(&claims)?;
        Ok(claims)
    }

    async fn discover(&self, issuer: &str) -> Result<Arc<Discovery>, String> {
        if let Some(discovery) = self.discoveries.kept(issuer) {
            return Ok(discovery);
        }
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let fetched = self.discoveries.fetch::<Discovery>(&address).await;
        let fetched = fetched.map_err(|error: issuer_keys::Error| error.to_string())?;
        if fetched.document.issuer != issuer {
            return Err(format!("it calls itself {:?}", fetched.document.issuer));
        }
        Ok(self.discoveries.keep(issuer, fetched))
    }
}

impl Expressions {
    fn judge(&self, claims: &Value) -> Result<(), Error> {
        let mut known = Map::new();
        known.insert("claims".to_owned(), claims.clone());
        known.insert("vars".to_owned(), json!({}));
        for (name, expression) in &self.variables {
            let value = expression.evaluate_json(&known);
            let value = value.map_err(|error| Error::Variable { name: name.clone(), error })?;
            known["vars"][name] = value;
        }
        let mut failed = Vec::new();
        for (message, expression) in &self.validations {
            if !expression.evaluate_bool_with_doubles(&known).map_err(Error::Validation)? {
                failed.push(message.as_str());
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Error::Claims(failed.join("; "))) }
    }
}

/// Whether a list of issuers makes sense, also where the API server does not check it.
pub fn check(providers: &[OidcProvider]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (index, provider) in providers.iter().enumerate() {
        let issuer = provider.issuer_url.as_str();
        let here = format!("oidcProviders[{index}]");
        let there = format!("{here} (issuerURL={issuer:?})");
        if issuer.is_empty() {
            return Err(format!("{here}: issuerURL is required"));
        }
        if !issuer.starts_with("http://") && !issuer.starts_with("https://") {
            return Err(format!("{here}: issuerURL {issuer:?} must start with http:// or https://"));
        }
        if !seen.insert(issuer) {
            return Err(format!("{here}: duplicate issuerURL {issuer:?}"));
        }
        if provider.validations.is_empty() {
            return Err(format!(
                "{there}: at least one validation is required; without validations any caller able to obtain a token from this issuer can trigger the Receiver"
            ));
        }
        for (index, variable) in provider.variables.iter().enumerate() {
            if variable.name.is_empty() {
                return Err(format!("{there}: variables[{index}]: name is required"));
            }
            if variable.expression.is_empty() {
                let name = &variable.name;
                return Err(format!("{there}: variables[{index}] (name={name:?}): expression is required"));
            }
        }
        for (index, validation) in provider.validations.iter().enumerate() {
            if validation.expression.is_empty() {
                return Err(format!("{there}: validations[{index}]: expression is required"));
            }
            if validation.message.is_empty() {
                return Err(format!("{there}: validations[{index}]: message is required"));
            }
        }
    }
    Ok(())
}

/// Compiles all expressions, to see whether they can be used.
pub fn compile_all(providers: &[OidcProvider]) -> Result<(), String> {
    for (index, provider) in providers.iter().enumerate() {
        compile(provider).map_err(|error| {
            format!("oidcProviders[{index}] (issuerURL={:?}): {error}", provider.issuer_url)
        })?;
    }
    Ok(())
}

fn compile(provider: &OidcProvider) -> Result<Expressions, String> {
    let mut expressions = Expressions { variables: Vec::new(), validations: Vec::new() };
    for variable in &provider.variables {
        let compiled = Expression::parse_checked_any(&variable.expression, &NAMES)
            .map_err(|error| format!("invalid expression for variable {:?}: {error}", variable.name))?;
        expressions.variables.push((variable.name.clone(), compiled));
    }
    for validation in &provider.validations {
        let compiled = Expression::parse_checked(&validation.expression, &NAMES).map_err(|error| {
            format!("invalid expression for validation {:?}: {error}", validation.message)
        })?;
        expressions.validations.push((validation.message.clone(), compiled));
    }
    Ok(expressions)
}
