//! Functions on URLs and addresses.

use std::net::IpAddr;

use cel::common::types::STRING_TYPE;
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};

use super::library::{Answer, Arguments, error, integer, special_at, string_at, text, truth};
use super::special::{CIDR, IP, Special, URL, Url, named};

/// Adds the functions.
pub(super) fn extend(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload("isURL", "is_url", vec![STRING_TYPE], |a| {
        truth(parse_url(&string_at(&a, 0)?).is_some())
    })?;
    env.add_overload("url", "string_to_url", vec![STRING_TYPE], url)?;
    let kind = || named(URL);
    env.add_member_overload("getScheme", "url_scheme", kind(), vec![], |a| text(url_at(&a)?.scheme))?;
    env.add_member_overload("getHost", "url_host", kind(), vec![], |a| text(url_at(&a)?.host))?;
    env.add_member_overload("getHostname", "url_hostname", kind(), vec![], |a| {
        text(split_host(&url_at(&a)?.host).0)
    })?;
    env.add_member_overload("getPort", "url_port", kind(), vec![], |a| {
        text(split_host(&url_at(&a)?.host).1)
    })?;
    env.add_member_overload("getEscapedPath", "url_path", kind(), vec![], |a| text(url_at(&a)?.path))?;
    env.add_overload("isIP", "is_ip", vec![STRING_TYPE], |a| {
        truth(string_at(&a, 0)?.parse::<IpAddr>().is_ok())
    })?;
    env.add_overload("ip", "string_to_ip", vec![STRING_TYPE], ip)?;
    env.add_overload("ip.isCanonical", "ip_is_canonical", vec![STRING_TYPE], |a| {
        let given = string_at(&a, 0)?;
        truth(parse_ip(&given)?.to_string() == given)
    })?;
    let kind = || named(IP);
    env.add_member_overload("family", "ip_family", kind(), vec![], |a| {
        integer(if ip_at(&a, 0)?.is_ipv4() { 4 } else { 6 })
    })?;
    env.add_member_overload("isUnspecified", "ip_unspecified", kind(), vec![], |a| {
        truth(ip_at(&a, 0)?.is_unspecified())
    })?;
    env.add_member_overload("isLoopback", "ip_loopback", kind(), vec![], |a| {
        truth(ip_at(&a, 0)?.is_loopback())
    })?;
    env.add_member_overload("isLinkLocalUnicast", "ip_link_local", kind(), vec![], |a| {
        truth(is_link_local(ip_at(&a, 0)?))
    })?;
    env.add_member_overload("isLinkLocalMulticast", "ip_link_local_multicast", kind(), vec![], |a| {
        truth(is_link_local_multicast(ip_at(&a, 0)?))
    })?;
    env.add_member_overload("isGlobalUnicast", "ip_global_unicast", kind(), vec![], |a| {
        let ip = ip_at(&a, 0)?;
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        truth(
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip) || broadcast),
        )
    })?;
    env.add_overload("isCIDR", "is_cidr", vec![STRING_TYPE], |a| {
        truth(parse_cidr(&string_at(&a, 0)?).is_some())
    })?;
    env.add_overload("cidr", "string_to_cidr", vec![STRING_TYPE], cidr)?;
    let kind = || named(CIDR);
    env.add_member_overload("containsIP", "cidr_contains_ip_text", kind(), vec![STRING_TYPE], |a| {
        let (first, bits) = cidr_at(&a, 0)?;
        truth(contains(first, bits, parse_ip(&string_at(&a, 1)?)?))
    })?;
    env.add_member_overload("containsIP", "cidr_contains_ip", kind(), vec![named(IP)], |a| {
        let (first, bits) = cidr_at(&a, 0)?;
        truth(contains(first, bits, ip_at(&a, 1)?))
    })?;
    env.add_member_overload("containsCIDR", "cidr_contains_cidr_text", kind(), vec![STRING_TYPE], |a| {
        let (first, bits) = cidr_at(&a, 0)?;
        let (other, longer) = parse_cidr(&string_at(&a, 1)?).ok_or_else(|| error("invalid CIDR"))?;
        truth(bits <= longer && contains(first, bits, other))
    })?;
    env.add_member_overload("containsCIDR", "cidr_contains_cidr", kind(), vec![named(CIDR)], |a| {
        let ((first, bits), (other, longer)) = (cidr_at(&a, 0)?, cidr_at(&a, 1)?);
        truth(bits <= longer && contains(first, bits, other))
    })?;
    env.add_member_overload("prefixLength", "cidr_prefix", kind(), vec![], |a| {
        integer(i64::from(cidr_at(&a, 0)?.1))
    })?;
    env.add_member_overload("ip", "cidr_ip", kind(), vec![], |a| {
        Ok(CowVal::owned(Special::Ip(cidr_at(&a, 0)?.0)))
    })?;
    env.add_member_overload("masked", "cidr_masked", kind(), vec![], |a| {
        let (first, bits) = cidr_at(&a, 0)?;
        Ok(CowVal::owned(Special::Cidr(masked(first, bits), bits)))
    })?;
    Ok(())
}

fn url<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let given = string_at(&arguments, 0)?;
    let url = parse_url(&given).ok_or_else(|| {
        error(format!(
            "URL parse error during conversion from string: parse {given:?}: invalid URI for request"
        ))
    })?;
    Ok(CowVal::owned(Special::Url(url)))
}

/// An absolute URL, or a path from the root.
fn parse_url(text: &str) -> Option<Url> {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let (rest, query) = text.split_once('?').unwrap_or((text, ""));
    if rest.starts_with('/') {
        return Some(Url {
            scheme: String::new(),
            host: String::new(),
            path: rest.to_owned(),
            query: query.to_owned(),
        });
    }
    let (scheme, rest) = rest.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !valid {
        return None;
    }
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, ""),
        },
        None => ("", rest),
    };
    Some(Url {
        scheme: scheme.to_lowercase(),
        host: host.rsplit('@').next().unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

fn split_host(host: &str) -> (String, String) {
    if let Some(rest) = host.strip_prefix('[') {
        let (name, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (name.to_owned(), port.trim_start_matches(':').to_owned());
    }
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    (name.to_owned(), port.to_owned())
}

fn url_at(arguments: &Arguments<'_, '_>) -> Result<Url, ExecutionError> {
    match special_at(arguments, 0)? {
        Special::Url(url) => Ok(url),
        _ => Err(error("no such overload")),
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, ExecutionError> {
    text.parse().map_err(|_| error(format!("IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP")))
}

fn ip<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    Ok(CowVal::owned(Special::Ip(parse_ip(&string_at(&arguments, 0)?)?)))
}

fn ip_at(arguments: &Arguments<'_, '_>, index: usize) -> Result<IpAddr, ExecutionError> {
    match special_at(arguments, index)? {
        Special::Ip(ip) => Ok(ip),
        _ => Err(error("no such overload")),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn cidr<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let given = string_at(&arguments, 0)?;
    let (first, bits) = parse_cidr(&given).ok_or_else(|| {
        error(format!("network address parse error during conversion from string: {given:?}"))
    })?;
    Ok(CowVal::owned(Special::Cidr(first, bits)))
}

fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, bits))
}

fn cidr_at(arguments: &Arguments<'_, '_>, index: usize) -> Result<(IpAddr, u8), ExecutionError> {
    match special_at(arguments, index)? {
        Special::Cidr(first, bits) => Ok((first, bits)),
        _ => Err(error("no such overload")),
    }
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::from((u32::from(ip) & mask).to_be_bytes())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::from((u128::from(ip) & mask).to_be_bytes())
        }
    }
}

fn contains(first: IpAddr, bits: u8, ip: IpAddr) -> bool {
    first.is_ipv4() == ip.is_ipv4() && masked(first, bits) == masked(ip, bits)
}
