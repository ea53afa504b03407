//! Base64 as Go decodes it: line breaks are skipped, and errors name a position.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text in which Go writes bytes.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The text in the form in which Go writes the same bytes, or the position at which it is malformed.
pub(super) fn canonical(text: &str) -> Result<String, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut source = text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let length = text.len();
    loop {
        let mut quantum = [0_u8; 4];
        let mut filled = 0;
        while filled < 4 {
            let Some((position, byte)) = source.next() else {
                return if filled == 0 { Ok(STANDARD.encode(bytes)) } else { Err(length - filled) };
            };
            if byte == b'=' {
                return match filled {
                    0 | 1 => Err(position),
                    2 => match source.next() {
                        None => Err(length),
                        Some((_, b'=')) => finish(bytes, &quantum, filled, source.next()),
                        Some((next, _)) => Err(next - 1),
                    },
                    _ => finish(bytes, &quantum, filled, source.next()),
                };
            }
            quantum[filled] = value(byte).ok_or(position)?;
            filled += 1;
        }
        push(&mut bytes, &quantum, 4);
    }
}

fn finish(
    mut bytes: Vec<u8>,
    quantum: &[u8; 4],
    filled: usize,
    trailing: Option<(usize, u8)>,
) -> Result<String, usize> {
    if let Some((position, _)) = trailing {
        return Err(position);
    }
    push(&mut bytes, quantum, filled);
    Ok(STANDARD.encode(bytes))
}

fn push(bytes: &mut Vec<u8>, quantum: &[u8; 4], filled: usize) {
    let bits = quantum.iter().fold(0_u32, |bits, value| bits << 6 | u32::from(*value));
    bytes.extend_from_slice(&bits.to_be_bytes()[1..filled]);
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn decodes_as_go_does() {
        assert_eq!(canonical("").as_deref(), Ok(""));
        assert_eq!(canonical("YQ==").as_deref(), Ok("YQ=="));
        assert_eq!(canonical("YWI=\n").as_deref(), Ok("YWI="));
        assert_eq!(canonical("YW\nJj").as_deref(), Ok("YWJj"));
        assert_eq!(canonical("!!!"), Err(0));
        assert_eq!(canonical("abc"), Err(0));
        assert_eq!(canonical("YWJjYQ"), Err(4));
        assert_eq!(canonical("not base64"), Err(3));
        assert_eq!(canonical("YQ==x"), Err(4));
        assert_eq!(canonical("="), Err(0));
    }
}
