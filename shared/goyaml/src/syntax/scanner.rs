//! The scanner: characters to tokens.
//!
//! It follows libyaml's token grammar, with go-yaml v3's look-ahead of three tokens when comments are kept: that
//! look-ahead decides which error is seen first and which token a comment belongs to.

mod cursor;

use std::collections::VecDeque;

use super::input::Input;
use super::token::{Comment, Mark, Token, TokenKind};
use super::{Dialect, MAX_DEPTH, Stage, SyntaxError};

pub(crate) use cursor::{count_characters, is_break};

/// Turns text into tokens on demand.
pub(crate) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    problem: Option<&'static str>,
    dialect: Dialect,
    pub(super) mark: Mark,
    /// Line breaks since the last character that is no blank.
    pub(super) newlines: u32,
    pub(super) tokens: VecDeque<Token>,
    tokens_parsed: usize,
    ready: bool,
    started: bool,
    pub(super) indent: i32,
    indents: Vec<i32>,
    pub(super) flow_level: usize,
    pub(super) simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    pub(super) comments: VecDeque<Comment>,
    /// Whether the text of block scalars is left out.
    pub(super) discards_block_scalars: bool,
}

/// A place where `key:` may turn out to have begun.
#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token_number: usize,
    mark: Mark,
    /// Whether the token queue waits for it.
    awaited: bool,
}

pub(super) type Scan<T> = Result<T, SyntaxError>;

impl<'a> Scanner<'a> {
    pub fn new(input: &'a Input<'_>, dialect: Dialect) -> Scanner<'a> {
        Scanner {
            text: &input.text,
            bytes: input.text.as_bytes(),
            problem: input.problem,
            dialect,
            mark: Mark::default(),
            newlines: 0,
            tokens: VecDeque::with_capacity(16),
            tokens_parsed: 0,
            ready: false,
            started: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            comments: VecDeque::new(),
            discards_block_scalars: false,
        }
    }

    /// The next token, left in the queue.
    pub fn peek(&mut self) -> Scan<&mut Token> {
        if !self.ready {
            self.fetch_more_tokens()?;
        }
        let mark = self.mark;
        match self.tokens.front_mut() {
            Some(token) => Ok(token),
            None => Err(scanner_error(mark, mark, "no more tokens")),
        }
    }

    /// The comments that belong to the next token or before it are handed to `take`; it says whether to go on.
    pub fn take_comments(&mut self, mut take: impl FnMut(&Token, &mut Comment) -> bool) {
        let Some(token) = self.tokens.front() else { return };
        while let Some(comment) = self.comments.front_mut() {
            if token.start.index < comment.token.index || !take(token, comment) {
                return;
            }
            self.comments.pop_front();
        }
    }

    /// Whether comments wait for their token.
    pub fn has_comments(&self) -> bool {
        !self.comments.is_empty()
    }

    /// Removes the next token from the queue.
    pub fn skip_token(&mut self) {
        self.ready = false;
        self.tokens_parsed += 1;
        self.tokens.pop_front();
    }

    /// Removes the next token, which must have been peeked, and returns it.
    pub fn take_token(&mut self) -> Scan<Token> {
        self.peek()?;
        self.ready = false;
        self.tokens_parsed += 1;
        let mark = self.mark;
        self.tokens.pop_front().ok_or_else(|| scanner_error(mark, mark, "no more tokens"))
    }

    fn fetch_more_tokens(&mut self) -> Scan<()> {
        let enough = match self.dialect {
            Dialect::V2 => 1,
            Dialect::V3 => 3,
        };
        loop {
            if self.tokens.len() >= enough {
                let head = self.tokens_parsed;
                let candidate = self
                    .simple_keys
                    .iter()
                    .position(|key| key.possible && key.awaited && key.token_number == head);
                match candidate {
                    None => break,
                    Some(at) => {
                        if !self.simple_key_is_valid(at)? {
                            break;
                        }
                    }
                }
            }
            self.fetch_next_token()?;
        }
        self.ready = true;
        Ok(())
    }

    fn fetch_next_token(&mut self) -> Scan<()> {
        let result = self.fetch_any_token();
        // What cannot be read is noticed before what it seems to be.
        match self.problem {
            Some(problem) if self.position() + 4 > self.bytes.len() => Err(SyntaxError {
                stage: Stage::Reader,
                problem: problem.to_owned(),
                line: 0,
                context_line: 0,
            }),
            _ => result,
        }
    }

    fn fetch_any_token(&mut self) -> Scan<()> {
        if !self.started {
            self.started = true;
            self.push(TokenKind::StreamStart, self.mark, self.mark);
            return Ok(());
        }
        let scan_mark = self.mark;
        self.scan_to_next_token()?;
        self.unroll_indent(self.mark.column as i32, scan_mark);
        if self.at_end() {
            return self.fetch_stream_end();
        }
        let byte = self.byte(0);
        if self.mark.column == 0 {
            if byte == b'%' {
                return self.fetch_directive();
            }
            if let Some(kind) = self.document_indicator() {
                return self.fetch_document_indicator(kind);
            }
        }
        let mut comment_mark = self.mark;
        if self.flow_level == 0 && byte == b':' || self.flow_level > 0 && byte == b',' {
            // A comment after these belongs to the token before.
            if let Some(last) = self.tokens.back() {
                comment_mark = last.start;
            }
        }
        self.fetch_content(byte)?;
        if self.dialect == Dialect::V3 {
            // A sequence indicator alone has no line comment: it becomes the head of what follows.
            let after_entry = self.tokens.back().is_some_and(|token| token.kind == TokenKind::BlockEntry);
            if !after_entry {
                self.scan_line_comment(comment_mark);
            }
        }
        Ok(())
    }

    fn fetch_content(&mut self, byte: u8) -> Scan<()> {
        let flow = self.flow_level > 0;
        match byte {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blankz(1) => self.fetch_block_entry(),
            b'?' if flow || self.is_blankz(1) => self.fetch_key(),
            b':' if flow || self.is_blankz(1) => self.fetch_value(),
            b'*' => self.fetch_anchor(TokenKind::Alias),
            b'&' => self.fetch_anchor(TokenKind::Anchor),
            b'!' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_tag()?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'|' | b'>' if !flow => {
                self.remove_simple_key()?;
                self.simple_key_allowed = true;
                let token = self.scan_block_scalar(byte == b'|')?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'\'' | b'"' => {
                self.save_simple_key()?;
                self.simple_key_allowed = false;
                let token = self.scan_quoted_scalar(byte == b'\'')?;
                self.tokens.push_back(token);
                Ok(())
            }
            b'-' | b'?' | b':' => self.fetch_plain_scalar(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => Err(self.error_here(CANNOT_START)),
            _ if self.is_blankz(0) => Err(self.error_here(CANNOT_START)),
            _ => self.fetch_plain_scalar(),
        }
    }

    fn fetch_plain_scalar(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_plain_scalar()?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.unroll_indent(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_directive()?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind) -> Scan<()> {
        self.unroll_indent(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip_ascii(3);
        self.push(kind, start, self.mark);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind) -> Scan<()> {
        self.save_simple_key()?;
        let key =
            SimpleKey { token_number: self.next_token_number(), mark: self.mark, ..SimpleKey::default() };
        self.simple_keys.push(key);
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(self.error_here(&too_deep()));
        }
        self.simple_key_allowed = true;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind) -> Scan<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            // An empty collection makes go-yaml forget that it may be a key itself: `[]: x` reads as `[]`.
            let closed = self.simple_keys.pop().unwrap_or_default().token_number;
            if let Some(outer) = self.simple_keys.last_mut().filter(|key| key.token_number == closed) {
                outer.awaited = false;
            }
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        // In flow context it is an error, which the parser reports.
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error_here("block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.mark, None, TokenKind::BlockSequenceStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error_here("mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.mark, None, TokenKind::BlockMappingStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let last = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(last)? {
            let key = self.simple_keys[last];
            // A key whose token is gone already is noted at the end.
            let at = key.token_number.checked_sub(self.tokens_parsed).unwrap_or(self.tokens.len());
            self.tokens.insert(at, Token::new(TokenKind::Key, key.mark, key.mark));
            let at = key.token_number.checked_sub(self.tokens_parsed).unwrap_or(self.tokens.len());
            self.roll_indent(key.mark, Some(at), TokenKind::BlockMappingStart)?;
            self.simple_keys[last].possible = false;
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.error_here("mapping values are not allowed in this context"));
                }
                self.roll_indent(self.mark, None, TokenKind::BlockMappingStart)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(TokenKind::Value);
        Ok(())
    }

    fn fetch_anchor(&mut self, kind: TokenKind) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_anchor(kind)?;
        self.tokens.push_back(token);
        Ok(())
    }

    /// Consumes white space and comments. A byte order mark is text to go-yaml, but for a second one at the start.
    fn scan_to_next_token(&mut self) -> Scan<()> {
        let scan_mark = self.mark;
        if self.mark.index == 0 && self.text.starts_with('\u{FEFF}') {
            self.mark.index = 3;
            self.mark.column = 1;
        }
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            let blanks = self.rest().iter().take_while(|&&b| b == b' ' || tabs && b == b'\t').count();
            self.mark.index += blanks as i32;
            self.mark.column += blanks as u32;
            if self.dialect == Dialect::V3 {
                self.lift_entry_comment();
            }
            if self.byte(0) == b'#' {
                match self.dialect {
                    Dialect::V3 => self.scan_comments(scan_mark),
                    Dialect::V2 => self.skip_to_break(),
                }
            }
            if self.is_break(0) {
                self.skip_break();
                if self.flow_level == 0 {
                    self.simple_key_allowed = true;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn next_token_number(&self) -> usize {
        self.tokens_parsed + self.tokens.len()
    }

    fn save_simple_key(&mut self) -> Scan<()> {
        let required = self.flow_level == 0 && self.indent == self.mark.column as i32;
        if self.simple_key_allowed {
            self.remove_simple_key()?;
            let key = SimpleKey {
                possible: true,
                required,
                token_number: self.next_token_number(),
                mark: self.mark,
                awaited: true,
            };
            if let Some(last) = self.simple_keys.last_mut() {
                *last = key;
            }
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Scan<()> {
        let mark = self.mark;
        if let Some(key) = self.simple_keys.last_mut().filter(|key| key.possible) {
            if key.required {
                return Err(scanner_error(mark, key.mark, "could not find expected ':'"));
            }
            key.possible = false;
        }
        Ok(())
    }

    /// Whether the `:` for this key may still come: on the same line and within 1024 characters.
    fn simple_key_is_valid(&mut self, at: usize) -> Scan<bool> {
        let mark = self.mark;
        let key = &mut self.simple_keys[at];
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < mark.line || key.mark.column + 1024 < mark.column {
            if key.required {
                return Err(scanner_error(mark, key.mark, "could not find expected ':'"));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// Opens a block collection when `mark` is further right than the current one.
    fn roll_indent(&mut self, mark: Mark, at: Option<usize>, kind: TokenKind) -> Scan<()> {
        if self.flow_level > 0 || self.indent >= mark.column as i32 {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = mark.column as i32;
        if self.indents.len() > MAX_DEPTH {
            return Err(self.error_here(&too_deep()));
        }
        let token = Token::new(kind, mark, mark);
        match at {
            Some(at) => self.tokens.insert(at, token),
            None => self.tokens.push_back(token),
        }
        Ok(())
    }

    /// Closes the block collections that are further right than `column`.
    fn unroll_indent(&mut self, column: i32, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut block_mark = scan_mark;
        block_mark.index -= 1;
        while self.indent > column {
            // The end of a block comes before the foot comments of its parents: look back for comments at
            // the indentation of the block that ends here.
            let mut stop = block_mark.index;
            for comment in self.comments.iter().rev() {
                if comment.end.index < stop {
                    break;
                }
                if comment.start.column as i32 == self.indent + 1 {
                    block_mark = comment.start;
                }
                stop = comment.scan.index;
            }
            self.push(TokenKind::BlockEnd, block_mark, block_mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn push(&mut self, kind: TokenKind, start: Mark, end: Mark) {
        self.tokens.push_back(Token::new(kind, start, end));
    }

    /// Consumes one character and makes a token of it.
    fn push_indicator(&mut self, kind: TokenKind) {
        let start = self.mark;
        self.skip_ascii(1);
        self.push(kind, start, self.mark);
    }

    pub(super) fn keeps_comments(&self) -> bool {
        self.dialect == Dialect::V3
    }

    pub(super) fn error_here(&self, problem: &str) -> SyntaxError {
        scanner_error(self.mark, self.mark, problem)
    }
}

const CANNOT_START: &str = "found character that cannot start any token";

fn too_deep() -> String {
    format!("exceeded max depth of {MAX_DEPTH}")
}

pub(super) fn scanner_error(at: Mark, context: Mark, problem: &str) -> SyntaxError {
    SyntaxError {
        stage: Stage::Scanner,
        problem: problem.to_owned(),
        line: at.line,
        context_line: context.line,
    }
}
