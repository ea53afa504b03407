//! The tokens that the parser looks at: Go's parser steps back by up to three.

use super::Parser;
use crate::error::Error;
use crate::parse::lexer::{Token, TokenKind};

impl Parser<'_> {
    pub(super) fn next(&mut self) -> Token {
        if self.state.peeked > 0 {
            self.state.peeked -= 1;
        } else {
            self.state.tokens[0] = self.lexer.next_token();
        }
        self.state.tokens[self.state.peeked]
    }

    pub(super) fn back_up(&mut self) {
        self.state.peeked += 1;
    }

    pub(super) fn back_up_2(&mut self, first: Token) {
        self.state.tokens[1] = first;
        self.state.peeked = 2;
    }

    pub(super) fn back_up_3(&mut self, first: Token, second: Token) {
        self.state.tokens[1] = second;
        self.state.tokens[2] = first;
        self.state.peeked = 3;
    }

    pub(super) fn peek(&mut self) -> Token {
        if self.state.peeked == 0 {
            self.state.peeked = 1;
            self.state.tokens[0] = self.lexer.next_token();
        }
        self.state.tokens[self.state.peeked - 1]
    }

    pub(super) fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != TokenKind::Space {
                return token;
            }
        }
    }

    pub(super) fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.back_up();
        token
    }

    pub(super) fn expect(&mut self, kind: TokenKind, context: &str) -> Result<(), Error> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(()) } else { Err(self.unexpected(token, context)) }
    }
}
