//! Pods and pod templates.

use serde_json::{Value, json};

use super::{each, is_empty, set};
use crate::schema::Quantity;

/// A Pod object.
pub(super) fn pod(v: &mut Value) {
    let Some(spec) = v.get_mut("spec").filter(|s| s.is_object()) else { return };
    for list in ["initContainers", "containers"] {
        for c in each(spec, list) {
            requests_from_limits(c);
        }
    }
    pod_requests(spec);
    set(spec, "enableServiceLinks", true);
    host_ports(spec);
    pod_spec(spec);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        crate::object::members(spec).insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
}

/// A limit without a request is the request.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = container.get_mut("resources").filter(|r| r.is_object()) else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let requests = crate::object::child(resources, "requests");
    for (k, q) in limits {
        requests.entry(k).or_insert(q);
    }
}

/// Pod-level requests follow from the pod-level limits.
fn pod_requests(spec: &mut Value) {
    if spec.get("resources").is_some_and(|r| r.get("limits").is_some()) {
        requests_from_limits(spec);
    }
}

/// Containers on the network of their node have their ports there.
fn host_ports(spec: &mut Value) {
    if spec["hostNetwork"] != true {
        return;
    }
    for list in ["containers", "initContainers"] {
        for port in each(spec, list).filter_map(|c| c.get_mut("ports")?.as_array_mut()).flatten() {
            if port.get("hostPort").is_none_or(|h| h == 0) {
                let own = port["containerPort"].clone();
                set(port, "hostPort", own);
            }
        }
    }
}

/// The spec of a pod or of a template.
pub(super) fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    if is_empty(spec, "dnsPolicy") {
        set_text(spec, "dnsPolicy", "ClusterFirst");
    }
    if is_empty(spec, "restartPolicy") {
        set_text(spec, "restartPolicy", "Always");
    }
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    if is_empty(spec, "schedulerName") {
        set_text(spec, "schedulerName", "default-scheduler");
    }
    service_account(spec);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for c in each(spec, list) {
            container(c);
        }
    }
    for v in each(spec, "volumes") {
        volume(v);
    }
}

fn set_text(v: &mut Value, key: &str, text: &str) {
    crate::object::members(v).insert(key.to_owned(), text.into());
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are shown.
fn service_account(spec: &mut Value) {
    let name = match spec["serviceAccountName"].as_str().filter(|n| !n.is_empty()) {
        Some(n) => n.to_owned(),
        None => match spec["serviceAccount"].as_str().filter(|n| !n.is_empty()) {
            Some(n) => n.to_owned(),
            None => return,
        },
    };
    set_text(spec, "serviceAccountName", &name);
    set_text(spec, "serviceAccount", &name);
}

fn container(c: &mut Value) {
    if is_empty(c, "imagePullPolicy") {
        let policy = pull_policy(c["image"].as_str().unwrap_or_default());
        set_text(c, "imagePullPolicy", policy);
    }
    if is_empty(c, "terminationMessagePath") {
        set_text(c, "terminationMessagePath", "/dev/termination-log");
    }
    if is_empty(c, "terminationMessagePolicy") {
        set_text(c, "terminationMessagePolicy", "File");
    }
    for p in each(c, "ports") {
        if is_empty(p, "protocol") {
            set_text(p, "protocol", "TCP");
        }
    }
    for e in each(c, "env") {
        if let Some(from) = e.get_mut("valueFrom") {
            if let Some(f) = from.get_mut("fieldRef") {
                set(f, "apiVersion", "v1");
            }
            if let Some(f) = from.get_mut("fileKeyRef") {
                set(f, "optional", false);
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(p) = c.get_mut(name).filter(|p| p.is_object()) {
            probe(p);
        }
    }
    if let Some(l) = c.get_mut("lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(h) = l.get_mut(name).and_then(|h| h.get_mut("httpGet")) {
                http_get(h);
            }
        }
    }
    if let Some(r) = c.get_mut("resources") {
        for list in ["limits", "requests"] {
            round_quantities(r.get_mut(list));
        }
    }
}

/// Amounts finer than a thousandth are rounded up to it.
fn round_quantities(list: Option<&mut Value>) {
    for q in list.and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut()) {
        let Some(text) = q.as_str() else { continue };
        if text.ends_with('n') || text.ends_with('u') {
            let Ok(amount) = Quantity::parse(text) else { continue };
            let nanos = amount.nano_units();
            let milli = nanos.div_euclid(1_000_000) + i128::from(nanos.rem_euclid(1_000_000) != 0);
            if let Ok(c) = crate::schema::canonical_quantity(&format!("{milli}m")) {
                *q = c.into();
            }
        }
    }
}

fn probe(p: &mut Value) {
    if let Some(h) = p.get_mut("httpGet") {
        http_get(h);
    }
    if let Some(g) = p.get_mut("grpc") {
        set(g, "service", "");
    }
    for (key, default) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if p.get(key).is_none_or(|n| n == 0) {
            crate::object::members(p).insert(key.to_owned(), default.into());
        }
    }
}

fn http_get(h: &mut Value) {
    if is_empty(h, "path") {
        set_text(h, "path", "/");
    }
    if is_empty(h, "scheme") {
        set_text(h, "scheme", "HTTP");
    }
}

/// `Always` for `latest`, which is also what no tag and no digest mean.
fn pull_policy(image: &str) -> &'static str {
    if !is_reference(image) {
        return "IfNotPresent";
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    let (untagged, digest) = match name.split_once('@') {
        Some((n, _)) => (n, true),
        None => (name, false),
    };
    match untagged.split_once(':') {
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        None if digest => "IfNotPresent",
        None => "Always",
    }
}

/// Whether the name of an image can be read: an optional host, a path of lower case words, a tag, a digest.
fn is_reference(image: &str) -> bool {
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|d| d.split_once(':').is_none_or(|(_, hex)| hex.len() < 32)) {
        return false;
    }
    let slash = named.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match named[slash..].find(':') {
        Some(at) => (&named[..slash + at], Some(&named[slash + at + 1..])),
        None => (named, None),
    };
    // That is what the identifier of an image looks like.
    if image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return false;
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_tag = |tag: &str| {
        tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
    };
    if !tag.is_none_or(is_tag) {
        return false;
    }
    let path = match path.split_once('/') {
        Some((host, rest))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            rest
        }
        _ => path,
    };
    path.split('/').all(|part| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || matches!(c, '.' | '_' | '-'))
    })
}

/// A volume without a source is an empty directory.
fn volume(v: &mut Value) {
    const MODE: i64 = 0o644;
    let Some(m) = v.as_object_mut() else { return };
    if m.keys().all(|k| k == "name") {
        m.insert("emptyDir".into(), json!({}));
        return;
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(s) = m.get_mut(kind) {
            set(s, "defaultMode", MODE);
        }
    }
    if let Some(d) = m.get_mut("downwardAPI") {
        downward(d);
    }
    if let Some(p) = m.get_mut("projected") {
        for s in each(p, "sources") {
            if let Some(t) = s.get_mut("serviceAccountToken") {
                set(t, "expirationSeconds", 3600);
            }
            if let Some(d) = s.get_mut("downwardAPI") {
                downward(d);
            }
        }
    }
    if let Some(h) = m.get_mut("hostPath") {
        set(h, "type", "");
    }
    if let Some(i) = m.get_mut("iscsi") {
        set(i, "iscsiInterface", "default");
    }
    if let Some(r) = m.get_mut("rbd") {
        for (k, d) in [("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")] {
            set(r, k, d);
        }
    }
    if let Some(a) = m.get_mut("azureDisk") {
        for (k, d) in [
            ("cachingMode", json!("ReadWrite")),
            ("kind", json!("Shared")),
            ("fsType", json!("ext4")),
            ("readOnly", json!(false)),
        ] {
            set(a, k, d);
        }
    }
    if let Some(s) = m.get_mut("scaleIO") {
        set(s, "storageMode", "ThinProvisioned");
        set(s, "fsType", "xfs");
    }
    if let Some(t) =
        m.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate")).and_then(|t| t.get_mut("spec"))
    {
        claim_spec(t);
    }
}

fn downward(d: &mut Value) {
    for i in each(d, "items") {
        if let Some(f) = i.get_mut("fieldRef") {
            set(f, "apiVersion", "v1");
        }
    }
}

/// The spec of a PersistentVolumeClaim.
pub(super) fn claim_spec(spec: &mut Value) {
    set(spec, "volumeMode", "Filesystem");
}
