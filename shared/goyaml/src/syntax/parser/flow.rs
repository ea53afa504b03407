//! Collections in flow style: `[a, b: c]` and `{a: b}`.

use super::super::token::{Mark, TokenKind};
use super::{Event, EventKind, Parse, Parser, State, empty_scalar, event};

impl Parser<'_> {
    pub(super) fn flow_sequence_entry(&mut self, first: bool) -> Parse<Event> {
        if first {
            self.open_collection()?;
        }
        let (mut kind, mut mark) = self.peek_kind()?;
        if kind != TokenKind::FlowSequenceEnd {
            if !first {
                if kind != TokenKind::FlowEntry {
                    return Err(self.collection_error("did not find expected ',' or ']'", mark));
                }
                self.scanner.skip_token();
                (kind, mark) = self.peek_kind()?;
            }
            if kind == TokenKind::Key {
                self.scanner.skip_token();
                self.state = State::FlowPairKey;
                return Ok(Event { flow: true, ..event(EventKind::MappingStart, mark) });
            }
            if kind != TokenKind::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry);
                return self.node(false, false);
            }
        }
        self.close_flow(EventKind::SequenceEnd, mark)
    }

    /// The key of `[key: value]`.
    pub(super) fn flow_pair_key(&mut self) -> Parse<Event> {
        let (kind, _) = self.peek_kind()?;
        if !matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
            self.states.push(State::FlowPairValue);
            return self.node(false, false);
        }
        // libyaml consumes the token here, so `[? : x]` reads as a lone key.
        let end = self.scanner.take_token()?.end;
        self.state = State::FlowPairValue;
        Ok(empty_scalar(end))
    }

    pub(super) fn flow_pair_value(&mut self) -> Parse<Event> {
        let (kind, mark) = self.peek_kind()?;
        if kind == TokenKind::Value {
            self.scanner.skip_token();
            let (kind, _) = self.peek_kind()?;
            if !matches!(kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
                self.states.push(State::FlowPairEnd);
                return self.node(false, false);
            }
        }
        self.state = State::FlowPairEnd;
        Ok(empty_scalar(mark))
    }

    pub(super) fn flow_mapping_key(&mut self, first: bool) -> Parse<Event> {
        if first {
            self.open_collection()?;
        }
        let (mut kind, mut mark) = self.peek_kind()?;
        if kind != TokenKind::FlowMappingEnd {
            if !first {
                if kind != TokenKind::FlowEntry {
                    return Err(self.collection_error("did not find expected ',' or '}'", mark));
                }
                self.scanner.skip_token();
                (kind, mark) = self.peek_kind()?;
            }
            if kind == TokenKind::Key {
                self.scanner.skip_token();
                (kind, mark) = self.peek_kind()?;
                if !matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowMappingEnd) {
                    self.states.push(State::FlowMappingValue);
                    return self.node(false, false);
                }
                self.state = State::FlowMappingValue;
                return Ok(empty_scalar(mark));
            }
            if kind != TokenKind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.close_flow(EventKind::MappingEnd, mark)
    }

    pub(super) fn flow_mapping_value(&mut self, empty: bool) -> Parse<Event> {
        let (kind, mut mark) = self.peek_kind()?;
        if !empty && kind == TokenKind::Value {
            self.scanner.skip_token();
            let (kind, next) = self.peek_kind()?;
            if !matches!(kind, TokenKind::FlowEntry | TokenKind::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
            mark = next;
        }
        self.state = State::FlowMappingKey;
        Ok(empty_scalar(mark))
    }

    fn close_flow(&mut self, kind: EventKind, mark: Mark) -> Parse<Event> {
        self.pop_state();
        self.marks.pop();
        let comments = self.take_event_comments();
        self.scanner.skip_token();
        Ok(Event { comments, ..event(kind, mark) })
    }
}
