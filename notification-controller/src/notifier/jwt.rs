//! Signed tokens that prove who asks: RS256 with a private key in PEM.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// Signs claims with a private key, given as PKCS #1 or PKCS #8 in PEM. The errors do not contain it.
pub fn sign(claims: &Value, key: &[u8], key_id: Option<&str>) -> Result<String, &'static str> {
    let pair = key_pair(key)?;
    let mut header = json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = key_id {
        header["kid"] = id.into();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut token = format!("{}.{}", encode(&header), encode(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
        .map_err(|_| "the private key cannot sign")?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

fn key_pair(pem: &[u8]) -> Result<RsaKeyPair, &'static str> {
    let text = std::str::from_utf8(pem).map_err(|_| "the private key is not PEM")?;
    let (_, rest) = text.split_once("-----BEGIN ").ok_or("the private key is not PEM")?;
    let (label, rest) = rest.split_once("-----").ok_or("the private key is not PEM")?;
    let (body, _) = rest.split_once("-----END ").ok_or("the private key is not PEM")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| "the private key is not PEM")?;
    let pair = match label {
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
        _ => return Err("the private key must be an RSA key that is not encrypted"),
    };
    pair.map_err(|_| "the private key is no usable RSA key")
}
