//! The certificate and key of a TLS Secret, as Go's TLS library looks at them.

use base64::Engine;
use serde_json::Value;

/// What is wrong with the PEM blocks of a TLS Secret.
pub(super) fn complaint(v: &Value) -> Option<String> {
    let blocks = |key: &str| -> Vec<String> {
        let encoded = v["data"][key].as_str().unwrap_or_default();
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let starts = text.split("-----BEGIN ").skip(1);
        starts
            .filter_map(|rest| {
                let (kind, body) = rest.split_once("-----")?;
                body.contains(&format!("-----END {kind}-----")).then(|| kind.to_owned())
            })
            .collect()
    };
    let certificates = blocks("tls.crt");
    if certificates.is_empty() {
        return Some("tls: failed to find any PEM data in certificate input".to_owned());
    }
    if !certificates.iter().any(|kind| kind == "CERTIFICATE") {
        return Some(match certificates.as_slice() {
            [only] if only.ends_with("PRIVATE KEY") => {
                "tls: failed to find certificate PEM data in certificate input, \
                but did find a private key; PEM inputs may have been switched"
                    .to_owned()
            }
            skipped => format!(
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the \
                 following types: [{}]",
                skipped.join(" ")
            ),
        });
    }
    let keys = blocks("tls.key");
    if keys.is_empty() {
        return Some("tls: failed to find any PEM data in key input".to_owned());
    }
    if keys.iter().any(|kind| kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY")) {
        return None;
    }
    Some(match keys.as_slice() {
        [only] if only == "CERTIFICATE" => {
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned()
        }
        skipped => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of \
             the following types: [{}]",
            skipped.join(" ")
        ),
    })
}
