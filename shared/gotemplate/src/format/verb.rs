//! One operand under one verb.

use super::float::format_float;
use crate::collection::{List, Map};
use crate::object::Object;
use crate::text::{Text, runes};
use crate::types::IntType;
use crate::value::Value;
use fluxide_gotext::unicode::is_print;
use fluxide_gotext::{can_backquote, quote, quote_ascii, quote_rune};

/// Values nested deeper than this are cut: Go would overflow its stack on a map that contains itself.
const MAX_DEPTH: usize = 10_000;
/// Longer texts are cut. Templates are refused what is so large before; this bounds the texts of errors.
const MAX_TEXT: usize = 256 << 20;

/// The flags of the verb being printed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`.
    pub(super) plus_v: bool,
    /// `%#v`.
    pub(super) sharp_v: bool,
}

/// Collects output.
pub(super) struct Printer {
    pub(super) out: Vec<u8>,
    pub(super) flags: Flags,
    /// An error text is being printed: no method is asked.
    erroring: bool,
}

impl Printer {
    pub(super) fn new() -> Printer {
        Printer { out: Vec::new(), flags: Flags::default(), erroring: false }
    }

    /// Prints a whole operand.
    pub(super) fn print_argument(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil, _) => self.bad_verb(value, verb),
            (_, 'T') => self.string(value.type_name().as_bytes(), 's'),
            (_, 'p') => self.bad_verb(value, verb),
            _ => self.print(value, verb, 0),
        }
    }

    /// Prints an operand or a part of one.
    fn print(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > MAX_DEPTH || self.out.len() > MAX_TEXT {
            self.out.extend_from_slice(b"...");
            return;
        }
        if verb == 'w' {
            self.bad_verb(value, verb);
            return;
        }
        if !self.flags.sharp_v
            && !self.erroring
            && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
            && let Some(text) = stringer(value)
        {
            self.string(&text, verb);
            return;
        }
        if self.flags.sharp_v
            && let Value::Object(object) = value
            && let Some(text) = object.go_text()
        {
            self.string(&text, 's');
            return;
        }
        match value {
            Value::Nil => {
                self.out.extend_from_slice(if self.flags.sharp_v { b"interface {}(nil)" } else { b"<nil>" })
            }
            Value::Bool(truth) => match verb {
                't' | 'v' => self.pad(if *truth { b"true" } else { b"false" }),
                _ => self.bad_verb(value, verb),
            },
            Value::Int(number, _) => self.integer(value, number.unsigned_abs(), *number < 0, true, verb),
            Value::Uint(number, _) => self.integer(value, *number, false, false, verb),
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(real, imaginary) => self.complex(value, *real, *imaginary, verb),
            Value::String(text) => match verb {
                'v' | 's' | 'x' | 'X' | 'q' => self.string(text, verb),
                _ => self.bad_verb(value, verb),
            },
            Value::Bytes(bytes) => self.bytes(value, bytes, verb, depth),
            Value::List(list) => stacker::maybe_grow(64 * 1024, 1 << 20, || self.list(list, verb, depth)),
            Value::Map(map) => stacker::maybe_grow(64 * 1024, 1 << 20, || self.map(map, verb, depth)),
            Value::Object(object) => {
                stacker::maybe_grow(64 * 1024, 1 << 20, || self.object(&**object, value, verb, depth))
            }
            Value::Function(_) => self.out.extend_from_slice(b"0x0"),
        }
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.out.extend_from_slice(list.list_type().name.as_bytes());
            if list.is_nil() {
                self.out.extend_from_slice(b"(nil)");
                return;
            }
            self.out.push(b'{');
        } else {
            self.out.push(b'[');
        }
        for (at, item) in list.to_vec().iter().enumerate() {
            if at > 0 {
                self.separator();
            }
            self.print(item, verb, depth + 1);
        }
        self.out.push(if self.flags.sharp_v { b'}' } else { b']' });
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        if self.flags.sharp_v {
            self.out.extend_from_slice(map.map_type().name.as_bytes());
            if map.is_nil() {
                self.out.extend_from_slice(b"(nil)");
                return;
            }
            self.out.push(b'{');
        } else {
            self.out.extend_from_slice(b"map[");
        }
        for (at, (key, element)) in map.entries().into_iter().enumerate() {
            if at > 0 {
                self.separator();
            }
            self.print(&Value::String(key), verb, depth + 1);
            self.out.push(b':');
            self.print(&element, verb, depth + 1);
        }
        self.out.push(if self.flags.sharp_v { b'}' } else { b']' });
    }

    fn object(&mut self, object: &dyn Object, value: &Value, verb: char, depth: usize) {
        let name = object.type_name();
        let pointer = name.starts_with('*');
        if pointer && depth > 0 {
            // Go prints an address, which is never the same; here it always is.
            const ADDRESS: u64 = 0xc0_0000_0000;
            match verb {
                'v' => self.out.extend_from_slice(format!("{ADDRESS:#x}").as_bytes()),
                'b' | 'o' | 'd' | 'x' | 'X' => self.integer(value, ADDRESS, false, false, verb),
                _ => self.bad_verb(value, verb),
            }
            return;
        }
        if pointer {
            self.out.push(b'&');
        }
        if self.flags.sharp_v {
            self.out.extend_from_slice(name.trim_start_matches('*').as_bytes());
        }
        self.out.push(b'{');
        for (at, (field, element)) in object.all_fields().into_iter().enumerate() {
            if at > 0 {
                self.separator();
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.extend_from_slice(field.as_bytes());
                self.out.push(b':');
            }
            self.print(&element, verb, depth + 1);
        }
        self.out.push(b'}');
    }

    fn separator(&mut self) {
        self.out.extend_from_slice(if self.flags.sharp_v { b", " } else { b" " });
    }

    fn bytes(&mut self, value: &Value, bytes: &Text, verb: char, depth: usize) {
        match verb {
            's' | 'x' | 'X' | 'q' => self.string(bytes, verb),
            'v' | 'd' if self.flags.sharp_v => {
                self.out.extend_from_slice(if depth == 0 { b"[]byte{" } else { b"[]uint8{" });
                for (at, byte) in bytes.iter().enumerate() {
                    if at > 0 {
                        self.out.extend_from_slice(b", ");
                    }
                    self.out.extend_from_slice(format!("0x{byte:x}").as_bytes());
                }
                self.out.push(b'}');
            }
            _ => {
                self.out.push(b'[');
                for (at, byte) in value.elements().unwrap_or_default().iter().enumerate() {
                    if at > 0 {
                        self.out.push(b' ');
                    }
                    self.print(byte, if verb == 'v' { 'd' } else { verb }, depth + 1);
                }
                self.out.push(b']');
            }
        }
    }

    /// `%!d(string=x)`.
    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) {
        self.out.extend_from_slice(b"%!");
        self.push_rune(verb);
        self.out.push(b'(');
        if matches!(value, Value::Nil) {
            self.out.extend_from_slice(b"<nil>");
        } else {
            self.out.extend_from_slice(value.type_name().as_bytes());
            self.out.push(b'=');
            let erroring = std::mem::replace(&mut self.erroring, true);
            self.print_argument(value, 'v');
            self.erroring = erroring;
        }
        self.out.push(b')');
    }

    fn integer(&mut self, value: &Value, magnitude: u64, negative: bool, signed: bool, verb: char) {
        match verb {
            'v' if self.flags.sharp_v && !signed => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(magnitude, 16, negative, 'v', false);
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(magnitude, 10, negative, verb, false),
            'b' => self.digits(magnitude, 2, negative, verb, false),
            'o' | 'O' => self.digits(magnitude, 8, negative, verb, false),
            'x' => self.digits(magnitude, 16, negative, verb, false),
            'X' => self.digits(magnitude, 16, negative, verb, true),
            'c' => {
                let rune =
                    if negative { None } else { u32::try_from(magnitude).ok().and_then(char::from_u32) };
                self.pad(rune.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' => {
                let code = if negative { u32::MAX } else { u32::try_from(magnitude).unwrap_or(u32::MAX) };
                self.pad(&quote_rune(code, self.flags.plus));
            }
            'U' => self.unicode(if negative { magnitude.wrapping_neg() } else { magnitude }),
            _ => self.bad_verb(value, verb),
        }
    }

    fn digits(&mut self, magnitude: u64, base: u64, negative: bool, verb: char, upper: bool) {
        let flags = self.flags;
        let mut least = 0;
        if let Some(precision) = flags.precision {
            least = precision;
            if precision == 0 && magnitude == 0 {
                self.out.extend(std::iter::repeat_n(b' ', flags.width.unwrap_or(0)));
                return;
            }
        } else if flags.zero
            && !flags.minus
            && let Some(width) = flags.width
        {
            least = width.saturating_sub(usize::from(negative || flags.plus || flags.space));
        }
        let mut text = match base {
            2 => format!("{magnitude:b}"),
            8 => format!("{magnitude:o}"),
            16 if upper => format!("{magnitude:X}"),
            16 => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        if text.len() < least {
            text.insert_str(0, &"0".repeat(least - text.len()));
        }
        if flags.sharp {
            match base {
                2 => text.insert_str(0, "0b"),
                8 if !text.starts_with('0') => text.insert(0, '0'),
                16 => text.insert_str(0, if upper { "0X" } else { "0x" }),
                _ => {}
            }
        }
        if verb == 'O' {
            text.insert_str(0, "0o");
        }
        if negative {
            text.insert(0, '-');
        } else if flags.plus {
            text.insert(0, '+');
        } else if flags.space {
            text.insert(0, ' ');
        }
        self.pad_without_zeros(text.as_bytes());
    }

    fn unicode(&mut self, code: u64) {
        let mut text = format!("U+{code:0width$X}", width = self.flags.precision.unwrap_or(4).max(4));
        if self.flags.sharp
            && let Some(rune) = u32::try_from(code).ok().and_then(char::from_u32)
            && is_print(rune)
        {
            text.push_str(&format!(" '{rune}'"));
        }
        self.pad_without_zeros(text.as_bytes());
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        match verb {
            'v' => self.float_text(number, 'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => self.float_text(number, verb, None),
            'f' | 'e' | 'E' | 'F' => self.float_text(number, verb, Some(6)),
            _ => self.bad_verb(value, verb),
        }
    }

    fn float_text(&mut self, number: f64, verb: char, default_precision: Option<usize>) {
        let flags = self.flags;
        let precision = flags.precision.or(default_precision);
        let mut text = format_float(number, verb, precision).into_bytes();
        if !matches!(text.first(), Some(b'-' | b'+')) {
            text.insert(0, b'+');
        }
        if flags.space && text[0] == b'+' && !flags.plus {
            text[0] = b' ';
        }
        if matches!(text.get(1), Some(b'I' | b'N')) {
            let shown = if text[1] == b'N' && !flags.space && !flags.plus { &text[1..] } else { &text[..] };
            let shown = if text[1] == b'I' && text[0] == b'+' && !flags.plus { &text[..] } else { shown };
            self.pad_without_zeros(shown);
            return;
        }
        if flags.sharp && verb != 'b' {
            text = with_decimal_point(text, verb, precision);
        }
        if flags.plus || text[0] != b'+' {
            if flags.zero
                && !flags.minus
                && let Some(width) = flags.width
                && width > text.len()
            {
                self.out.push(text[0]);
                self.out.extend(std::iter::repeat_n(b'0', width - text.len()));
                self.out.extend_from_slice(&text[1..]);
                return;
            }
            self.pad(&text);
            return;
        }
        self.pad(&text[1..]);
    }

    fn complex(&mut self, value: &Value, real: f64, imaginary: f64, verb: char) {
        if !matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E') {
            self.bad_verb(value, verb);
            return;
        }
        let plus = self.flags.plus;
        self.out.push(b'(');
        self.float(value, real, verb);
        self.flags.plus = true;
        self.float(value, imaginary, verb);
        self.out.extend_from_slice(b"i)");
        self.flags.plus = plus;
    }

    /// A string under `v s x X q`.
    fn string(&mut self, text: &[u8], verb: char) {
        match verb {
            'x' => self.hexadecimal(text, false),
            'X' => self.hexadecimal(text, true),
            'q' => self.quoted(text),
            'v' if self.flags.sharp_v => self.quoted(text),
            _ => {
                let text = self.truncated(text);
                self.pad(text);
            }
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        if self.flags.sharp && can_backquote(text) {
            self.pad(&[b"`", text, b"`"].concat());
        } else if self.flags.plus {
            self.pad(&quote_ascii(text));
        } else {
            self.pad(&quote(text));
        }
    }

    fn hexadecimal(&mut self, text: &[u8], upper: bool) {
        let text = &text[..self.flags.precision.unwrap_or(text.len()).min(text.len())];
        let mut shown = Vec::with_capacity(text.len() * 2 + 2);
        let prefix = if upper { "0X" } else { "0x" };
        for (at, byte) in text.iter().enumerate() {
            if at > 0 && self.flags.space {
                shown.push(b' ');
            }
            if self.flags.sharp && (at == 0 || self.flags.space) {
                shown.extend_from_slice(prefix.as_bytes());
            }
            shown.extend_from_slice(
                if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }.as_bytes(),
            );
        }
        self.pad(&shown);
    }

    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.flags.precision {
            Some(precision) => match runes(text).nth(precision) {
                Some((at, ..)) => &text[..at],
                None => text,
            },
            None => text,
        }
    }

    fn pad(&mut self, text: &[u8]) {
        let padding = match self.flags.width {
            Some(width) => width.saturating_sub(runes(text).count()),
            None => 0,
        };
        if self.flags.minus {
            self.out.extend_from_slice(text);
            self.out.extend(std::iter::repeat_n(b' ', padding));
        } else {
            self.out.extend(std::iter::repeat_n(if self.flags.zero { b'0' } else { b' ' }, padding));
            self.out.extend_from_slice(text);
        }
    }

    fn pad_without_zeros(&mut self, text: &[u8]) {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        self.pad(text);
        self.flags.zero = zero;
    }

    pub(super) fn push_rune(&mut self, rune: char) {
        self.out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// What the value's `String()` method gives.
fn stringer(value: &Value) -> Option<Text> {
    match value {
        Value::Object(object) => object.text(),
        Value::Int(number, int @ (IntType::Duration | IntType::Month | IntType::Weekday)) => {
            Some(Text::from(crate::time::integer_text(*number, *int)))
        }
        _ => None,
    }
}

/// The `#` flag: a decimal point always, and for `g` the trailing zeros.
fn with_decimal_point(text: Vec<u8>, verb: char, precision: Option<usize>) -> Vec<u8> {
    let mut digits: i64 = match verb {
        'g' | 'G' | 'x' | 'X' => precision.map_or(6, |precision| precision as i64),
        _ => 0,
    };
    if verb == 'X' {
        digits = 0;
    }
    let is_hex = matches!(verb, 'x' | 'X');
    let tail_at = text
        .iter()
        .position(|byte| matches!(byte, b'p' | b'P') || !is_hex && matches!(byte, b'e' | b'E'))
        .unwrap_or(text.len());
    let (number, tail) = text.split_at(tail_at);
    let mut number = number.to_vec();
    let mut seen_nonzero = false;
    for byte in &number[1..] {
        if *byte == b'.' {
            continue;
        }
        seen_nonzero |= *byte != b'0';
        if seen_nonzero {
            digits -= 1;
        }
    }
    if !number.contains(&b'.') {
        if number.len() == 2 && number[1] == b'0' {
            digits -= 1;
        }
        number.push(b'.');
    }
    number.extend(std::iter::repeat_n(b'0', usize::try_from(digits).unwrap_or(0)));
    number.extend_from_slice(tail);
    number
}

/// An integer operand for `*`.
pub(super) fn integer_argument(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => i64::try_from(*number).ok()?,
        _ => return None,
    };
    (-1_000_000..=1_000_000).contains(&number).then_some(number)
}
