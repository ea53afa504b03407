//! Which token a comment belongs to, as go-yaml v3 decides it while scanning.

use super::scanner::Scanner;
use super::token::{Comment, CommentPlace, Mark, TokenKind};

/// How far go-yaml looks for a comment over blanks and empty lines.
const LOOK_AHEAD: usize = 512;

impl Scanner<'_> {
    /// A comment on the line of the token that was just scanned.
    pub(super) fn scan_line_comment(&mut self, token: Mark) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..LOOK_AHEAD).take_while(|&ahead| self.is_blank(ahead)).count();
        if blanks == LOOK_AHEAD || self.byte(blanks) != b'#' {
            return;
        }
        self.skip_run(self.position() + blanks);
        let start = self.mark;
        let text = self.read_comment();
        let (scan, end) = (Mark::default(), Mark::default());
        self.comments.push_back(Comment { place: CommentPlace::Line, text, scan, token, start, end });
    }

    /// `- # text` followed by an indented block: the comment is the head of that block.
    pub(super) fn lift_entry_comment(&mut self) {
        if self.comments.is_empty() {
            return;
        }
        let count = self.tokens.len();
        if count < 2 || self.is_break(0) {
            return;
        }
        if self.tokens[count - 2].kind != TokenKind::BlockSequenceStart
            || self.tokens[count - 1].kind != TokenKind::BlockEntry
        {
            return;
        }
        let mark = self.mark;
        if let Some(comment) = self.comments.back_mut().filter(|comment| comment.place == CommentPlace::Line)
        {
            comment.place = CommentPlace::Head;
            if comment.start.line + 1 == mark.line {
                comment.token = mark;
            }
        }
    }

    /// Comment lines between tokens: a foot of what was before, a head of what comes, or both with an empty line
    /// between them.
    pub(super) fn scan_comments(&mut self, scan_mark: Mark) {
        let Some(last) = self.tokens.back() else { return self.skip_to_break() };
        let mut token = last;
        if token.kind == TokenKind::FlowEntry && self.tokens.len() > 1 {
            token = &self.tokens[self.tokens.len() - 2];
        }
        let token_kind = token.kind;
        let mut scan = scan_mark;
        let mut token_mark = token.start;
        let mut start = Mark::default();
        let mut next_indent = i64::from(self.indent.max(0));
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let mut line = self.mark.line;
        let mut column = self.mark.column;
        let mut text = String::new();

        // A comment is still a foot of what was before when it starts on this line.
        let mut foot_line = -1;
        if scan_mark.line > 0 {
            foot_line = i64::from(self.mark.line) - i64::from(self.newlines) + 1;
            if self.newlines == 0 && self.mark.column > 1 {
                foot_line += 1;
            }
        }

        let mut peek = 0;
        while peek < LOOK_AHEAD {
            column += 1;
            if self.is_blank(peek) {
                peek += 1;
                continue;
            }
            let byte = self.byte(peek);
            let here = Mark { index: self.mark.index + peek as i32, line, column };
            let close_flow = self.flow_level > 0 && matches!(byte, b']' | b'}');
            let dedented = i64::from(start.column) - 1 < next_indent;
            if close_flow || self.is_breakz(peek) {
                if close_flow || !recent_empty {
                    let foot = close_flow
                        || first_empty
                            && (i64::from(start.line) == foot_line && token_kind != TokenKind::Value
                                || dedented);
                    if !foot {
                        if !text.is_empty() && byte != 0 {
                            text.push('\n');
                        }
                    } else if !text.is_empty() {
                        if dedented {
                            // It has nothing to do with the token before.
                            token_mark = start;
                        }
                        self.push_foot(&mut text, scan, token_mark, start, here);
                        scan = here;
                        token_mark = here;
                    }
                }
                if !self.is_break(peek) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                peek += 1;
                continue;
            }

            let shifted = i64::from(column) - 1 < next_indent && column != start.column;
            if !text.is_empty() && (close_flow || shifted) {
                // At another indentation: a foot of what was before rather than a head of what comes.
                self.push_foot(&mut text, scan, token_mark, start, here);
                scan = here;
                token_mark = here;
            }
            if byte != b'#' {
                break;
            }
            if text.is_empty() {
                start = here;
            } else {
                text.push('\n');
            }
            recent_empty = false;
            self.skip_lines_to(self.position() + peek);
            text.push_str(&self.read_comment());
            // The line break itself is not looked at again, so of CR LF the LF counts as an empty line.
            peek = 1;
            column = 0;
            line = self.mark.line;
            next_indent = i64::from(self.indent.max(0));
        }

        if !text.is_empty() {
            let end = Mark { index: self.mark.index + peek as i32 - 1, line, column };
            self.comments.push_back(Comment {
                place: CommentPlace::Head,
                text,
                scan,
                token: start,
                start,
                end,
            });
        }
    }

    fn push_foot(&mut self, text: &mut String, scan: Mark, token: Mark, start: Mark, end: Mark) {
        let text = std::mem::take(text);
        self.comments.push_back(Comment { place: CommentPlace::Foot, text, scan, token, start, end });
    }

    /// Consumes blanks and line breaks up to byte offset `to`.
    fn skip_lines_to(&mut self, to: usize) {
        while self.position() < to {
            if self.is_break(0) {
                self.skip_break();
            } else {
                self.mark.index += 1;
                self.mark.column += 1;
            }
        }
    }

    /// Consumes the text from `#` to the end of the line.
    fn read_comment(&mut self) -> String {
        let from = self.position();
        self.skip_to_break();
        self.text[from..self.position()].to_owned()
    }
}
