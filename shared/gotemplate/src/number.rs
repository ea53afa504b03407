//! Reading numbers as Go's `strconv` does: base prefixes, underscores, hexadecimal floats.

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is not written like one.
    Syntax,
    /// It does not fit the type.
    Range,
}

/// `strconv.ParseUint(text, base, 64)`; base 0 reads prefixes and underscores.
pub(crate) fn parse_uint(text: &[u8], base: u32) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Syntax);
    }
    let (digits, radix) = if base == 0 {
        match text {
            [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (rest, 2),
            [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (rest, 8),
            [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (rest, 16),
            [b'0', rest @ ..] => (rest, 8),
            _ => (text, 10),
        }
    } else {
        (text, base)
    };
    let mut value: u64 = 0;
    let mut overflow = false;
    let mut underscores = false;
    for byte in digits {
        if *byte == b'_' && base == 0 {
            underscores = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix).ok_or(NumberError::Syntax)?;
        match value.checked_mul(u64::from(radix)).and_then(|value| value.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            // Go stops reading at the digit that overflows: what follows is not looked at.
            None => {
                overflow = true;
                break;
            }
        }
    }
    if overflow {
        return Err(NumberError::Range);
    }
    if underscores && !underscores_separate_digits(text) {
        return Err(NumberError::Syntax);
    }
    Ok(value)
}

/// `strconv.ParseInt(text, base, 64)`.
pub(crate) fn parse_int(text: &[u8], base: u32) -> Result<i64, NumberError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = parse_uint(digits, base)?;
    if negative {
        if value > 1 << 63 { Err(NumberError::Range) } else { Ok((value as i64).wrapping_neg()) }
    } else {
        i64::try_from(value).map_err(|_| NumberError::Range)
    }
}

/// `strconv.ParseFloat(text, 64)`.
pub(crate) fn parse_float(text: &[u8]) -> Result<f64, NumberError> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        f64::INFINITY
    } else if unsigned.eq_ignore_ascii_case(b"nan") {
        f64::NAN
    } else {
        if unsigned.contains(&b'_') && !underscores_separate_digits(text) {
            return Err(NumberError::Syntax);
        }
        let plain: Vec<u8> = unsigned.iter().copied().filter(|byte| *byte != b'_').collect();
        let value = match plain.as_slice() {
            [b'0', b'x' | b'X', rest @ ..] => parse_hex_float(rest)?,
            decimal => parse_decimal_float(decimal)?,
        };
        if value.is_infinite() {
            return Err(NumberError::Range);
        }
        value
    };
    Ok(if negative { -magnitude } else { magnitude })
}

fn parse_decimal_float(text: &[u8]) -> Result<f64, NumberError> {
    let well_formed = {
        let mut at = 0;
        let mut digits = 0;
        let mut skip_digits = |at: &mut usize| {
            while text.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
                digits += 1;
            }
        };
        skip_digits(&mut at);
        if text.get(at) == Some(&b'.') {
            at += 1;
            skip_digits(&mut at);
        }
        let mantissa = digits;
        let mut exponent = true;
        if matches!(text.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(text.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            let start = at;
            while text.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            exponent = at > start;
        }
        mantissa > 0 && exponent && at == text.len()
    };
    if !well_formed {
        return Err(NumberError::Syntax);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NumberError::Syntax)
}

/// The part after `0x`: hexadecimal mantissa and a binary exponent, which must be there.
fn parse_hex_float(text: &[u8]) -> Result<f64, NumberError> {
    let mut mantissa: u64 = 0;
    let mut sticky = false;
    let mut exponent: i64 = 0;
    let mut seen_point = false;
    let mut digits = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'.' && !seen_point {
            seen_point = true;
        } else if let Some(digit) = char::from(*byte).to_digit(16) {
            digits += 1;
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= if seen_point { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                exponent += if seen_point { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 || !matches!(text.get(at), Some(b'p' | b'P')) {
        return Err(NumberError::Syntax);
    }
    at += 1;
    let negative = match text.get(at) {
        Some(b'-') => {
            at += 1;
            true
        }
        Some(b'+') => {
            at += 1;
            false
        }
        _ => false,
    };
    if at == text.len() || !text[at..].iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let power =
        text[at..].iter().fold(0i64, |power, digit| (power * 10 + i64::from(digit - b'0')).min(1_000_000));
    exponent += if negative { -power } else { power };
    if mantissa == 0 {
        return Ok(0.0);
    }
    let shift = mantissa.leading_zeros();
    mantissa <<= shift;
    exponent -= i64::from(shift);
    // The value is mantissa * 2^exponent with the top bit of 64 set: round to 53 bits, or fewer for subnormals.
    let top = exponent + 63;
    let keep = if top < -1022 { 53 - (-1022 - top) } else { 53 };
    if keep < 0 {
        return Ok(0.0);
    }
    let drop = 64 - keep as u32;
    let (mut kept, remainder, half) = if drop >= 64 {
        (0, u128::from(mantissa), 1u128 << 63)
    } else {
        (mantissa >> drop, u128::from(mantissa) & ((1u128 << drop) - 1), 1u128 << (drop - 1))
    };
    if remainder > half || remainder == half && (sticky || kept & 1 == 1) {
        kept += 1;
    }
    let scale = exponent + i64::from(drop);
    if scale > 1023 {
        return Err(NumberError::Range);
    }
    // Two steps, because 2^scale itself may be below the smallest number.
    let first = scale / 2;
    Ok(kept as f64 * 2f64.powi(first as i32) * 2f64.powi((scale - first) as i32))
}

/// Whether underscores stand only between digits, or between a base prefix and a digit.
fn underscores_separate_digits(text: &[u8]) -> bool {
    let text = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    let (mut last, rest, hex) = match text {
        [b'0', b'b' | b'B' | b'o' | b'O', rest @ ..] => (b'0', rest, false),
        [b'0', b'x' | b'X', rest @ ..] => (b'0', rest, true),
        _ => (b'^', text, false),
    };
    for byte in rest {
        if byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit() {
            last = b'0';
        } else if *byte == b'_' {
            if last != b'0' {
                return false;
            }
            last = b'_';
        } else {
            if last == b'_' {
                return false;
            }
            last = b'!';
        }
    }
    last != b'_'
}
