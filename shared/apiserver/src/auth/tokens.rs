//! ServiceAccount tokens: JSON web tokens signed with a key of the server's own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use getrandom::SysRng;
use ring::signature::{self, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::UnwrapErr;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{User, service_account_groups};
use crate::core::Core;
use crate::object;
use crate::store::ObjectKey;

const KEY_BITS: usize = 2048;
const KEY_FILE: &str = "sa.key";

/// Why no token can be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("cannot generate the key of ServiceAccount tokens: {0}")]
    Generate(String),
    #[error("cannot use the key of ServiceAccount tokens: {0}")]
    Use(String),
    #[error("cannot keep the key of ServiceAccount tokens: {0}")]
    Keep(String),
}

/// The key that signs tokens, made when the first token is asked for.
#[derive(Debug, Default)]
pub(crate) struct SigningKey {
    directory: Option<PathBuf>,
    pair: OnceLock<RsaKeyPair>,
}

impl SigningKey {
    /// A key that is kept in the state directory, if there is one.
    pub fn new(directory: Option<&Path>) -> Self {
        SigningKey { directory: directory.map(Path::to_owned), pair: OnceLock::new() }
    }

    fn pair(&self) -> Result<&RsaKeyPair, KeyError> {
        if let Some(pair) = self.pair.get() {
            return Ok(pair);
        }
        let der = match self.kept() {
            Some(der) => der,
            None => self.generate()?,
        };
        let pair = RsaKeyPair::from_pkcs8(&der).map_err(|e| KeyError::Use(e.to_string()))?;
        Ok(self.pair.get_or_init(|| pair))
    }

    fn kept(&self) -> Option<Vec<u8>> {
        std::fs::read(self.directory.as_ref()?.join(KEY_FILE)).ok()
    }

    fn generate(&self) -> Result<Vec<u8>, KeyError> {
        let key = rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), KEY_BITS)
            .map_err(|e| KeyError::Generate(e.to_string()))?;
        let der = key.to_pkcs8_der().map_err(|e| KeyError::Generate(e.to_string()))?.as_bytes().to_vec();
        if let Some(directory) = &self.directory {
            crate::server::write_private(&directory.join(KEY_FILE), &der)
                .map_err(|e| KeyError::Keep(e.to_string()))?;
        }
        Ok(der)
    }

    /// The public key as a JSON web key set.
    pub fn key_set(&self) -> Result<Value, KeyError> {
        let public = self.public()?;
        Ok(json!({"keys": [{
            "use": "sig", "kty": "RSA", "kid": key_id(&public), "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(&public.n), "e": URL_SAFE_NO_PAD.encode(&public.e),
        }]}))
    }

    fn public(&self) -> Result<signature::RsaPublicKeyComponents<Vec<u8>>, KeyError> {
        Ok(self.pair()?.public().into())
    }

    fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({"alg": "RS256", "kid": key_id(&self.public()?)});
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let pair = self.pair()?;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &signature::RSA_PKCS1_SHA256,
            &ring::rand::SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| KeyError::Use("signing failed".to_owned()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token whose signature is right.
    fn open(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        if header["alg"] != "RS256" {
            return None;
        }
        let public = self.public().ok()?;
        public.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)?).ok()?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

fn key_id(public: &signature::RsaPublicKeyComponents<Vec<u8>>) -> String {
    let mut digest = Sha256::new();
    digest.update(&public.n);
    digest.update(&public.e);
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// What a token is issued for.
pub(crate) struct Grant<'a> {
    pub account: &'a Value,
    pub audiences: &'a [String],
    pub seconds: i64,
    /// Kind in lower case (`pod`, `secret`, `node`), name and uid of the object that the token lives with.
    pub bound: Option<(&'static str, String, String)>,
}

/// Issues a token. The answer is the token and when it expires.
pub(crate) fn issue(core: &Core, grant: &Grant) -> Result<(String, jiff::Timestamp), KeyError> {
    let now = core.clock.now();
    let expires = now + jiff::SignedDuration::from_secs(grant.seconds);
    let (namespace, name) = (object::namespace(grant.account), object::name(grant.account));
    let mut own = json!({
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": object::uid(grant.account)},
    });
    if let Some((kind, name, uid)) = &grant.bound {
        own[*kind] = json!({"name": name, "uid": uid});
    }
    let claims = json!({
        "aud": grant.audiences,
        "exp": expires.as_second(),
        "iat": now.as_second(),
        "nbf": now.as_second(),
        "iss": core.settings.issuer,
        "jti": uuid::Uuid::new_v4().to_string(),
        "kubernetes.io": own,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    Ok((core.signing_key.sign(&claims)?, expires))
}

/// The user of a token and those of its audiences that were asked for.
pub(crate) struct Verified {
    pub user: User,
    pub audiences: Vec<String>,
}

/// Checks a token: signature, issuer, times, audience, and that its ServiceAccount and bound object still exist.
pub(crate) fn verify(core: &Core, token: &str, audiences: &[&str]) -> Option<Verified> {
    if token.matches('.').count() != 2 {
        return None;
    }
    let claims = core.signing_key.open(token)?;
    let now = core.clock.now().as_second();
    if claims["iss"] != core.settings.issuer.as_str()
        || claims["exp"].as_i64()? <= now
        || claims["nbf"].as_i64().is_some_and(|from| from > now)
    {
        return None;
    }
    let own = claims["aud"].as_array()?;
    let shared: Vec<String> =
        audiences.iter().filter(|a| own.iter().any(|o| o == *a)).map(|a| (*a).to_owned()).collect();
    if shared.is_empty() {
        return None;
    }
    let kubernetes = &claims["kubernetes.io"];
    let namespace = kubernetes["namespace"].as_str()?;
    let exists = |table: &str, namespace: &str, reference: &Value| {
        let key = ObjectKey::new(namespace, reference["name"].as_str().unwrap_or_default());
        let stored = core.store.get(table, &key)?;
        let uid = object::uid(&stored.value);
        (reference["uid"] == uid && !object::is_deleting(&stored.value)).then(|| uid.to_owned())
    };
    let account = &kubernetes["serviceaccount"];
    let uid = exists("serviceaccounts", namespace, account)?;
    let mut user = User {
        name: format!("system:serviceaccount:{namespace}:{}", account["name"].as_str()?),
        uid,
        groups: service_account_groups(namespace),
        ..User::default()
    };
    let mut note = |key: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    if let Some(id) = claims["jti"].as_str() {
        note("credential-id", &format!("JTI={id}").into());
    }
    for (kind, table, scope) in
        [("pod", "pods", namespace), ("secret", "secrets", namespace), ("node", "nodes", "")]
    {
        if let Some(reference) = kubernetes.get(kind) {
            exists(table, scope, reference)?;
            if kind != "secret" {
                note(&format!("{kind}-name"), &reference["name"]);
                note(&format!("{kind}-uid"), &reference["uid"]);
            }
        }
    }
    Some(Verified { user, audiences: shared })
}
