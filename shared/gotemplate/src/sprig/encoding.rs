//! Base64, Base32 and digests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::argument::{STRING, text};
use crate::function::{Function, Functions};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "b64enc",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len() / 3 * 4)?;
            Ok(Value::from(STANDARD.encode(text(a, 0))))
        }),
    );
    functions.insert(
        "b64dec",
        Function::new(&[STRING], |_, a| {
            Ok(Value::string(decode_base64(text(a, 0)).unwrap_or_else(String::into_bytes)))
        }),
    );
    functions.insert(
        "b32enc",
        Function::new(&[STRING], |call, a| {
            call.charge(text(a, 0).len() / 5 * 8)?;
            Ok(Value::string(encode_base32(text(a, 0))))
        }),
    );
    functions.insert(
        "b32dec",
        Function::new(&[STRING], |_, a| {
            Ok(Value::string(decode_base32(text(a, 0)).unwrap_or_else(String::into_bytes)))
        }),
    );
    functions.insert(
        "sha1sum",
        Function::new(&[STRING], |_, a| Ok(Value::from(hex::encode(Sha1::digest(text(a, 0)))))),
    );
    functions.insert(
        "sha256sum",
        Function::new(&[STRING], |_, a| Ok(Value::from(hex::encode(Sha256::digest(text(a, 0)))))),
    );
    functions.insert(
        "sha512sum",
        Function::new(&[STRING], |_, a| Ok(Value::from(hex::encode(Sha512::digest(text(a, 0)))))),
    );
    functions.insert(
        "adler32sum",
        Function::new(&[STRING], |_, a| Ok(Value::from(adler32(text(a, 0)).to_string()))),
    );
}

/// Go's `base64.StdEncoding`: line breaks are skipped, and the error names the byte.
pub(crate) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let corrupt = |at: usize| format!("illegal base64 data at input byte {at}");
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut group: Vec<u8> = Vec::with_capacity(4);
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        let digit = match byte {
            b'\r' | b'\n' => continue,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                // One or two padding characters end the text.
                match group.len() {
                    0 | 1 => return Err(corrupt(at - 1)),
                    2 => {
                        while at < text.len() && matches!(text[at], b'\r' | b'\n') {
                            at += 1;
                        }
                        if at == text.len() {
                            return Err(corrupt(text.len()));
                        }
                        if text[at] != b'=' {
                            return Err(corrupt(at - 1));
                        }
                        at += 1;
                    }
                    _ => {}
                }
                while at < text.len() && matches!(text[at], b'\r' | b'\n') {
                    at += 1;
                }
                if at < text.len() {
                    return Err(corrupt(at));
                }
                out.push(group[0] << 2 | group[1] >> 4);
                if group.len() == 3 {
                    out.push(group[1] << 4 | group[2] >> 2);
                }
                return Ok(out);
            }
            _ => return Err(corrupt(at - 1)),
        };
        group.push(digit);
        if group.len() == 4 {
            out.extend_from_slice(&[
                group[0] << 2 | group[1] >> 4,
                group[1] << 4 | group[2] >> 2,
                group[2] << 6 | group[3],
            ]);
            group.clear();
        }
    }
    if group.is_empty() { Ok(out) } else { Err(corrupt(at - group.len())) }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base32(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 5];
        block[..chunk.len()].copy_from_slice(chunk);
        let bits = block.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digits = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            out.push(if at < digits { BASE32[(bits >> (35 - at * 5) & 31) as usize] } else { b'=' });
        }
    }
    out
}

/// Go's `base32.StdEncoding`, whose error positions count without line breaks.
fn decode_base32(text: &[u8]) -> Result<Vec<u8>, String> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let corrupt = |at: usize| format!("illegal base32 data at input byte {at}");
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut start = 0;
    while start < text.len() {
        let mut digits = Vec::with_capacity(8);
        let mut ended = false;
        let mut at = start;
        while digits.len() < 8 {
            let Some(byte) = text.get(at) else {
                return Err(corrupt(text.len() - digits.len()));
            };
            at += 1;
            if *byte == b'=' && digits.len() >= 2 && text.len() - at < 8 {
                // The rest of the block has to be padding.
                let rest = &text[at..];
                if rest.len() + digits.len() < 8 - 1 {
                    return Err(corrupt(text.len()));
                }
                for pad in 0..8 - 1 - digits.len() {
                    if rest.get(pad).is_some_and(|byte| *byte != b'=') {
                        return Err(corrupt(at + pad - 1));
                    }
                }
                if matches!(digits.len(), 1 | 3 | 6) {
                    return Err(corrupt(at - 1));
                }
                ended = true;
                break;
            }
            let Some(digit) = BASE32.iter().position(|known| known == byte) else {
                return Err(corrupt(at - 1));
            };
            digits.push(digit as u64);
        }
        let count = digits.len();
        let bits = (0..8).fold(0u64, |bits, index| bits << 5 | digits.get(index).copied().unwrap_or(0));
        for index in 0..count * 5 / 8 {
            out.push((bits >> (32 - index * 8)) as u8);
        }
        if ended {
            return Ok(out);
        }
        start = at;
    }
    Ok(out)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}
