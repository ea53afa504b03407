//! The names that Kubernetes takes for objects, by their kind.

use fluxide_gotext::quote_str;

use crate::name::{is_label, is_subdomain};

/// Whether an object of a kind may have a name.
pub(super) fn check(kind: &str, name: &str) -> Result<(), String> {
    let problems = match kind.to_lowercase().as_str() {
        "service" => service_label(name),
        "namespace" => label(name),
        "certificatesigningrequest" => Vec::new(),
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => path_segment(name),
        _ => subdomain(name),
    };
    let shown = quote_str(name);
    let mut causes: Vec<String> = problems
        .into_iter()
        .map(|problem| format!("metadata.name: Invalid value: {shown}: {problem}"))
        .collect();
    let cause = match causes.len() {
        0 => return Ok(()),
        1 => causes.remove(0),
        _ => format!("[{}]", causes.join(", ")),
    };
    Err(format!("object name does not conform to Kubernetes naming requirements: {shown}: {cause}"))
}

fn too_long(name: &str, limit: usize) -> Vec<String> {
    if name.len() > limit { vec![format!("must be no more than {limit} characters")] } else { Vec::new() }
}

fn subdomain(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 253);
    if !is_subdomain(name) {
        problems.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    problems
}

fn label(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63);
    if !is_label(name) {
        problems.push(if is_subdomain(name) {
            "must not contain dots".to_owned()
        } else {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned()
        });
    }
    problems
}

fn service_label(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63);
    if !is_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        problems.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    problems
}

fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|sign| name.contains(**sign))
        .map(|sign| format!("may not contain '{sign}'"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_kind() {
        for (kind, name, fits) in [
            ("Pod", "a.b-c", true),
            ("Pod", "", false),
            ("Pod", "A", false),
            ("Service", "1a", false),
            ("Namespace", "a.b", false),
            ("ClusterRole", "system:a", true),
            ("ClusterRole", "a/b", false),
            ("CertificateSigningRequest", "?", true),
        ] {
            assert_eq!(check(kind, name).is_ok(), fits, "{kind} {name}");
        }
        assert!(check("namespace", "a.b").unwrap_err().ends_with(
            "requirements: \"a.b\": metadata.name: Invalid value: \"a.b\": must not contain dots"
        ));
        let long = check("Service", &"-".repeat(64)).unwrap_err();
        assert!(long.contains(": [metadata.name: Invalid value: "), "{long}");
    }
}
