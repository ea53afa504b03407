//! `known_hosts` as OpenSSH reads it: patterns, hashed names, ports, authorities and revocations.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey};

/// The keys hosts may have.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    marker: Marker,
    hosts: Vec<HostPattern>,
    key: PublicKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Key,
    Authority,
    Revoked,
}

#[derive(Clone, Debug)]
enum HostPattern {
    Glob { pattern: String, negated: bool },
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("known_hosts line {line}: {reason}")]
pub struct KnownHostsError {
    /// Which line, from 1.
    pub line: usize,
    /// Why.
    pub reason: &'static str,
}

/// Why a host's key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// The host has other keys than this.
    #[error("knownhosts: key mismatch")]
    Mismatch,
    /// The host is not listed.
    #[error("knownhosts: key is unknown")]
    Unknown,
    /// The key is listed as revoked.
    #[error("knownhosts: key is revoked")]
    Revoked,
    /// The host's certificate is not good for it.
    #[error("knownhosts: certificate is not accepted: {0}")]
    Certificate(&'static str),
}

impl KnownHosts {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, KnownHostsError> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = parse_entry(line).map_err(|reason| KnownHostsError { line: index + 1, reason })?;
            entries.push(entry);
        }
        Ok(KnownHosts { entries })
    }

    /// The algorithms of the keys a host has.
    pub fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for entry in self.matching(host, port).filter(|e| e.marker == Marker::Key) {
            match entry.key.algorithm() {
                Algorithm::Rsa { .. } => algorithms.extend([
                    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
                ]),
                algorithm => algorithms.push(algorithm),
            }
        }
        if self.has_authority(host, port) {
            // The authority says nothing about the keys of its hosts.
            algorithms.extend([
                Algorithm::Ed25519,
                Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
                Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
                Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ]);
        }
        let mut seen = Vec::new();
        algorithms.retain(|a| {
            !seen.contains(a) && {
                seen.push(a.clone());
                true
            }
        });
        algorithms
    }

    /// Whether certificates of the host can be checked.
    pub fn has_authority(&self, host: &str, port: u16) -> bool {
        self.matching(host, port).any(|e| e.marker == Marker::Authority)
    }

    /// Whether the host may have what it offers.
    pub fn check(&self, host: &str, port: u16, offered: &PublicKeyOrCertificate) -> Result<(), HostKeyError> {
        let key = offered.public_key();
        let revoked = |key: &PublicKey| {
            self.matching(host, port)
                .any(|e| e.marker == Marker::Revoked && e.key.key_data() == key.key_data())
        };
        if revoked(&key) {
            return Err(HostKeyError::Revoked);
        }
        if let Some(certificate) = offered.certificate() {
            if revoked(&PublicKey::new(certificate.signature_key().clone(), "")) {
                return Err(HostKeyError::Revoked);
            }
            return self.check_certificate(host, port, certificate);
        }
        let mut listed = self.matching(host, port).filter(|e| e.marker == Marker::Key).peekable();
        if listed.peek().is_none() {
            return Err(HostKeyError::Unknown);
        }
        match listed.any(|e| e.key.key_data() == key.key_data()) {
            true => Ok(()),
            false => Err(HostKeyError::Mismatch),
        }
    }

    fn check_certificate(
        &self,
        host: &str,
        port: u16,
        certificate: &Certificate,
    ) -> Result<(), HostKeyError> {
        let authorities: Vec<_> = self
            .matching(host, port)
            .filter(|e| e.marker == Marker::Authority)
            .map(|e| e.key.fingerprint(HashAlg::Sha256))
            .collect();
        if authorities.is_empty() {
            return Err(HostKeyError::Unknown);
        }
        if certificate.cert_type() != CertType::Host {
            return Err(HostKeyError::Certificate("it is not one of a host"));
        }
        let named = certificate.valid_principals().iter().any(|name| glob(name, host));
        if !named {
            return Err(HostKeyError::Certificate("it is for another host"));
        }
        // None is defined for hosts, and what is critical must be understood.
        if !certificate.critical_options().is_empty() {
            return Err(HostKeyError::Certificate("it has critical options"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        certificate
            .validate_at(now, &authorities)
            .map_err(|_| HostKeyError::Certificate("its signature, its authority or its time is wrong"))
    }

    fn matching(&self, host: &str, port: u16) -> impl Iterator<Item = &Entry> {
        let host = host.to_ascii_lowercase();
        let name = match port {
            22 => host,
            port => format!("[{host}]:{port}"),
        };
        self.entries.iter().filter(move |entry| entry.matches(&name))
    }
}

impl Entry {
    fn matches(&self, name: &str) -> bool {
        let mut matched = false;
        for pattern in &self.hosts {
            match pattern {
                HostPattern::Glob { pattern, negated } if glob(pattern, name) => {
                    if *negated {
                        return false;
                    }
                    matched = true;
                }
                HostPattern::Glob { .. } => {}
                HostPattern::Hashed { salt, hash } => {
                    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                    matched |= hmac::verify(&key, name.as_bytes(), hash).is_ok();
                }
            }
        }
        matched
    }
}

fn parse_entry(line: &str) -> Result<Entry, &'static str> {
    let mut fields = line.split_ascii_whitespace();
    let mut first = fields.next().ok_or("it is empty")?;
    let marker = match first {
        "@cert-authority" => Marker::Authority,
        "@revoked" => Marker::Revoked,
        marker if marker.starts_with('@') => return Err("the marker is not known"),
        _ => Marker::Key,
    };
    if marker != Marker::Key {
        first = fields.next().ok_or("the hosts are missing")?;
    }
    let kind = fields.next().ok_or("the key is missing")?;
    let encoded = fields.next().ok_or("the key is missing")?;
    let key = PublicKey::from_openssh(&format!("{kind} {encoded}")).map_err(|_| "the key cannot be read")?;
    let hosts = first.split(',').map(parse_pattern).collect::<Result<_, _>>()?;
    Ok(Entry { marker, hosts, key })
}

fn parse_pattern(text: &str) -> Result<HostPattern, &'static str> {
    if let Some(hashed) = text.strip_prefix("|1|") {
        let (salt, hash) = hashed.split_once('|').ok_or("the hashed host is malformed")?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| "the hashed host is malformed");
        return Ok(HostPattern::Hashed { salt: decode(salt)?, hash: decode(hash)? });
    }
    let (negated, pattern) = match text.strip_prefix('!') {
        Some(pattern) => (true, pattern),
        None => (false, text),
    };
    if pattern.is_empty() {
        return Err("a host is empty");
    }
    // Port 22 may be written although it is the default.
    let pattern = pattern.to_ascii_lowercase();
    let pattern = match pattern.strip_prefix('[').and_then(|p| p.strip_suffix("]:22")) {
        Some(host) => host.to_owned(),
        None => pattern,
    };
    Ok(HostPattern::Glob { pattern, negated })
}

/// `*` is any text and `?` any character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn offered(key: &str) -> PublicKeyOrCertificate {
        PublicKeyOrCertificate::PublicKey { key: PublicKey::from_openssh(key).unwrap(), hash_alg: None }
    }

    fn check(text: &str, host: &str, port: u16) -> Result<(), HostKeyError> {
        KnownHosts::parse(text).unwrap().check(host, port, &offered(KEY))
    }

    #[test]
    fn names_patterns_and_ports() {
        assert_eq!(check(&format!("git.example.com,10.0.0.1 {KEY}"), "git.example.com", 22), Ok(()));
        assert_eq!(check(&format!("git.example.com {KEY} a comment"), "GIT.example.com", 22), Ok(()));
        assert_eq!(check(&format!("*.example.com,!bad.example.com {KEY}"), "a.example.com", 22), Ok(()));
        let negated = format!("*.example.com,!bad.example.com {KEY}");
        assert_eq!(check(&negated, "bad.example.com", 22), Err(HostKeyError::Unknown));
        assert_eq!(check(&format!("[h]:2222 {KEY}"), "h", 2222), Ok(()));
        assert_eq!(check(&format!("[h]:22 {KEY}"), "h", 22), Ok(()));
        assert_eq!(check(&format!("h {KEY}"), "h", 2222), Err(HostKeyError::Unknown));
        assert_eq!(check("# nothing\n\n", "h", 22), Err(HostKeyError::Unknown));
    }

    #[test]
    fn hashed_names() {
        // Made by `ssh-keygen -H` from a line for `[127.0.0.1]:2222`.
        let salt = STANDARD.encode([7; 20]);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7; 20]);
        let hash = STANDARD.encode(hmac::sign(&key, b"[127.0.0.1]:2222"));
        let line = format!("|1|{salt}|{hash} {KEY}");
        assert_eq!(check(&line, "127.0.0.1", 2222), Ok(()));
        assert_eq!(check(&line, "127.0.0.1", 22), Err(HostKeyError::Unknown));
    }

    #[test]
    fn changed_and_revoked_keys_are_refused() {
        assert_eq!(check(&format!("h {OTHER}"), "h", 22), Err(HostKeyError::Mismatch));
        assert_eq!(check(&format!("h {OTHER}\nh {KEY}"), "h", 22), Ok(()));
        assert_eq!(check(&format!("h {KEY}\n@revoked * {KEY}"), "h", 22), Err(HostKeyError::Revoked));
        // An authority's key is not a host's key.
        assert_eq!(check(&format!("@cert-authority h {KEY}"), "h", 22), Err(HostKeyError::Unknown));
    }

    #[test]
    fn malformed_lines_are_named() {
        for line in
            ["h", "h ssh-ed25519", "h ssh-ed25519 xx", "@other h ssh-ed25519 AAAA", "|1|x ssh-rsa AAAA"]
        {
            let error = KnownHosts::parse(&format!("# comment\n{line}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{line}");
        }
    }

    #[test]
    fn an_rsa_line_allows_the_newer_signatures() {
        let rsa = include_str!("../../tests/fixtures/signatures/ssh-rsa.pub");
        let hosts = KnownHosts::parse(&format!("h {rsa}\nh {KEY}")).unwrap();
        let names: Vec<_> = hosts.algorithms("h", 22).iter().map(|a| a.to_string()).collect();
        assert_eq!(names, ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    }
}
