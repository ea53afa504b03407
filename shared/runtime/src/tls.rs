//! The crypto provider of every TLS connection: ring.

/// Makes ring the process's crypto provider, once. Call it before building any TLS client.
pub fn install_provider() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
