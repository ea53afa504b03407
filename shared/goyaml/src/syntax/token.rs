//! Tokens, positions and comments as the scanner produces them.

/// A position in the text. All counts start at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Byte offset; signed because a block may end "before" the text.
    pub index: i32,
    pub line: u32,
    /// Characters since the start of the line.
    pub column: u32,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    StreamStart,
    StreamEnd,
    VersionDirective,
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ScalarStyle {
    #[default]
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

/// A token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub style: ScalarStyle,
    pub start: Mark,
    pub end: Mark,
    /// The text of a scalar, the name of an anchor, the handle of a tag, the version of `%YAML`.
    pub value: String,
    /// The suffix of a tag or the prefix of a `%TAG`.
    pub suffix: Option<Box<str>>,
}

impl Token {
    pub fn new(kind: TokenKind, start: Mark, end: Mark) -> Token {
        Token { kind, style: ScalarStyle::Plain, start, end, value: String::new(), suffix: None }
    }

    pub fn with_value(kind: TokenKind, start: Mark, end: Mark, value: String) -> Token {
        Token { kind, style: ScalarStyle::Plain, start, end, value, suffix: None }
    }
}

/// Where a comment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommentPlace {
    Head,
    Line,
    Foot,
}

/// A comment that waits for the token it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub place: CommentPlace,
    pub text: String,
    /// Where scanning for comments began.
    pub scan: Mark,
    /// The token it belongs to begins here or later.
    pub token: Mark,
    pub start: Mark,
    pub end: Mark,
}
