//! Private keys, written and read in the PEM forms that Go uses.

use std::convert::Infallible;

use p256::SecretKey;
use p256::elliptic_curve::rand_core::{self, CryptoRng, RngCore};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::EncodePrivateKey;
use rcgen::KeyPair;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::rand_core::{TryCryptoRng, TryRng};

use crate::error::Error;
use crate::function::Call;
use crate::sprig::decode_base64;

/// `genPrivateKey`: the PEM, or the text that says the type is unknown.
pub(super) fn generate(call: &mut Call<'_>, kind: &[u8]) -> Result<Vec<u8>, Error> {
    call.session.charge_steps(5_000_000)?;
    Ok(match kind {
        b"" | b"rsa" => rsa_pem(&generate_rsa(call, 4096)?)?,
        b"dsa" => pem("DSA PRIVATE KEY", &generate_dsa(call)?),
        b"ecdsa" => {
            let key = SecretKey::random(&mut Source(call));
            pem("EC PRIVATE KEY", &sec1(&key))
        }
        b"ed25519" => {
            let mut seed = [0u8; 32];
            call.session.random().fill_bytes(&mut seed);
            pem("PRIVATE KEY", &ed25519_pkcs8(&seed))
        }
        unknown => [b"Unknown type ", unknown].concat(),
    })
}

pub(super) fn generate_rsa(call: &mut Call<'_>, bits: usize) -> Result<RsaPrivateKey, Error> {
    call.session.charge_steps(2_000_000)?;
    RsaPrivateKey::new(&mut Source(call), bits)
        .map_err(|error| Error::new(format!("error generating rsa key: {error}")))
}

pub(super) fn rsa_pem(key: &RsaPrivateKey) -> Result<Vec<u8>, Error> {
    let der = key.to_pkcs1_der().map_err(|error| Error::new(format!("error pem-encoding key: {error}")))?;
    Ok(pem("RSA PRIVATE KEY", der.as_bytes()))
}

/// A key that can sign, and its PEM as `genCAWithKey` and its kin give it back.
pub(super) struct SigningKey {
    pub(super) pair: KeyPair,
    pub(super) pem: Vec<u8>,
}

impl SigningKey {
    pub(super) fn of_rsa(key: &RsaPrivateKey) -> Result<SigningKey, Error> {
        let der = rsa::pkcs8::EncodePrivateKey::to_pkcs8_der(key)
            .map_err(|error| Error::new(format!("error pem-encoding key: {error}")))?;
        SigningKey::of_pkcs8(der.as_bytes().to_vec(), rsa_pem(key)?)
    }

    /// Reads PKCS#8, PKCS#1 or SEC 1.
    pub(super) fn parse(text: &[u8]) -> Result<SigningKey, Error> {
        let (label, der) = read_pem(text).ok_or_else(|| Error::new("no PEM data in input"))?;
        match label.as_str() {
            "PRIVATE KEY" => {
                let shown = match pkcs8_kind(&der) {
                    Some(Kind::Rsa(key)) => rsa_pem(&key)?,
                    Some(Kind::Ecdsa(key)) => pem("EC PRIVATE KEY", &sec1(&key)),
                    _ => pem("PRIVATE KEY", &der),
                };
                SigningKey::of_pkcs8(der, shown)
            }
            "RSA PRIVATE KEY" => {
                let key = RsaPrivateKey::from_pkcs1_der(&der)
                    .map_err(|error| Error::new(format!("parsing RSA private key from PEM: {error}")))?;
                SigningKey::of_rsa(&key)
            }
            "EC PRIVATE KEY" => {
                let key = SecretKey::from_sec1_der(&der)
                    .map_err(|error| Error::new(format!("parsing EC private key from PEM: {error}")))?;
                let pkcs8 = key
                    .to_pkcs8_der()
                    .map_err(|error| Error::new(format!("parsing EC private key from PEM: {error}")))?;
                SigningKey::of_pkcs8(pkcs8.as_bytes().to_vec(), pem("EC PRIVATE KEY", &sec1(&key)))
            }
            "DSA PRIVATE KEY" => Err(Error::new(
                "error creating certificate: x509: certificate private key does not implement crypto.Signer",
            )),
            other => Err(match other.strip_suffix(" PRIVATE KEY") {
                Some(kind) => Error::new(format!("invalid private key type {kind}")),
                None => Error::new(format!("no private key data in PEM block of type {other}")),
            }),
        }
    }

    fn of_pkcs8(der: Vec<u8>, pem: Vec<u8>) -> Result<SigningKey, Error> {
        let pair =
            KeyPair::try_from(der).map_err(|error| Error::new(format!("decoding PEM as PKCS#8: {error}")))?;
        Ok(SigningKey { pair, pem })
    }
}

enum Kind {
    Rsa(Box<RsaPrivateKey>),
    Ecdsa(SecretKey),
}

fn pkcs8_kind(der: &[u8]) -> Option<Kind> {
    if let Ok(key) = <RsaPrivateKey as rsa::pkcs8::DecodePrivateKey>::from_pkcs8_der(der) {
        return Some(Kind::Rsa(Box::new(key)));
    }
    <SecretKey as p256::pkcs8::DecodePrivateKey>::from_pkcs8_der(der).ok().map(Kind::Ecdsa)
}

/// The first PEM block of a text: its label and content.
pub(super) fn read_pem(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.lines().filter(|line| !line.contains(':')).collect();
    Some((label.to_owned(), decode_base64(body.trim().as_bytes()).ok()?))
}

/// A PEM block with lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in body.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    out
}

/// `ECPrivateKey` with the curve and the public key, as Go writes it.
fn sec1(key: &SecretKey) -> Vec<u8> {
    let public = key.public_key().to_encoded_point(false);
    let mut bits = vec![0u8];
    bits.extend_from_slice(public.as_bytes());
    sequence(&[
        tagged(0x02, &[1]),
        tagged(0x04, &key.to_bytes()),
        tagged(0xa0, &tagged(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])),
        tagged(0xa1, &tagged(0x03, &bits)),
    ])
}

fn ed25519_pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    sequence(&[
        tagged(0x02, &[0]),
        sequence(&[tagged(0x06, &[0x2b, 0x65, 0x70])]),
        tagged(0x04, &tagged(0x04, seed)),
    ])
}

/// `version p q g y x`, as OpenSSL writes DSA keys.
fn generate_dsa(call: &mut Call<'_>) -> Result<Vec<u8>, Error> {
    let components = dsa::Components::generate(&mut Source(call), dsa::KeySize::DSA_2048_256);
    let key = dsa::SigningKey::generate(&mut Source(call), components);
    let public = key.verifying_key();
    let components = public.components();
    Ok(sequence(&[
        tagged(0x02, &[0]),
        integer(&components.p().to_bytes_be()),
        integer(&components.q().to_bytes_be()),
        integer(&components.g().to_bytes_be()),
        integer(&public.y().to_bytes_be()),
        integer(&key.x().to_bytes_be()),
    ]))
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut content = bytes[start..].to_vec();
    if content.first().is_some_and(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    tagged(0x02, &content)
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=127 => out.push(length as u8),
        length @ 128..=255 => out.extend_from_slice(&[0x81, length as u8]),
        length => out.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// The session's random source for the key generators, which follow different versions of one interface.
struct Source<'a, 'b>(&'a mut Call<'b>);

impl TryRng for Source<'_, '_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.session.random().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.session.random().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.session.random().fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_, '_> {}

impl RngCore for Source<'_, '_> {
    fn next_u32(&mut self) -> u32 {
        self.0.session.random().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.session.random().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.session.random().fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.session.random().fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Source<'_, '_> {}
