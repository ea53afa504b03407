//! Tokens of issuers: signatures, times and audiences.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;

/// How much clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// The longest token.
const TOKEN_LIMIT: usize = 32 * 1024;

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JWT.
    #[error("token is not a JWT")]
    Malformed,
    /// It has no issuer.
    #[error("token is missing the 'iss' claim")]
    NoIssuer,
    /// It is signed in a way that is not accepted.
    #[error("the signing algorithm {0:?} is not accepted")]
    Algorithm(String),
    /// The issuer has no such key.
    #[error("the issuer has no key that fits the token")]
    UnknownKey,
    /// The signature is not of the issuer.
    #[error("failed to verify the signature")]
    Signature,
    /// It is too old.
    #[error("token is expired")]
    Expired,
    /// It is too young.
    #[error("token is not valid yet")]
    NotYet,
    /// It is for somebody else.
    #[error("expected audience {0:?}")]
    Audience(String),
}

/// A token taken apart; nothing in it is to be believed before [`verify`](Self::verify).
pub struct Token<'a> {
    header: Header,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Value,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    crit: Option<Value>,
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Keys {
    #[serde(default)]
    keys: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// The token of an `Authorization` header.
pub fn bearer(header: &str) -> Option<&str> {
    header.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty())
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        if text.len() > TOKEN_LIMIT {
            return Err(Error::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Error::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Error::Malformed)?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| Error::Malformed)?;
        if !claims.is_object() {
            return Err(Error::Malformed);
        }
        Ok(Self { header, signed, signature: decode(signature)?, claims })
    }

    /// Who says to have issued it.
    pub fn issuer(&self) -> Result<&str, Error> {
        self.claims["iss"].as_str().filter(|issuer| !issuer.is_empty()).ok_or(Error::NoIssuer)
    }

    /// Whether these keys have one for it.
    pub fn has_key(&self, keys: &Keys) -> bool {
        keys.candidates(self.header.kid.as_deref()).next().is_some()
    }

    /// The claims, if one of the keys signed the token in one of these ways, for this audience, and it is
    /// neither too old nor too young.
    pub fn verify(
        self,
        keys: &Keys,
        algorithms: &[String],
        audience: &str,
        now: Timestamp,
    ) -> Result<Value, Error> {
        let name = self.header.alg.as_str();
        let refused = || Error::Algorithm(name.to_owned());
        if self.header.crit.is_some() || !algorithms.iter().any(|accepted| accepted == name) {
            return Err(refused());
        }
        let algorithm = Algorithm::named(name).ok_or_else(refused)?;
        let mut found = false;
        let signed = keys.candidates(self.header.kid.as_deref()).any(|key| {
            found = true;
            algorithm.verifies(&key, self.signed.as_bytes(), &self.signature)
        });
        if !signed {
            return Err(if found { Error::Signature } else { Error::UnknownKey });
        }
        let now = now.as_second();
        let time = |claim: &str| self.claims.get(claim).and_then(Value::as_f64);
        if time("exp").is_none_or(|expires| (now - LEEWAY) as f64 >= expires) {
            return Err(Error::Expired);
        }
        if time("nbf").is_some_and(|from| ((now + LEEWAY) as f64) < from) {
            return Err(Error::NotYet);
        }
        let is_for = |one: &Value| one.as_str() == Some(audience);
        let for_us = match &self.claims["aud"] {
            Value::Array(list) => list.iter().any(is_for),
            one => is_for(one),
        };
        if for_us { Ok(self.claims) } else { Err(Error::Audience(audience.to_owned())) }
    }
}

impl Keys {
    /// Keys for signatures that have this id, or any if the token has none.
    fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = Key> + 'a {
        // A key of a kind that is not known does not make the others unusable.
        let keys = self.keys.iter().filter_map(|key| Key::deserialize(key).ok());
        keys.filter(move |key| {
            key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
                && id.is_none_or(|id| key.kid.as_deref() == Some(id))
        })
    }
}

/// Ways of signing in which only the issuer has the key that signs.
enum Algorithm {
    Rsa(&'static RsaParameters),
    Ec(&'static str, &'static dyn VerificationAlgorithm),
    Ed,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Ec("P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Ec("P-384", &ECDSA_P384_SHA384_FIXED),
            "EdDSA" => Self::Ed,
            _ => return None,
        })
    }

    fn verifies(&self, key: &Key, message: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| text.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        match self {
            Self::Rsa(parameters) => {
                let (Some(n), Some(e)) = (part(&key.n), part(&key.e)) else { return false };
                let n = n.iter().position(|byte| *byte != 0).map_or(&n[..0], |at| &n[at..]);
                let components = RsaPublicKeyComponents { n, e: &e[..] };
                key.kty == "RSA" && components.verify(parameters, message, signature).is_ok()
            }
            Self::Ec(curve, algorithm) => {
                let (Some(x), Some(y)) = (part(&key.x), part(&key.y)) else { return false };
                let mut point = vec![4];
                point.extend(x);
                point.extend(y);
                let fits = key.kty == "EC" && key.crv.as_deref() == Some(curve);
                fits && UnparsedPublicKey::new(*algorithm, point).verify(message, signature).is_ok()
            }
            Self::Ed => {
                let Some(x) = part(&key.x) else { return false };
                let fits = key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519");
                fits && UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok()
            }
        }
    }
}
