//! The rules of each shape.

use super::*;

fn secret(data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()));
    Secret { key: Key::new("ns", "n"), data: data.collect() }
}

fn error<T: fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn basic_auth_is_both_or_none() {
    assert!(secret(&[]).basic_auth().unwrap().is_none());
    let both = secret(&[("username", "u"), ("password", "p")]);
    let basic = both.basic_auth().unwrap().unwrap();
    assert_eq!((basic.username.as_str(), basic.password.expose().as_str()), ("u", "p"));
    assert_eq!(
        error(secret(&[("username", "u")]).basic_auth()),
        "secret 'ns/n': malformed basic auth - has 'username' but missing 'password'"
    );
    assert_eq!(
        error(secret(&[("password", "p")]).basic_auth()),
        "secret 'ns/n': malformed basic auth - has 'password' but missing 'username'"
    );
}

#[test]
fn tls_wants_an_authority_or_a_pair() {
    assert_eq!(
        error(secret(&[]).tls()),
        "secret 'ns/n' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"
    );
    assert_eq!(
        error(secret(&[("tls.crt", "c")]).tls()),
        "secret 'ns/n' contains 'tls.crt' but missing 'tls.key'"
    );
    assert_eq!(
        error(secret(&[("keyFile", "k")]).tls()),
        "secret 'ns/n' contains 'tls.key' but missing 'tls.crt'"
    );
    let tls = secret(&[("caFile", "old"), ("ca.crt", "new")]).tls().unwrap();
    assert_eq!(tls.ca.as_deref(), Some(&b"new"[..]));
    assert!(tls.identity.is_none());
    let pair = secret(&[("certFile", "c"), ("keyFile", "k")]).tls().unwrap();
    assert_eq!(pair.identity.unwrap().certificate, b"c");
}

#[test]
fn wrong_certificates_are_refused() {
    crate::tls::install_provider();
    let tls = secret(&[("ca.crt", "no certificate")]).tls().unwrap();
    let result = tls.configure(reqwest::Client::builder(), true);
    assert_eq!(result.unwrap_err().to_string(), "failed to parse CA certificate");
    let tls = secret(&[("tls.crt", "x"), ("tls.key", "y")]).tls().unwrap();
    let result = tls.configure(reqwest::Client::builder(), true);
    assert_eq!(result.unwrap_err().to_string(), "failed to parse TLS certificate and key");
}

#[test]
fn ssh_wants_known_hosts() {
    assert_eq!(error(secret(&[("identity", "k")]).ssh()), "secret 'ns/n': key 'known_hosts' not found");
    let ssh = secret(&[("identity", "k"), ("known_hosts", "h"), ("password", "p")]).ssh().unwrap();
    assert_eq!(ssh.known_hosts, "h");
    assert_eq!(ssh.passphrase.unwrap().expose(), "p");
}

#[test]
fn a_proxy_is_a_short_url_of_a_known_scheme() {
    let address = |address: &str| secret(&[("address", address)]).proxy();
    assert_eq!(error(secret(&[]).proxy()), "secret 'ns/n': key 'address' not found");
    assert_eq!(error(address("")), "secret 'ns/n': proxy address is empty");
    assert_eq!(
        error(address("ftp://x")),
        "secret 'ns/n': proxy URL must use one of the supported schemes (http, https, socks5), got 'ftp'"
    );
    let long = format!("http://{}", "x".repeat(2048));
    assert_eq!(error(address(&long)), "secret 'ns/n': proxy URL exceeds maximum length of 2048 characters");
    let full = [("address", "http://p:1"), ("username", "u"), ("password", "a@b")];
    let url = secret(&full).proxy().unwrap();
    assert_eq!(url.expose().as_str(), "http://u:a%40b@p:1/");
}

#[test]
fn a_github_app_has_exactly_one_installation() {
    assert!(secret(&[]).github_app().unwrap().is_none());
    let base = [("githubAppID", "1"), ("githubAppPrivateKey", "k")];
    let exactly_one =
        "secret 'ns/n' must contain exactly one of 'githubAppInstallationOwner' or 'githubAppInstallationID'";
    assert_eq!(error(secret(&base).github_app()), exactly_one);
    let both = [base[0], base[1], ("githubAppInstallationOwner", "o"), ("githubAppInstallationID", "2")];
    assert_eq!(error(secret(&both).github_app()), exactly_one);
    assert_eq!(
        error(secret(&[("githubAppID", "1")]).github_app()),
        "secret 'ns/n': key 'githubAppPrivateKey' not found"
    );
    let app = secret(&both[..3]).github_app().unwrap().unwrap();
    assert_eq!(app.installation, GithubInstallation::Owner("o".into()));
}

#[test]
fn all_methods_of_one_secret() {
    let methods = secret(&[("username", "u"), ("password", "p"), ("ca.crt", "c"), ("bearerToken", "t")])
        .auth_methods()
        .unwrap();
    assert!(methods.basic.is_some() && methods.tls.is_some() && methods.bearer.is_some());
    assert!(methods.ssh.is_none() && methods.github_app.is_none() && methods.token.is_none());
    assert!(secret(&[("username", "u")]).auth_methods().is_err());
}

#[test]
fn nothing_secret_is_printed() {
    let secret = secret(&[
        ("username", "u"),
        ("password", "hunter2"),
        ("identity", "hunter2"),
        ("known_hosts", "h"),
        ("tls.crt", "c"),
        ("tls.key", "hunter2"),
        ("address", "http://p"),
    ]);
    let shown = format!("{secret:?} {:?} {:?}", secret.auth_methods().unwrap(), secret.proxy().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
