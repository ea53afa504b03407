//! Hashed and derived passwords.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use ring::hmac;
use scrypt::{Params, scrypt};

use crate::error::Error;
use crate::function::Call;

const COST: u32 = 10;

/// A bcrypt hash, or the text that says why there is none.
pub(super) fn bcrypt(call: &mut Call<'_>, password: &[u8]) -> Result<Vec<u8>, Error> {
    if password.len() > 72 {
        return Ok(b"failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_vec());
    }
    call.session.charge_steps(1_000_000)?;
    let mut salt = [0u8; 16];
    call.session.random().fill_bytes(&mut salt);
    let mut terminated = password.to_vec();
    terminated.push(0);
    terminated.truncate(72);
    let digest = bcrypt::bcrypt(COST, salt, &terminated);
    let encoder = GeneralPurpose::new(&BCRYPT, NO_PAD);
    Ok(format!("$2a${COST:02}${}{}", encoder.encode(salt), encoder.encode(&digest[..23])).into_bytes())
}

/// The Master Password algorithm.
pub(super) fn derive(
    counter: u32,
    kind: &[u8],
    password: &[u8],
    user: &[u8],
    site: &[u8],
) -> Result<Vec<u8>, Error> {
    let Some(templates) = templates(kind) else {
        return Ok([b"cannot find password template ", kind].concat());
    };
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let salt = [SCOPE, &(user.len() as u32).to_be_bytes(), user].concat();
    let mut key = [0u8; 64];
    let parameters = Params::new(15, 8, 2).map_err(|error| Error::new(error.to_string()))?;
    scrypt(password, &salt, &parameters, &mut key).map_err(|error| Error::new(error.to_string()))?;
    let message = [SCOPE, &(site.len() as u32).to_be_bytes(), site, &counter.to_be_bytes()].concat();
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let seed = seed.as_ref();
    let template = templates[usize::from(seed[0]) % templates.len()];
    Ok(template
        .bytes()
        .enumerate()
        .map(|(at, class)| {
            let characters = characters(class);
            characters[usize::from(seed[at + 1]) % characters.len()]
        })
        .collect())
}

fn templates(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}
