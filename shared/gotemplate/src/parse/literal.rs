//! Numbers in templates, kept under every type that can represent them, as Go's ideal constants are.

use crate::number::{parse_float, parse_int, parse_uint};
use fluxide_gotext::{quote, unquote_char};

/// A number literal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
    pub(crate) text: String,
}

impl Number {
    /// A character constant, quotes included.
    pub(super) fn of_character(text: &[u8]) -> Result<Number, String> {
        let (code, width) = unquote_char(&text[1..]).ok_or("invalid syntax")?;
        let shown = String::from_utf8_lossy(text).into_owned();
        if &text[1 + width..] != b"'" {
            return Err(format!("malformed character constant: {shown}"));
        }
        Ok(Number {
            int: Some(i64::from(code)),
            uint: Some(u64::from(code)),
            float: Some(f64::from(code)),
            complex: None,
            text: shown,
        })
    }

    /// A complex constant such as `1+2i`.
    pub(super) fn of_complex(text: &[u8]) -> Result<Number, String> {
        let shown = String::from_utf8_lossy(text).into_owned();
        let split = text
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(at, byte)| {
                matches!(byte, b'+' | b'-') && !matches!(text[at - 1], b'e' | b'E' | b'p' | b'P')
            })
            .map(|(at, _)| at)
            .next_back()
            .ok_or("syntax error scanning complex number")?;
        let imaginary = &text[split..text.len() - 1];
        match (parse_float(&text[..split]), parse_float(imaginary)) {
            (Ok(real), Ok(imaginary)) => {
                Ok(Number { complex: Some((real, imaginary)), text: shown, ..Number::default() }.simplified())
            }
            _ => Err("syntax error scanning complex number".to_owned()),
        }
    }

    /// Any other number.
    pub(super) fn of_number(text: &[u8]) -> Result<Number, String> {
        let shown = String::from_utf8_lossy(text).into_owned();
        if let Some(digits) = text.strip_suffix(b"i")
            && let Ok(imaginary) = parse_float(digits)
        {
            return Ok(
                Number { complex: Some((0.0, imaginary)), text: shown, ..Number::default() }.simplified()
            );
        }
        let mut number = Number { text: shown, ..Number::default() };
        number.uint = parse_uint(text, 0).ok();
        number.int = parse_int(text, 0).ok();
        if number.int == Some(0) {
            number.uint = Some(0);
        }
        if let Some(int) = number.int {
            number.float = Some(int as f64);
        } else if let Some(uint) = number.uint {
            number.float = Some(uint as f64);
        } else if let Ok(float) = parse_float(text) {
            if !number.text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", String::from_utf8_lossy(&quote(text))));
            }
            number.float = Some(float);
            number.int = float_as_int(float);
            number.uint = float_as_uint(float);
        }
        if number.float.is_none() {
            return Err(format!("illegal number syntax: {}", String::from_utf8_lossy(&quote(text))));
        }
        Ok(number)
    }

    /// Adds the other types of a complex number without an imaginary part.
    fn simplified(mut self) -> Number {
        if let Some((real, imaginary)) = self.complex
            && imaginary == 0.0
        {
            self.float = Some(real);
            self.int = float_as_int(real);
            self.uint = float_as_uint(real);
        }
        self
    }
}

const TWO_TO_63: f64 = (1u64 << 63) as f64;

fn float_as_int(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&float)).then_some(float as i64)
}

fn float_as_uint(float: f64) -> Option<u64> {
    (float.fract() == 0.0 && (0.0..2.0 * TWO_TO_63).contains(&float)).then_some(float as u64)
}
