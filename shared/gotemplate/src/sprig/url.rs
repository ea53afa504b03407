//! URLs as Go's `net/url` reads and writes them.

use std::net::{IpAddr, Ipv4Addr};

use super::argument::{ANY_MAP_TYPE, STRING, map, text};
use crate::Map;
use crate::error::Error;
use crate::function::{Function, Functions};
use crate::text::Text;
use crate::value::Value;
use fluxide_gotext::quote;

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "urlParse",
        Function::new(&[STRING], |_, a| {
            let url = Url::parse(text(a, 0))
                .map_err(|error| Error::new([b"unable to parse url: ".as_slice(), &error].concat()))?;
            let dict = Map::new();
            let userinfo = url.user.as_ref().map(UserInfo::text).unwrap_or_default();
            let hostname = hostname(&url.host).to_vec();
            for (key, part) in [
                ("scheme", url.scheme),
                ("host", url.host),
                ("hostname", hostname),
                ("path", url.path),
                ("query", url.query),
                ("opaque", url.opaque),
                ("fragment", url.fragment),
                ("userinfo", userinfo),
            ] {
                dict.insert(key, Value::string(part));
            }
            Ok(Value::Map(dict))
        }),
    );
    functions.insert("urlJoin", Function::new(&[ANY_MAP_TYPE], |_, a| join(&map(a, 0))));
}

fn join(dict: &Map) -> Result<Value, Error> {
    let part = |key: &str| match dict.get(key) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.to_vec()),
        Some(Value::Nil) => {
            Err(Error::new("runtime error: invalid memory address or nil pointer dereference"))
        }
        Some(other) => Err(Error::new(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind().name()
        ))),
    };
    let mut url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        ..Url::default()
    };
    let userinfo = part("userinfo")?;
    if !userinfo.is_empty() {
        let whole = [b"proto://".as_slice(), &userinfo, b"@host"].concat();
        let parsed = Url::parse(&whole).map_err(|error| {
            Error::new([b"unable to parse userinfo in dict: ".as_slice(), &error].concat())
        })?;
        url.user = parsed.user;
    }
    Ok(Value::String(url.text()))
}

#[derive(Default)]
pub(crate) struct Url {
    pub(crate) scheme: Vec<u8>,
    opaque: Vec<u8>,
    user: Option<UserInfo>,
    pub(crate) host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    fragment: Vec<u8>,
}

struct UserInfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl UserInfo {
    fn text(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        out
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Zone,
    Path,
    Fragment,
}

impl Url {
    pub(crate) fn parse(text: &[u8]) -> Result<Url, Vec<u8>> {
        let (main, fragment) = cut(text, b'#');
        let failed =
            |whole: &[u8], error: Vec<u8>| [b"parse ", quote(whole).as_slice(), b": ", &error].concat();
        let mut url = Url::parse_main(main).map_err(|error| failed(main, error))?;
        if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
            url.fragment = unescape(fragment, Part::Fragment).map_err(|error| failed(text, error))?;
        }
        Ok(url)
    }

    fn parse_main(text: &[u8]) -> Result<Url, Vec<u8>> {
        if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
            return Err(b"net/url: invalid control character in URL".to_vec());
        }
        let mut url = Url::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, mut rest) = scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        if rest.ends_with(b"?") && rest.iter().filter(|byte| **byte == b'?').count() == 1 {
            rest = &rest[..rest.len() - 1];
        } else {
            let (before, query) = cut(rest, b'?');
            rest = before;
            url.query = query.unwrap_or_default().to_vec();
        }
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err(b"first path segment in URL cannot contain colon".to_vec());
            }
        }
        if (!url.scheme.is_empty() || !rest.starts_with(b"///")) && rest.starts_with(b"//") {
            let authority = &rest[2..];
            let end = memchr::memchr(b'/', authority).unwrap_or(authority.len());
            rest = &authority[end..];
            url.parse_authority(&authority[..end])?;
        }
        url.path = unescape(rest, Part::Path)?;
        Ok(url)
    }

    fn parse_authority(&mut self, authority: &[u8]) -> Result<(), Vec<u8>> {
        let Some(at) = memchr::memrchr(b'@', authority) else {
            self.host = parse_host(&self.scheme, authority)?;
            return Ok(());
        };
        self.host = parse_host(&self.scheme, &authority[at + 1..])?;
        let user = &authority[..at];
        if !user.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte)) {
            return Err(b"net/url: invalid userinfo".to_vec());
        }
        let (name, password) = cut(user, b':');
        self.user = Some(UserInfo {
            name: unescape(name, Part::User)?,
            password: password.map(|password| unescape(password, Part::User)).transpose()?,
        });
        Ok(())
    }

    fn text(&self) -> Text {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if !self.opaque.is_empty() {
            out.extend_from_slice(&self.opaque);
        } else {
            if (!self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some())
                && (!self.host.is_empty() || !self.path.is_empty() || self.user.is_some())
            {
                out.extend_from_slice(b"//");
                if let Some(user) = &self.user {
                    out.extend(user.text());
                    out.push(b'@');
                }
                out.extend(escape(&self.host, Part::Host));
            }
            let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Part::Path) };
            if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
                out.push(b'/');
            }
            if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
                out.extend_from_slice(b"./");
            }
            out.extend(path);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        Text::from(out)
    }
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, text) {
        Some(found) => (&text[..found], Some(&text[found + 1..])),
        None => (text, None),
    }
}

fn scheme(text: &[u8]) -> Result<(&[u8], &[u8]), Vec<u8>> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(b"missing protocol scheme".to_vec()),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => return Ok((b"", text)),
        }
    }
    Ok((b"", text))
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let bad_port = |port: &[u8]| [b"invalid port ", quote(port).as_slice(), b" after host"].concat();
    match memchr::memrchr(b'[', host) {
        Some(0) => {
            let Some(close) = memchr::memrchr(b']', host) else {
                return Err(b"missing ']' in host".to_vec());
            };
            let port = &host[close + 1..];
            if !is_optional_port(port) {
                return Err(bad_port(port));
            }
            let name = &host[1..close];
            let unescaped = match memchr::memmem::find(name, b"%25") {
                Some(zone) => {
                    [unescape(&name[..zone], Part::Host)?, unescape(&name[zone..], Part::Zone)?].concat()
                }
                None => unescape(name, Part::Host)?,
            };
            check_ip_literal(&unescaped)?;
            return Ok([b"[".as_slice(), &unescaped, b"]", &unescape(port, Part::Host)?].concat());
        }
        Some(_) => return Err(b"invalid IP-literal".to_vec()),
        None => {}
    }
    if let Some(first) = memchr::memchr(b':', host) {
        let last = memchr::memrchr(b':', host).unwrap_or(first);
        // Only web addresses are held to one colon.
        let port = if scheme == b"http" || scheme == b"https" { &host[first..] } else { &host[last..] };
        if !is_optional_port(port) {
            return Err(bad_port(port));
        }
    }
    unescape(host, Part::Host)
}

fn check_ip_literal(text: &[u8]) -> Result<(), Vec<u8>> {
    let shown = String::from_utf8_lossy(text);
    let address = shown.split('%').next().unwrap_or_default();
    if address.parse::<Ipv4Addr>().is_ok() {
        return Err(b"invalid IP-literal".to_vec());
    }
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let quoted = String::from_utf8_lossy(&quote(text)).into_owned();
            Err(format!("invalid host: ParseAddr({quoted}): unable to parse IP").into_bytes())
        }
    }
}

fn is_optional_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The host without its port and the brackets of an IPv6 address.
pub(crate) fn hostname(host: &[u8]) -> &[u8] {
    let host = match memchr::memrchr(b':', host) {
        Some(colon) if is_optional_port(&host[colon..]) => &host[..colon],
        _ => host,
    };
    host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
}

fn is_kept(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return true;
    }
    match part {
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"".contains(&byte),
        Part::User => b"$&+,;=".contains(&byte),
        Part::Path => b"$&+,/:;=@".contains(&byte),
        Part::Fragment => b"$&+,/:;=?@!()*".contains(&byte),
    }
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if is_kept(*byte, part) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// A part of a path with its escapes resolved.
pub(crate) fn unescape_path(text: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    unescape(text, Part::Path)
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, Vec<u8>> {
    let invalid = |what: &[u8]| [b"invalid URL escape ", quote(what).as_slice()].concat();
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'%' {
            if matches!(part, Part::Host | Part::Zone) && text[at].is_ascii() && !is_kept(text[at], part) {
                return Err(
                    [b"invalid character ", quote(&text[at..=at]).as_slice(), b" in host name"].concat()
                );
            }
            out.push(text[at]);
            at += 1;
            continue;
        }
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(invalid(&text[at..text.len().min(at + 3)]));
        };
        let whole = &text[at..at + 3];
        let byte = (high * 16 + low) as u8;
        let refused = match part {
            Part::Host => high < 8 && whole != b"%25",
            Part::Zone => whole != b"%25" && byte != b' ' && !is_kept(byte, Part::Host),
            _ => false,
        };
        if refused {
            return Err(invalid(whole));
        }
        out.push(byte);
        at += 3;
    }
    Ok(out)
}
