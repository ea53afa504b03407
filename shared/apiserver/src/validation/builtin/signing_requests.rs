//! CertificateSigningRequests: the request, its usages and signer, and the conditions that approve it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{metadata, names, signing_request};
use super::{integer, items, member, string};
use crate::api_error::FieldError;
use crate::registry::Resource;

/// The signer of requests of old versions, which named none.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// These conditions are there or not, never false.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Checks a new request, or one that was changed; what is wrong with the stored one already is let be.
pub(super) fn request(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &v["spec"];
    if let Some(why) = signing_request::complaint(string(spec, "request")) {
        errors.push(FieldError::invalid("spec.request", shown_request(spec), why));
    }
    usages(items(spec, "usages"), old.map(|old| items(&old["spec"], "usages")), errors);
    let signer = string(spec, "signerName");
    let had_legacy_signer = old.is_some_and(|old| string(&old["spec"], "signerName") == LEGACY_SIGNER);
    if signer == LEGACY_SIGNER && !had_legacy_signer {
        let why = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid("spec.signerName", signer, why));
    } else {
        signer_name(signer, "spec.signerName", errors);
    }
    if member(spec, "expirationSeconds").is_some() && integer(spec, "expirationSeconds") < 600 {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", integer(spec, "expirationSeconds"), why));
    }
    conditions(v, old, errors);
    let certificate = string(&v["status"], "certificate");
    let tolerated = old.is_some_and(|old| {
        let before = string(&old["status"], "certificate");
        before == certificate || signing_request::certificate_complaint(before).is_some()
    });
    if !tolerated && let Some(why) = signing_request::certificate_complaint(certificate) {
        errors.push(FieldError::invalid("status.certificate", "<certificate data>", why));
    }
}

/// Checks a changed request: what was decided stays, and each subresource changes its own part only.
pub(super) fn change(
    resource: &Resource,
    subresource: &str,
    v: &Value,
    old: &Value,
    errors: &mut Vec<FieldError>,
) {
    request(v, Some(old), errors);
    let of_kind = |v: &Value, kind: &str| {
        items(&v["status"], "conditions").iter().filter(|condition| string(condition, "type") == kind).count()
    };
    let mut refuse = |why: String| errors.push(FieldError::forbidden("status.conditions", why));
    for kind in DECISIONS {
        if of_kind(v, kind) < of_kind(old, kind) {
            refuse(format!("updates may not remove a condition of type \"{kind}\""));
        }
    }
    if subresource != "approval" {
        for kind in ["Approved", "Denied"] {
            if of_kind(v, kind) > of_kind(old, kind) {
                refuse(format!("updates may not add a condition of type \"{kind}\""));
            }
        }
    }
    let (now, before) = (string(&v["status"], "certificate"), string(&old["status"], "certificate"));
    if now != before {
        let path = "status.certificate";
        if subresource != "status" {
            errors.push(FieldError::forbidden(path, "updates may not set certificate content"));
        } else if !before.is_empty() {
            errors.push(FieldError::forbidden(path, "updates may not modify existing certificate content"));
        }
    }
    errors.extend(metadata::validate_change(resource, v, old));
}

fn shown_request(spec: &Value) -> Value {
    spec.get("request").cloned().unwrap_or(Value::Null)
}

fn usages(usages: &[Value], old: Option<&[Value]>, errors: &mut Vec<FieldError>) {
    let path = "spec.usages";
    if usages.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let unknown = |usage: &Value| !usage.as_str().is_some_and(|usage| USAGES.contains(&usage));
    if !old.is_some_and(|old| old.iter().any(unknown)) {
        for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| unknown(usage)) {
            errors.push(FieldError::not_supported(format!("{path}[{index}]"), usage.clone(), &USAGES));
        }
    }
    let repeats = |usages: &[Value], index: usize| usages[..index].contains(&usages[index]);
    if !old.is_some_and(|old| (0..old.len()).any(|index| repeats(old, index))) {
        for index in (0..usages.len()).filter(|index| repeats(usages, *index)) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), usages[index].clone()));
        }
    }
}

/// Checks a name such as `example.com/signer`.
fn signer_name(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    const LONGEST_DOMAIN: usize = 253;
    const LONGEST_PATH: usize = 253 + 63 + 1;
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let Some((domain, segment)) = name.split_once('/').filter(|(_, segment)| !segment.contains('/')) else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, why));
        return;
    };
    if domain.len() > LONGEST_DOMAIN {
        errors.push(FieldError::too_long(path, LONGEST_DOMAIN));
    }
    first_bad_label(domain, names::dns1123_label, path, errors);
    if !domain.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, domain, why));
    }
    first_bad_label(segment, names::dns1123_subdomain, path, errors);
    if segment.len() > LONGEST_PATH {
        errors.push(FieldError::too_long(path, LONGEST_PATH));
    }
}

fn first_bad_label(
    text: &str,
    problems: impl Fn(&str) -> Vec<String>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let bad =
        text.split('.').map(|label| (label, problems(label))).find(|(_, problems)| !problems.is_empty());
    let Some((label, problems)) = bad else { return };
    let label = fluxide_gotext::quote_str(label);
    for problem in problems {
        errors.push(FieldError::invalid(path, text, format!("validating label {label}: {problem}")));
    }
}

fn conditions(v: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = "status.conditions";
    let old: Vec<&str> = old
        .map_or(&[][..], |old| items(&old["status"], "conditions"))
        .iter()
        .map(|c| string(c, "type"))
        .collect();
    let had_repeated = old.iter().collect::<BTreeSet<_>>().len() < old.len();
    let had_both = old.contains(&"Approved") && old.contains(&"Denied");
    let mut seen = BTreeSet::new();
    for (index, condition) in items(&v["status"], "conditions").iter().enumerate() {
        let (kind, status) = (string(condition, "type"), string(condition, "status"));
        if kind.is_empty() && !old.contains(&"") {
            errors.push(FieldError::required(format!("{path}[{index}].type"), ""));
        }
        let allowed: &[&str] =
            if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        let at = format!("{path}[{index}].status");
        if status.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if !allowed.contains(&status) {
            errors.push(FieldError::not_supported(at, status, allowed));
        }
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !had_both && !opposite.is_empty() && seen.contains(opposite) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(path, kind, why));
        }
        if !seen.insert(kind) && !had_repeated {
            errors.push(FieldError::duplicate(format!("{path}[{index}].type"), kind));
        }
    }
}
