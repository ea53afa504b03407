//! Data keys that age itself encrypted, for keys of every kind that opens them.

use std::path::Path;

use fluxide_sops::{KeyService, Keyring, MasterKey};

const DATA_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/age").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn open(keys: &mut Keyring, file: &str) -> Result<Vec<u8>, String> {
    keys.decrypt(&MasterKey::Age { recipient: String::new(), encrypted: read(file) })
}

#[test]
fn hybrid_post_quantum_keys() {
    let mut keys = Keyring::default();
    keys.add_age(&read("hybrid.agekey")).unwrap();
    assert_eq!(open(&mut keys, "hybrid.age").unwrap(), DATA_KEY);
    assert_eq!(open(&mut keys, "hybrid-two.age").unwrap(), DATA_KEY);
    let error = open(&mut keys, "rsa.age").unwrap_err();
    assert!(error.contains("did not match") && error.contains("a post-quantum key"), "{error}");
}

#[test]
fn ssh_keys() {
    for name in ["ed25519", "rsa"] {
        let mut keys = Keyring::default();
        keys.add_ssh(&read(&format!("{name}.pem"))).unwrap();
        assert_eq!(open(&mut keys, &format!("{name}.age")).unwrap(), DATA_KEY, "{name}");
        assert!(open(&mut keys, "hybrid.age").is_err());
    }
    let mut keys = Keyring::default();
    let locked = keys.add_ssh(&read("ed25519.locked.pem")).unwrap_err().to_string();
    assert!(locked.contains("protected by a passphrase"), "{locked}");
    assert!(keys.add_ssh("nonsense").is_err());
    // In a file of identities they are nothing, as in sops.
    assert!(keys.add_age(&read("ed25519.pem")).is_err());
}
