//! Keys, certificates, passwords and ciphers.

mod certificate;
mod key;
mod password;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::function::{Call, Function, Functions};
use crate::sprig::text;
use crate::types::{Type, UintType};
use crate::value::Value;

pub(crate) fn register(functions: &mut Functions) {
    const STRING: Type = Type::String;
    functions.insert(
        "bcrypt",
        Function::new(&[STRING], |call, a| password::bcrypt(call, text(a, 0)).map(Value::string)),
    );
    functions.insert(
        "htpasswd",
        Function::new(&[STRING, STRING], |call, a| {
            if text(a, 0).contains(&b':') {
                return Ok(Value::string([b"invalid username: ", text(a, 0)].concat()));
            }
            let hash = password::bcrypt(call, text(a, 1))?;
            Ok(Value::string([text(a, 0), b":", &hash].concat()))
        }),
    );
    functions.insert(
        "derivePassword",
        Function::new(&[Type::Uint(UintType::Uint32), STRING, STRING, STRING, STRING], |call, a| {
            // The derivation takes 32 MiB and as much work as millions of steps.
            call.charge(32 << 20)?;
            call.session.charge_steps(1_000_000)?;
            password::derive(
                crate::sprig::integer(a, 0) as u32,
                text(a, 1),
                text(a, 2),
                text(a, 3),
                text(a, 4),
            )
            .map(Value::string)
        }),
    );
    functions.insert(
        "genPrivateKey",
        Function::new(&[STRING], |call, a| key::generate(call, text(a, 0)).map(Value::string)),
    );
    functions.insert(
        "encryptAES",
        Function::new(&[STRING, STRING], |call, a| encrypt(call, text(a, 0), text(a, 1))),
    );
    functions.insert("decryptAES", Function::new(&[STRING, STRING], |_, a| decrypt(text(a, 0), text(a, 1))));
    certificate::register(functions);
}

/// The first 32 bytes of the password, filled up with zeros.
fn cipher_key(password: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password[..length]);
    key
}

fn encrypt(call: &mut Call<'_>, password: &[u8], plain: &[u8]) -> Result<Value, Error> {
    if plain.is_empty() {
        return Ok(Value::from(""));
    }
    call.charge(plain.len().saturating_mul(3))?;
    let mut iv = [0u8; 16];
    call.session.random().fill_bytes(&mut iv);
    let cipher = cbc::Encryptor::<Aes256>::new(&cipher_key(password).into(), &iv.into());
    let sealed = cipher.encrypt_padded_vec::<Pkcs7>(plain);
    Ok(Value::from(STANDARD.encode([iv.as_slice(), &sealed].concat())))
}

fn decrypt(password: &[u8], sealed: &[u8]) -> Result<Value, Error> {
    if sealed.is_empty() {
        return Ok(Value::from(""));
    }
    let bytes = crate::sprig::decode_base64(sealed).map_err(Error::new)?;
    if bytes.len() < 16 {
        return Err(Error::new(format!(
            "runtime error: slice bounds out of range [:16] with capacity {}",
            sealed.len() / 4 * 3
        )));
    }
    let (iv, blocks) = bytes.split_at(16);
    if blocks.is_empty() {
        return Err(Error::new("runtime error: index out of range [-1]"));
    }
    if blocks.len() % 16 != 0 {
        return Err(Error::new("crypto/cipher: input not full blocks"));
    }
    let iv: [u8; 16] =
        iv.try_into().map_err(|_| Error::new("crypto/cipher: IV length must equal block size"))?;
    let cipher = cbc::Decryptor::<Aes256>::new(&cipher_key(password).into(), &iv.into());
    let mut plain = cipher
        .decrypt_padded_vec::<aes::cipher::block_padding::NoPadding>(blocks)
        .map_err(|_| Error::new("crypto/cipher: input not full blocks"))?;
    // Only the last byte is looked at, as upstream does.
    let padding = usize::from(plain.last().copied().unwrap_or(0));
    if padding > plain.len() {
        return Err(Error::new(format!(
            "runtime error: slice bounds out of range [:{}]",
            plain.len() as i64 - padding as i64
        )));
    }
    plain.truncate(plain.len() - padding);
    Ok(Value::string(plain))
}
