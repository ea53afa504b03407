//! Which values of a document are encrypted.

use regex::Regex;

/// The rule of a file. Without one, everything is encrypted except below keys that end in `_unencrypted`.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All but what is below a key with this suffix.
    UnencryptedSuffix(String),
    /// Only what is below a key with this suffix.
    EncryptedSuffix(String),
    /// All but what is below a key that matches. `None` is a pattern that matches nothing because it is invalid.
    UnencryptedRegex(Option<Regex>),
    /// Only what is below a key that matches.
    EncryptedRegex(Option<Regex>),
    /// All but what has a comment that matches before it or before something around it.
    UnencryptedCommentRegex(Option<Regex>),
    /// Only what has such a comment.
    EncryptedCommentRegex(Option<Regex>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::UnencryptedSuffix("_unencrypted".to_owned())
    }
}

impl Selection {
    /// Whether the leaf at `path` is encrypted. `comments` are those before it and before each thing around it, outermost first;
    /// the last of them is the leaf itself when that is a comment.
    pub(crate) fn includes(&self, path: &[String], comments: &[Vec<String>], is_comment: bool) -> bool {
        let any_key = |test: &dyn Fn(&str) -> bool| path.iter().any(|key| test(key));
        let any_comment =
            |pattern: &Option<Regex>| comments.iter().flatten().any(|comment| matches(pattern, comment));
        match self {
            Self::UnencryptedSuffix(suffix) => !any_key(&|key| key.ends_with(suffix.as_str())),
            Self::EncryptedSuffix(suffix) => any_key(&|key| key.ends_with(suffix.as_str())),
            Self::UnencryptedRegex(pattern) => !any_key(&|key| matches(pattern, key)),
            Self::EncryptedRegex(pattern) => any_key(&|key| matches(pattern, key)),
            Self::UnencryptedCommentRegex(pattern) => !any_comment(pattern),
            Self::EncryptedCommentRegex(pattern) => {
                let itself = is_comment
                    && comments
                        .last()
                        .and_then(|level| level.last())
                        .is_some_and(|text| matches(pattern, text));
                any_comment(pattern) && !itself
            }
        }
    }
}

fn matches(pattern: &Option<Regex>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}
