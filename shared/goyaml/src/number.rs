//! Numbers as Go prints them.

/// Go's `FormatFloat(value, 'g', -1, 64)`, which is also `%v`: the shortest digits, with an exponent below 1e-4 and
/// from 1e6 on.
pub fn format_float(value: f64) -> String {
    format_digits(value, -4, 6)
}

/// Go's `FormatFloat(value, 'g', -1, 32)` of the value rounded to 32 bits.
pub fn format_float32(value: f64) -> String {
    format_parts(
        value < 0.0 || value == 0.0 && value.is_sign_negative(),
        &format!("{:e}", (value as f32).abs()),
        -4,
        6,
    )
    .unwrap_or_else(|| not_finite(f64::from(value as f32)))
}

/// A float as Go's `encoding/json` writes it: decimal from 1e-6 to below 1e21, else with an exponent.
///
/// NaN and infinities, which JSON does not have, give `None`.
pub fn format_json_float(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let mut text = format_digits(value, -6, 21);
    // JSON drops the leading zero of a negative exponent: e-09 becomes e-9.
    if let Some(at) = text.find("e-0") {
        text.remove(at + 2);
    }
    Some(text)
}

fn format_digits(value: f64, lowest: i32, highest: i32) -> String {
    format_parts(value.is_sign_negative(), &format!("{:e}", value.abs()), lowest, highest)
        .unwrap_or_else(|| not_finite(value))
}

/// Lays out shortest digits given as `d.ddde±x`; decimal for exponents in `lowest..highest`.
fn format_parts(negative: bool, scientific: &str, lowest: i32, highest: i32) -> Option<String> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let mut text = String::with_capacity(24);
    if negative {
        text.push('-');
    }
    if exponent < lowest || exponent >= highest {
        text.push_str(&digits[..1]);
        if digits.len() > 1 {
            text.push('.');
            text.push_str(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("e{sign}{:02}", exponent.unsigned_abs()));
    } else if exponent < 0 {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        text.push_str(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            text.push_str(&digits);
            text.extend(std::iter::repeat_n('0', whole - digits.len()));
        } else {
            text.push_str(&digits[..whole]);
            text.push('.');
            text.push_str(&digits[whole..]);
        }
    }
    Some(text)
}

fn not_finite(value: f64) -> String {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
    .to_owned()
}
