//! Variable substitution with the expression dialect of Flux's post-build step: `${name}` and the
//! bash-like forms for defaults, substrings, trimming, replacing and letter case.
//!
//! The dialect looks like bash and is not: the differences that manifests rely on are kept, see
//! [`substitute`].

mod evaluate;
mod glob;
mod parse;

use std::collections::BTreeMap;

/// How deep expressions may be nested in each other.
pub const MAX_DEPTH: usize = 64;

/// How many bytes a substitution may produce.
pub const MAX_OUTPUT: usize = 64 << 20;

/// Why a text cannot be substituted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An expression does not end.
    #[error("missing closing brace")]
    MissingClosingBrace,
    /// `${` is not followed by a name.
    #[error("unable to parse variable name")]
    VariableName,
    /// The operator or its delimiters are wrong.
    #[error("bad substitution")]
    BadSubstitution,
    /// An operator lacks its argument.
    #[error("unable to parse substitution within function")]
    Argument,
    /// The operator of a default is wrong.
    #[error("unable to parse default function")]
    Default,
    /// A variable has no value and strict mode is on.
    #[error("variable not set (strict mode): \"{0}\"")]
    NotSet(String),
    /// Expressions are nested deeper than [`MAX_DEPTH`].
    #[error("expressions are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The result is larger than [`MAX_OUTPUT`].
    #[error("the result is larger than {MAX_OUTPUT} bytes")]
    TooLarge,
    /// A substring has a negative length.
    #[error("substring of variable \"{0}\" has a negative length")]
    NegativeLength(String),
    /// A substring or trim cuts a character in two.
    #[error("the value of variable \"{0}\" is cut inside of a character")]
    CutCharacter(String),
}

/// Replaces the expressions in a text by the values of variables.
///
/// - `$$` outside of expressions is `$`; a `$` that starts no expression is kept.
/// - `${v=d}`, `${v:=d}`, `${v:-d}`, `${v:?d}` and `${v:+d}` all mean: the value if it is not empty,
///   else `d`.
/// - Substrings count bytes, `#` and `%` trim globs, `/` replaces literal text.
/// - In strict mode an unknown variable is an error, except where a default is given; otherwise it
///   is empty.
///
/// # Errors
///
/// Malformed expressions, unknown variables in strict mode, and results over the limits.
///
/// ```
/// let variables = [("name".to_owned(), "shop".to_owned())].into();
/// let text = fluxide_envsubst::substitute("${name}-${tier:=test}", &variables, true)?;
/// assert_eq!(text, "shop-test");
/// # Ok::<(), fluxide_envsubst::Error>(())
/// ```
pub fn substitute(text: &str, variables: &BTreeMap<String, String>, strict: bool) -> Result<String, Error> {
    evaluate::evaluate(&parse::parse(text)?, variables, strict)
}

/// True when a name may be used for a variable that is provided: a letter or underscore, then
/// letters, digits and underscores, all ASCII.
pub fn is_valid_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first == '_' || first.is_ascii_alphabetic())
        && characters.all(|c| c == '_' || c.is_ascii_alphanumeric())
}
