//! Signatures made by GnuPG and OpenSSH.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fluxide_git::Signature;
use fluxide_git::verify::{PublicKeys, VerifyError, verify};

fn fixture(name: &str) -> Vec<u8> {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/signatures"].iter().collect();
    fs::read(directory.join(name)).unwrap()
}

fn signature(name: &str) -> Signature {
    Signature { armor: String::from_utf8(fixture(name)).unwrap(), payload: fixture("payload") }
}

fn keys(names: &[&str]) -> PublicKeys {
    let files: Vec<(String, Vec<u8>)> =
        names.iter().map(|name| (name.replace(".pub", ".sshpub"), fixture(name))).collect();
    PublicKeys::from_entries(files.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
}

/// Half a month after the keys were made.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_705_000_000)
}

fn check(signature_name: &str, key_names: &[&str], now: SystemTime) -> Result<String, String> {
    verify(&signature(signature_name), &keys(key_names), now).map_err(|error| error.to_string())
}

#[test]
fn good_pgp_signatures_name_the_primary_key() {
    let now = SystemTime::now();
    let all = ["expired.asc", "ed25519.asc", "rsa.asc", "p256.asc", "subkey.asc"];
    for (name, id) in
        [("ed25519", "605CD5E3E12E70E3"), ("rsa", "0923CCF4551833C8"), ("subkey", "0D3C1F46CACECD57")]
    {
        assert_eq!(check(&format!("{name}.sig"), &all, now).as_deref(), Ok(id), "{name}");
    }
    assert!(check("p256.sig", &all, now).is_ok());
    // Several armored blocks in one text.
    let joined = [fixture("rsa.asc"), fixture("ed25519.asc")].concat();
    let keys = PublicKeys::from_entries([("keys", joined.as_slice())]);
    assert!(verify(&signature("ed25519.sig"), &keys, now).is_ok());
}

#[test]
fn pgp_keys_that_may_not_sign_any_more() {
    let now = SystemTime::now();
    assert!(check("expired.sig", &["expired.asc"], then()).is_ok());
    assert_eq!(check("expired.sig", &["expired.asc"], now), Err("the key has expired".to_owned()));
    assert_eq!(check("revoked.sig", &["revoked.asc"], now), Err("the key is revoked".to_owned()));
    assert!(check("weak.sig", &["weak.asc"], now).unwrap_err().contains("too weak"));
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    assert_eq!(check("rsa.sig", &["rsa.asc"], early), Err("the signature is from the future".to_owned()));
    let stranger = Err("unable to verify payload with any of the given key rings".to_owned());
    assert_eq!(check("rsa.sig", &["ed25519.asc", "certifyonly.asc"], now), stranger);
    let mut other = signature("rsa.sig");
    other.payload.push(b'x');
    assert_eq!(verify(&other, &keys(&["rsa.asc"]), now), Err(VerifyError::NotVerified("key rings")));
    for garbage in [
        "-----BEGIN PGP SIGNATURE-----",
        "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
    ] {
        other.armor = garbage.to_owned();
        assert!(verify(&other, &keys(&["rsa.asc"]), now).is_err());
    }
}

#[test]
fn ssh_signatures_are_for_git() {
    let now = SystemTime::now();
    let all = ["ssh-ed25519.pub", "ssh-rsa.pub", "ssh-ecdsa.pub"];
    for name in ["ssh-ed25519.sig", "ssh-rsa.sig", "ssh-ecdsa.sig"] {
        let fingerprint = check(name, &all, now).unwrap();
        assert!(fingerprint.starts_with("SHA256:"), "{fingerprint}");
    }
    assert_eq!(
        check("ssh-rsa.sig", &["ssh-ed25519.pub"], now),
        Err("unable to verify payload with any of the given authorized keys".to_owned())
    );
    assert!(check("ssh-namespace.sig", &all, now).unwrap_err().contains("namespace 'file'"));
    // Options, comments and empty lines are fine; a bad line voids its text and no other.
    let line = String::from_utf8(fixture("ssh-ed25519.pub")).unwrap();
    let good = format!("# team\n\nnamespaces=\"git\" {line}");
    let bad = format!("{line}nonsense\n");
    let check_texts = |texts: &[(&str, &str)]| {
        let keys = PublicKeys::from_entries(texts.iter().map(|(name, text)| (*name, text.as_bytes())));
        verify(&signature("ssh-ed25519.sig"), &keys, now).is_ok()
    };
    assert!(check_texts(&[("a.sshpub", &good)]));
    assert!(!check_texts(&[("a.sshpub", &bad)]));
    assert!(check_texts(&[("a.sshpub", &bad), ("b.sshpub", &good)]));
}
