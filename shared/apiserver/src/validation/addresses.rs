//! IP addresses and blocks in fields: what is refused, and what is accepted with a warning.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::api_error::FieldError;

const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NO_BLOCK: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Checks an address; one that the stored object has already stays valid.
pub(crate) fn address(text: &str, path: &str, stored: &[&str], errors: &mut Vec<FieldError>) -> bool {
    if stored.contains(&text) {
        return true;
    }
    let before = errors.len();
    match lenient(text) {
        None => errors.push(FieldError::invalid(path, text, NO_ADDRESS)),
        Some(_) if text.parse::<IpAddr>().is_err() => {
            errors.push(FieldError::invalid(path, text, "must not have leading 0s"));
        }
        Some(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            errors.push(FieldError::invalid(path, text, "must not be an IPv4-mapped IPv6 address"));
        }
        Some(_) => {}
    }
    errors.len() == before
}

/// What is wrong with the name of an object that stands for an address.
pub(crate) fn name_problems(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    address(name, "", &[], &mut errors);
    errors.into_iter().map(|e| e.detail).collect()
}

/// Checks an address that clients connect to.
pub(crate) fn endpoint(text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let Some(ip) = lenient(text) else {
        errors.push(FieldError::invalid(path, text, "must be a valid IP address"));
        return;
    };
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => {
            let head = ip.segments()[0];
            (head & 0xffc0 == 0xfe80, head & 0xff0f == 0xff02)
        }
    };
    for (wrong, why) in [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ] {
        if wrong {
            errors.push(FieldError::invalid(path, text, why));
        }
    }
}

/// Checks a block of addresses and returns it when it can be read at all.
pub(crate) fn block(text: &str, path: &str, stored: &[&str], errors: &mut Vec<FieldError>) -> Option<Block> {
    let Some(block) = Block::lenient(text) else {
        if !stored.contains(&text) {
            errors.push(FieldError::invalid(path, text, NO_BLOCK));
        }
        return None;
    };
    if stored.contains(&text) {
        return Some(block);
    }
    if !Block::is_strict(text) {
        errors.push(FieldError::invalid(path, text, "must not have leading 0s in IP or prefix length"));
    } else if matches!(block.given, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        errors.push(FieldError::invalid(path, text, "must not have an IPv4-mapped IPv6 address"));
    } else if block.given != block.first {
        errors.push(FieldError::invalid(path, text, "must not have bits set beyond the prefix length"));
    }
    Some(block)
}

/// The warning that an address as written deserves.
pub(crate) fn address_warning(text: &str, path: &str) -> Option<String> {
    let ip = lenient(text)?;
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    if text.parse::<IpAddr>().is_err() || mapped {
        return Some(format!("{path}: non-standard IP address {text:?} is invalid: use {:?}", plain(ip)));
    }
    (ip.is_ipv6() && ip.to_string() != text).then(|| {
        format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format ({:?})", ip.to_string())
    })
}

/// The warnings that a block as written deserves.
pub(crate) fn block_warnings(text: &str, path: &str) -> Vec<String> {
    let Some(block) = Block::lenient(text) else { return Vec::new() };
    let canonical = format!("{}/{}", plain(block.first), block.bits);
    let mut warnings = Vec::new();
    if block.given != block.first {
        let length = if block.given.is_ipv4() { 32 } else { 128 };
        warnings.push(format!(
            "{path}: CIDR value {text:?} is ambiguous in this context (should be {canonical:?} or {:?}?)",
            format!("{}/{length}", plain(block.given))
        ));
    }
    let mapped = matches!(block.given, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    if !Block::is_strict(text) || mapped {
        warnings.push(format!("{path}: non-standard CIDR value {text:?} is invalid: use {canonical:?}"));
    }
    if warnings.is_empty() && block.given.is_ipv6() && canonical != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format ({canonical:?})"
        ));
    }
    warnings
}

/// Whether the text is an address at all.
pub(crate) fn is_address(text: &str) -> bool {
    lenient(text).is_some()
}

/// A block of addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    given: IpAddr,
    first: IpAddr,
    /// The length of the prefix.
    pub bits: u8,
}

impl Block {
    /// Reads a block as Go long did: parts of an IPv4 address may have leading zeros.
    pub fn lenient(text: &str) -> Option<Self> {
        let (ip, bits) = text.split_once('/')?;
        let ip = lenient(ip)?;
        if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let bits: u8 = bits.parse().ok()?;
        let first = match ip {
            IpAddr::V4(_) if bits > 32 => return None,
            IpAddr::V6(_) if bits > 128 => return None,
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(ip) & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(ip) & mask))
            }
        };
        Some(Block { given: ip, first, bits })
    }

    fn is_strict(text: &str) -> bool {
        text.split_once('/')
            .is_some_and(|(ip, bits)| ip.parse::<IpAddr>().is_ok() && (bits == "0" || !bits.starts_with('0')))
    }

    /// Whether the first address of `other` lies in this block.
    pub fn contains(&self, other: &Block) -> bool {
        match (self.first, other.first) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(a) == u32::from(b) & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(a) == u128::from(b) & mask
            }
            _ => false,
        }
    }
}

/// Reads an address as Go long did: parts of an IPv4 address may have leading zeros.
fn lenient(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok().map(IpAddr::V6);
    }
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 8 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse::<u32>().ok().and_then(|n| u8::try_from(n).ok())?;
    }
    parts.next().is_none().then(|| IpAddr::from(octets))
}

/// An address as Go prints it: IPv4-mapped ones as IPv4.
fn plain(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string()),
        v4 => v4.to_string(),
    }
}
