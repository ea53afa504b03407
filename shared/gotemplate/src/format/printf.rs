//! `fmt.Sprintf`.

use super::verb::{Flags, Printer, integer_argument};
use crate::text::decode_rune;
use crate::value::Value;

/// Formats operands by a format text.
pub(crate) fn sprintf(format: &[u8], arguments: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new();
    let mut scan = Scan { format, at: 0, arguments, argument: 0, reordered: false, good_index: true };
    while scan.at < format.len() {
        let percent =
            memchr::memchr(b'%', &format[scan.at..]).map_or(format.len(), |distance| scan.at + distance);
        printer.out.extend_from_slice(&format[scan.at..percent]);
        scan.at = percent;
        if scan.at < format.len() {
            scan.at += 1;
            scan.verb(&mut printer);
        }
    }
    if !scan.reordered && scan.argument < arguments.len() {
        printer.flags = Flags::default();
        printer.out.extend_from_slice(b"%!(EXTRA ");
        for (at, value) in arguments[scan.argument..].iter().enumerate() {
            if at > 0 {
                printer.out.extend_from_slice(b", ");
            }
            if !matches!(value, Value::Nil) {
                printer.out.extend_from_slice(value.type_name().as_bytes());
                printer.out.push(b'=');
            }
            printer.print_argument(value, 'v');
        }
        printer.out.push(b')');
    }
    printer.out
}

struct Scan<'a> {
    format: &'a [u8],
    at: usize,
    arguments: &'a [Value],
    argument: usize,
    /// An index such as `%[2]d` was used; then surplus operands are not reported.
    reordered: bool,
    good_index: bool,
}

impl Scan<'_> {
    /// Everything after a percent sign.
    fn verb(&mut self, printer: &mut Printer) {
        printer.flags = Flags::default();
        self.good_index = true;
        self.take_flags(printer);
        let mut after_index = self.take_index();
        if self.take(b'*') {
            match self.star() {
                Some(width) => {
                    printer.flags.width = Some(width.unsigned_abs() as usize);
                    if width < 0 {
                        printer.flags.minus = true;
                        printer.flags.zero = false;
                    }
                }
                None => printer.out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            printer.flags.width = self.take_number();
            if after_index && printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
        if self.take(b'.') {
            if after_index {
                self.good_index = false;
            }
            after_index = self.take_index();
            if self.take(b'*') {
                match self.star() {
                    Some(precision) if precision >= 0 => printer.flags.precision = Some(precision as usize),
                    _ => printer.out.extend_from_slice(b"%!(BADPREC)"),
                }
                after_index = false;
            } else {
                printer.flags.precision = Some(self.take_number().unwrap_or(0));
            }
        }
        if !after_index {
            self.take_index();
        }
        if self.at >= self.format.len() {
            printer.out.extend_from_slice(b"%!(NOVERB)");
            return;
        }
        let (verb, size) = decode_rune(&self.format[self.at..]);
        self.at += size;
        if verb == '%' {
            printer.out.push(b'%');
        } else if !self.good_index {
            self.complain(printer, verb, "(BADINDEX)");
        } else if let Some(value) = self.arguments.get(self.argument) {
            if matches!(verb, 'v' | 'w') {
                printer.flags.sharp_v = std::mem::take(&mut printer.flags.sharp);
                printer.flags.plus_v = std::mem::take(&mut printer.flags.plus);
            }
            self.argument += 1;
            printer.print_argument(value, verb);
        } else {
            self.complain(printer, verb, "(MISSING)");
        }
    }

    fn complain(&self, printer: &mut Printer, verb: char, what: &str) {
        printer.out.extend_from_slice(b"%!");
        printer.push_rune(verb);
        printer.out.extend_from_slice(what.as_bytes());
    }

    fn take_flags(&mut self, printer: &mut Printer) {
        while let Some(byte) = self.format.get(self.at) {
            match byte {
                b'#' => printer.flags.sharp = true,
                b'0' => printer.flags.zero = true,
                b'+' => printer.flags.plus = true,
                b'-' => printer.flags.minus = true,
                b' ' => printer.flags.space = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    /// `[n]`: the next operand is the n-th.
    fn take_index(&mut self) -> bool {
        if self.format.get(self.at) != Some(&b'[') {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 { None } else { memchr::memchr(b']', rest) };
        let Some(close) = close else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        let inside = self.at + 1..self.at + close;
        let mut at = inside.start;
        let number = parse_number(self.format, &mut at, inside.end);
        self.at += close + 1;
        let Some(number) = number.filter(|_| at == inside.end) else {
            self.good_index = false;
            return false;
        };
        match number.checked_sub(1) {
            Some(index) if index < self.arguments.len() => self.argument = index,
            _ => self.good_index = false,
        }
        true
    }

    fn take_number(&mut self) -> Option<usize> {
        let mut at = self.at;
        let number = parse_number(self.format, &mut at, self.format.len());
        self.at = at;
        number
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.format.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.arguments.get(self.argument)?;
        self.argument += 1;
        integer_argument(value)
    }
}

/// Digits up to `end`. A number over a million is none, and takes the rest of the format with it.
fn parse_number(format: &[u8], at: &mut usize, end: usize) -> Option<usize> {
    if *at >= end {
        *at = end;
        return None;
    }
    let mut number = None;
    while *at < end && format[*at].is_ascii_digit() {
        let value = number.unwrap_or(0);
        if value > 1_000_000 {
            *at = end;
            return None;
        }
        number = Some(value * 10 + usize::from(format[*at] - b'0'));
        *at += 1;
    }
    number
}
