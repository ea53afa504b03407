//! Claims that an RSA key signs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

/// Signs claims with an RSA key in PEM (RS256). The header gets the members of `header` besides its own.
/// The error says what is wrong with the key.
pub fn sign(private_key: &[u8], header: Value, claims: &Value) -> Result<String, String> {
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| "it is not PEM".to_owned())?;
    let key = match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err("it is not an RSA key".to_owned()),
    };
    let key = key.map_err(|error| error.to_string())?;
    let mut header = header;
    header["alg"] = "RS256".into();
    header["typ"] = "JWT".into();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "it does not sign".to_owned())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
