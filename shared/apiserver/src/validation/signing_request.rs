//! Requests for certificates, and certificates, as they are in PEM: whether they can be read, and signatures.

use base64::Engine;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::RsaSsaPssParams;

use super::pem;

/// The organizations of the subject that a request, PEM in base64, is for.
pub(crate) fn organizations(encoded: &str) -> Result<Vec<String>, String> {
    let der = request_der(encoded)?;
    let request = parse(&der)?;
    let names = request.certification_request_info.subject.iter_organization();
    Ok(names.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect())
}

/// Why a request, PEM in base64, cannot be accepted: it cannot be read, or its signature is wrong.
pub(crate) fn complaint(encoded: &str) -> Option<String> {
    let check = || verify(&parse(&request_der(encoded)?)?);
    check().err()
}

/// Why issued certificates, PEM in base64, cannot be accepted.
pub(crate) fn certificate_complaint(encoded: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    if bytes.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut rest = text.as_str();
    let mut found = false;
    while let Some((block, following)) = pem::first(rest) {
        if block.kind != "CERTIFICATE" {
            let kind = fluxide_gotext::quote_str(&block.kind);
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found {kind}"));
        }
        if block.has_headers {
            return Some("no PEM block headers are permitted".to_owned());
        }
        found = true;
        let mut der = block.der.as_slice();
        if der.is_empty() {
            return Some("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        while !der.is_empty() {
            match X509Certificate::from_der(der) {
                Ok((after, _)) => der = after,
                Err(_) => return Some("x509: malformed certificate".to_owned()),
            }
        }
        rest = following;
    }
    (!found).then(|| "must contain at least one CERTIFICATE PEM block".to_owned())
}

fn request_der(encoded: &str) -> Result<Vec<u8>, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    match pem::first(&text) {
        Some((block, _)) if block.kind == "CERTIFICATE REQUEST" => Ok(block.der),
        _ => Err("PEM block type must be CERTIFICATE REQUEST".to_owned()),
    }
}

fn parse(der: &[u8]) -> Result<X509CertificationRequest<'_>, String> {
    if let Some(why) = envelope_complaint(der) {
        return Err(why);
    }
    match X509CertificationRequest::from_der(der) {
        Ok((_, request)) => Ok(request),
        Err(_) => Err("asn1: structure error: malformed certificate request".to_owned()),
    }
}

/// What is wrong with the outermost sequence, in the words of Go's decoder.
fn envelope_complaint(der: &[u8]) -> Option<String> {
    const SEQUENCE: u8 = 0x30;
    let truncated = || Some("asn1: syntax error: data truncated".to_owned());
    let Some((&tag, rest)) = der.split_first() else {
        return Some("asn1: syntax error: sequence truncated".to_owned());
    };
    let Some((&first, rest)) = rest.split_first() else {
        return Some("asn1: syntax error: truncated tag or length".to_owned());
    };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ => {
            let digits = usize::from(first & 0x7f);
            if digits == 0 {
                return Some("asn1: syntax error: indefinite length found (not DER)".to_owned());
            }
            let Some(bytes) = rest.get(..digits) else {
                return Some("asn1: syntax error: truncated tag or length".to_owned());
            };
            if digits > 4 {
                return Some("asn1: structure error: length too large".to_owned());
            }
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, &rest[digits..])
        }
    };
    if tag != SEQUENCE {
        return Some(format!(
            "asn1: structure error: tags don't match (16 vs {{class:{} tag:{} length:{length} isCompound:{}}}) \
             {{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> stringType:0 \
             timeType:0 set:false omitEmpty:false}} certificateRequest @{}",
            tag >> 6,
            tag & 0x1f,
            tag & 0x20 != 0,
            der.len() - rest.len()
        ));
    }
    match rest.len() {
        found if found < length => truncated(),
        found if found > length => Some("asn1: syntax error: trailing data".to_owned()),
        _ => None,
    }
}

fn verify(request: &X509CertificationRequest<'_>) -> Result<(), String> {
    let info = &request.certification_request_info;
    let key: &[u8] = &info.subject_pki.subject_public_key.data;
    let algorithm = request.signature_algorithm.algorithm.to_id_string();
    let curve = info.subject_pki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
    let curve = curve.map(|curve| curve.to_id_string()).unwrap_or_default();
    if info.subject_pki.algorithm.algorithm.to_id_string() == EC_KEY
        && !matches!(curve.as_str(), P224 | P256 | P384 | P521)
    {
        return Err("x509: unsupported elliptic curve".to_owned());
    }
    let (verification, failure): (&'static dyn VerificationAlgorithm, &str) =
        match (algorithm.as_str(), curve.as_str()) {
            ("1.2.840.113549.1.1.5", _) => {
                (&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_FAILURE)
            }
            ("1.2.840.113549.1.1.11", _) => {
                (&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_FAILURE)
            }
            ("1.2.840.113549.1.1.12", _) => (&signature::RSA_PKCS1_2048_8192_SHA384, RSA_FAILURE),
            ("1.2.840.113549.1.1.13", _) => {
                (&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RSA_FAILURE)
            }
            ("1.2.840.113549.1.1.10", _) if curve.is_empty() => {
                (padding_of(request).ok_or(UNKNOWN)?, RSA_FAILURE)
            }
            ("1.2.840.10045.4.3.2", P256) => (&signature::ECDSA_P256_SHA256_ASN1, ECDSA_FAILURE),
            ("1.2.840.10045.4.3.3", P256) => (&signature::ECDSA_P256_SHA384_ASN1, ECDSA_FAILURE),
            ("1.2.840.10045.4.3.2", P384) => (&signature::ECDSA_P384_SHA256_ASN1, ECDSA_FAILURE),
            ("1.2.840.10045.4.3.3", P384) => (&signature::ECDSA_P384_SHA384_ASN1, ECDSA_FAILURE),
            ("1.3.101.112", _) => (&signature::ED25519, "x509: Ed25519 verification failure"),
            (algorithm, curve) => {
                let hash = ecdsa_hash(algorithm).ok_or(UNKNOWN)?;
                let hash = digest::digest(hash, info.raw);
                let good = curve_verifies(curve, key, hash.as_ref(), &request.signature_value.data);
                return if good.ok_or(UNKNOWN)? { Ok(()) } else { Err(ECDSA_FAILURE.to_owned()) };
            }
        };
    UnparsedPublicKey::new(verification, key)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| failure.to_owned())
}

/// The verification of a signature with padding of its own, whose parameters must be the usual ones.
fn padding_of(request: &X509CertificationRequest<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let parameters = request.signature_algorithm.parameters.as_ref()?;
    let parameters = RsaSsaPssParams::try_from(parameters).ok()?;
    let hash = parameters.hash_algorithm_oid().to_id_string();
    let mask = parameters.mask_gen_algorithm().ok()?;
    if mask.hash.to_id_string() != hash || parameters.trailer_field() != 1 {
        return None;
    }
    match (hash.as_str(), parameters.salt_length()) {
        ("2.16.840.1.101.3.4.2.1", 32) => Some(&signature::RSA_PSS_2048_8192_SHA256),
        ("2.16.840.1.101.3.4.2.2", 48) => Some(&signature::RSA_PSS_2048_8192_SHA384),
        ("2.16.840.1.101.3.4.2.3", 64) => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn ecdsa_hash(algorithm: &str) -> Option<&'static digest::Algorithm> {
    match algorithm {
        "1.2.840.10045.4.1" => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        "1.2.840.10045.4.3.2" => Some(&digest::SHA256),
        "1.2.840.10045.4.3.3" => Some(&digest::SHA384),
        "1.2.840.10045.4.3.4" => Some(&digest::SHA512),
        _ => None,
    }
}

/// Whether a signature of a hash is that of a key on one of the curves; none for other curves.
fn curve_verifies(curve: &str, key: &[u8], hash: &[u8], signature: &[u8]) -> Option<bool> {
    // A hash is a number: one that is shorter than those of the curve has zeros in front.
    let padded = |length: usize| {
        let mut whole = vec![0; length.saturating_sub(hash.len())];
        whole.extend_from_slice(hash);
        whole
    };
    macro_rules! verifies {
        ($curve:ident, $length:literal) => {{
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(key);
            let signature = $curve::ecdsa::Signature::from_der(signature);
            match (key, signature) {
                (Ok(key), Ok(signature)) => key.verify_prehash(&padded($length), &signature).is_ok(),
                _ => false,
            }
        }};
    }
    match curve {
        P256 => Some(verifies!(p256, 32)),
        P384 => Some(verifies!(p384, 48)),
        P521 => Some(verifies!(p521, 66)),
        _ => None,
    }
}

const UNKNOWN: &str = "x509: cannot verify signature: algorithm unimplemented";
const EC_KEY: &str = "1.2.840.10045.2.1";
const P224: &str = "1.3.132.0.33";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
const RSA_FAILURE: &str = "crypto/rsa: verification error";
const ECDSA_FAILURE: &str = "x509: ECDSA verification failure";

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(kind: &str, der: &[u8]) -> String {
        let base64 = &base64::engine::general_purpose::STANDARD;
        base64.encode(format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64.encode(der)))
    }

    fn request() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "team");
        params.serialize_request(&key).unwrap().der().to_vec()
    }

    #[test]
    fn good_requests_are_read() {
        let encoded = encode("CERTIFICATE REQUEST", &request());
        assert_eq!(complaint(&encoded), None);
        assert_eq!(organizations(&encoded).unwrap(), ["team"]);
    }

    #[test]
    fn bad_requests_are_refused() {
        let bad = |kind: &str, der: &[u8]| complaint(&encode(kind, der)).unwrap();
        assert_eq!(bad("CERTIFICATE", &request()), "PEM block type must be CERTIFICATE REQUEST");
        let mut der = request();
        if let Some(last) = der.last_mut() {
            *last ^= 1;
        }
        assert_eq!(bad("CERTIFICATE REQUEST", &der), ECDSA_FAILURE);
        der.push(0);
        assert_eq!(bad("CERTIFICATE REQUEST", &der), "asn1: syntax error: trailing data");
        assert_eq!(bad("CERTIFICATE REQUEST", &der[..20]), "asn1: syntax error: data truncated");
        assert!(bad("CERTIFICATE REQUEST", b"hello").starts_with(
            "asn1: structure error: tags don't match (16 vs {class:1 tag:8 length:101 isCompound:true})"
        ));
        for length in 0..der.len() {
            assert!(complaint(&encode("CERTIFICATE REQUEST", &der[..length])).is_some());
        }
    }

    #[test]
    fn certificates_are_pem_of_nothing_else() {
        let key = rcgen::KeyPair::generate().unwrap();
        let good = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        assert_eq!(certificate_complaint(""), None);
        assert_eq!(certificate_complaint(&encode("CERTIFICATE", good.der())), None);
        assert_eq!(
            certificate_complaint(&encode("KEY", b"x")).unwrap(),
            "only CERTIFICATE PEM blocks are allowed, found \"KEY\""
        );
        assert_eq!(
            certificate_complaint(&encode("CERTIFICATE", b"x")).unwrap(),
            "x509: malformed certificate"
        );
        assert_eq!(certificate_complaint("eA==").unwrap(), "must contain at least one CERTIFICATE PEM block");
    }
}
