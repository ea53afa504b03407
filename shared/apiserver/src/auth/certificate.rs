//! The user that a client certificate names: its common name, with its organizations as groups.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;

/// The user of a verified certificate; `None` when it names nobody.
pub(crate) fn user_of(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned)).collect();
    (!name.is_empty()).then(|| User { name, groups, ..User::default() })
}
