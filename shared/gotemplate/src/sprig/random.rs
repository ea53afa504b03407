//! Random texts and numbers, from the session's source.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::argument::{INT, STRING, integer, text};
use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::text::runes;
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    functions
        .insert("randAlphaNum", Function::new(&[INT], |call, a| drawn(call, integer(a, 0), ALPHANUMERIC)));
    functions.insert(
        "randAlpha",
        Function::new(&[INT], |call, a| drawn(call, integer(a, 0), &ALPHANUMERIC[..52])),
    );
    functions.insert(
        "randNumeric",
        Function::new(&[INT], |call, a| drawn(call, integer(a, 0), &ALPHANUMERIC[52..])),
    );
    functions.insert(
        "randAscii",
        Function::new(&[INT], |call, a| {
            let printable: Vec<u8> = (b' '..=b'~').collect();
            drawn(call, integer(a, 0), &printable)
        }),
    );
    functions.insert(
        "randBytes",
        Function::new(&[INT], |call, a| {
            let count = usize::try_from(integer(a, 0))
                .map_err(|_| Error::new("runtime error: makeslice: len out of range"))?;
            call.charge(count.saturating_mul(2))?;
            let mut bytes = vec![0; count];
            call.session.random().fill_bytes(&mut bytes);
            Ok(Value::from(STANDARD.encode(bytes)))
        }),
    );
    functions.insert(
        "randInt",
        Function::new(&[INT, INT], |call, a| {
            let (least, limit) = (integer(a, 0), integer(a, 1));
            let width = limit.wrapping_sub(least);
            let width = u64::try_from(width)
                .ok()
                .filter(|width| *width > 0)
                .ok_or_else(|| Error::new("invalid argument to Intn"))?;
            Ok(Value::int(least.wrapping_add(below(call, width) as i64)))
        }),
    );
    functions.insert(
        "shuffle",
        Function::new(&[STRING], |call, a| {
            let mut all: Vec<char> = runes(text(a, 0)).map(|(_, rune, _)| rune).collect();
            for at in (1..all.len()).rev() {
                let other = below(call, at as u64 + 1) as usize;
                all.swap(at, other);
            }
            Ok(Value::from(all.into_iter().collect::<String>()))
        }),
    );
    functions.insert(
        "uuidv4",
        Function::new(&[], |call, _| {
            let mut bytes = [0u8; 16];
            call.session.random().fill_bytes(&mut bytes);
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let digits = hex::encode(bytes);
            Ok(Value::from(format!(
                "{}-{}-{}-{}-{}",
                &digits[..8],
                &digits[8..12],
                &digits[12..16],
                &digits[16..20],
                &digits[20..]
            )))
        }),
    );
}

fn drawn(call: &mut Call<'_>, count: i64, alphabet: &[u8]) -> Result<Value, Error> {
    // A negative count is an error that upstream drops, leaving nothing.
    let count = usize::try_from(count).unwrap_or(0);
    call.charge(count)?;
    let text: Vec<u8> = (0..count).map(|_| alphabet[below(call, alphabet.len() as u64) as usize]).collect();
    Ok(Value::string(text))
}

/// A uniform number below the limit.
fn below(call: &mut Call<'_>, limit: u64) -> u64 {
    let random = call.session.random();
    let unbiased = u64::MAX - u64::MAX % limit;
    loop {
        let number = random.next_u64();
        if number < unbiased {
            return number % limit;
        }
    }
}
