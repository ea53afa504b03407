//! The generated CA, the serving certificate and the administrator's token.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::{ServerError, write_private};

/// Key material of one server.
pub(super) struct Certificates {
    pub ca_pem: String,
    pub admin_token: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    ca_key_pem: String,
    ca: CertificateDer<'static>,
}

const NAMES: &[&str] = &[
    "localhost",
    "127.0.0.1",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

impl Certificates {
    /// New certificates; with a state directory the CA and the token of earlier runs.
    pub fn generate(state: Option<&Path>) -> Result<Self, ServerError> {
        let fail = |e: rcgen::Error| ServerError::Certificates(e.to_string());
        let (ca_pem, ca_key_pem, admin_token) = match state {
            Some(dir) => persisted(dir)?,
            None => authority()?,
        };
        let ca_key = KeyPair::from_pem(&ca_key_pem).map_err(fail)?;
        let issuer = Issuer::new(authority_params()?, ca_key);
        let names: Vec<String> = NAMES.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(fail)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &issuer).map_err(fail)?;
        let ca = pem_certificate(&ca_pem)?;
        Ok(Certificates {
            ca_pem,
            admin_token,
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            ca_key_pem,
            ca,
        })
    }

    /// A certificate of the CA for a client, and its key, both in PEM.
    pub fn client(&self, user: &str, group: &str) -> Result<(String, String), ServerError> {
        let fail = |e: rcgen::Error| ServerError::Certificates(e.to_string());
        let ca_key = KeyPair::from_pem(&self.ca_key_pem).map_err(fail)?;
        let issuer = Issuer::new(authority_params()?, ca_key);
        let mut params = CertificateParams::new(Vec::new()).map_err(fail)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        if !group.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &issuer).map_err(fail)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// The TLS side of a listener. Client certificates of the CA are accepted, and not demanded.
    pub fn acceptor(&self) -> Result<TlsAcceptor, ServerError> {
        let fail = |e: String| ServerError::Certificates(e);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).map_err(|e| fail(e.to_string()))?;
        let clients =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|e| fail(e.to_string()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| fail(e.to_string()))?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.certificate.clone()], key)
            .map_err(|e| fail(e.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The CA is the same at every start but for its key, so that its certificate need not be parsed.
fn authority_params() -> Result<CertificateParams, ServerError> {
    let mut params =
        CertificateParams::new(Vec::new()).map_err(|e| ServerError::Certificates(e.to_string()))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "fluxide-apiserver-ca");
    Ok(params)
}

/// CA certificate and key in PEM, and a token.
fn authority() -> Result<(String, String, String), ServerError> {
    let fail = |e: rcgen::Error| ServerError::Certificates(e.to_string());
    let params = authority_params()?;
    let key = KeyPair::generate().map_err(fail)?;
    let ca = params.self_signed(&key).map_err(fail)?;
    let token = hex::encode(rand::random::<[u8; 24]>());
    Ok((ca.pem(), key.serialize_pem(), token))
}

fn persisted(dir: &Path) -> Result<(String, String, String), ServerError> {
    let state = |e: std::io::Error| ServerError::State { path: dir.to_owned(), reason: e.to_string() };
    std::fs::create_dir_all(dir).map_err(state)?;
    let read = |name: &str| std::fs::read_to_string(dir.join(name));
    if let (Ok(ca), Ok(key), Ok(token)) = (read("ca.crt"), read("ca.key"), read("token")) {
        return Ok((ca, key, token));
    }
    let (ca, key, token) = authority()?;
    for (name, contents) in [("ca.crt", &ca), ("ca.key", &key), ("token", &token)] {
        write_private(&dir.join(name), contents.as_bytes())?;
    }
    Ok((ca, key, token))
}

fn pem_certificate(pem: &str) -> Result<CertificateDer<'static>, ServerError> {
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| ServerError::Certificates(e.to_string()))
}
