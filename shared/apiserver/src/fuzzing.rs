//! Entry points for fuzzers: each takes any bytes, and nothing they hold may make it panic or hang.

use serde_json::{Value, json};

use crate::handlers::decode;
use crate::handlers::patch::{Edit, PatchKind};
use crate::registry::{Resource, builtin};
use crate::selectors::{LabelSelector, field_selector};
use crate::typing;

/// A protobuf body.
pub fn protobuf(bytes: &[u8]) {
    let _ = crate::protobuf::decode(bytes);
}

/// Label and field selectors.
pub fn selectors(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(selector) = LabelSelector::parse(&text) {
        selector.matches(&deployment());
    }
    for plural in ["pods", "events", "configmaps"] {
        if let Some(resource) = resource("", plural)
            && let Ok(selector) = field_selector(&text, resource)
        {
            selector.matches(&deployment());
        }
    }
}

/// A JSON, merge or strategic merge patch; the first byte chooses.
pub fn patch(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = match first % 3 {
        0 => PatchKind::Json,
        1 => PatchKind::Merge,
        _ => PatchKind::Strategic,
    };
    let Some(resource) = resource("apps", "deployments") else { return };
    if let Ok(edit) = Edit::read(kind, body) {
        let _ = edit.apply(&deployment(), |live, patch| typing::strategic_merge(resource, live, patch));
    }
}

/// An apply patch, on nothing and on an object that others own.
pub fn apply(bytes: &[u8]) {
    let Some(resource) = resource("apps", "deployments") else { return };
    let Ok(body) = decode::apply_body(bytes) else { return };
    let now = "2026-01-02T03:04:05Z";
    let first = typing::apply(resource, "", None, &body.value, "fuzzer", false, now);
    let live = typing::record_update(resource, "", None, &deployment(), "owner", now);
    let _ = typing::apply(resource, "", Some(&live), &body.value, "fuzzer", false, now);
    if let Ok(first) = first {
        let again = typing::apply(resource, "", Some(&first.object), &body.value, "fuzzer", false, now);
        assert!(again.is_ok(), "what was applied once can be applied again");
    }
}

/// A body as a client may send it, in JSON and in YAML.
pub fn body(bytes: &[u8]) {
    let _ = decode::json(bytes);
    let _ = decode::yaml(bytes, false);
}

/// A rule in CEL, held against a Deployment.
pub fn cel(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(dialect) = crate::cel::dialect() else { return };
    if let Ok(program) = dialect.compile(&text, &[("self", fluxide_cel::Type::Dyn)]) {
        let _ = program.evaluate(&[("self", fluxide_cel::Type::Dyn.value(&deployment()))]);
    }
}

fn resource(group: &str, plural: &str) -> Option<&'static Resource> {
    builtin::resources().iter().find(|r| r.is(group, plural)).map(std::convert::AsRef::as_ref)
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "main", "image": "nginx:1.27", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "A", "value": "1"}],
                }]},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    const SEEDS: &[&[u8]] = &[
        b"\x00[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/-\",\"value\":{}},{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]",
        b"\x01{\"spec\":{\"replicas\":null,\"template\":{\"spec\":{\"containers\":[]}}}}",
        b"\x02{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"$patch\":\"delete\"}],\"$setElementOrder/containers\":[{\"name\":\"x\"}]}}}}",
        b"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":3,\"template\":{\"spec\":{\"containers\":[{\"name\":\"a\"}]}}}}",
        b"app in (a, b), !x, y notin (z), k=v,metadata.name=web,spec.nodeName!=\\,",
        b"\x6b\x38\x73\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x13\x0a\x11\x0a\x01c\x12\x00\x1a\x00",
        b"a: &x [1, 2]\nb: *x\n? c\n: !!binary aGk=\n",
    ];

    /// The fuzzers' targets on a few thousand damaged inputs, the same ones each time.
    #[test]
    fn damaged_inputs_are_survived() {
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..4000 {
            let mut bytes = SEEDS[round % SEEDS.len()].to_vec();
            for _ in 0..random.random_range(0..6) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..4) {
                    0 => bytes[at] = random.random(),
                    1 => {
                        bytes.remove(at);
                    }
                    2 => bytes.insert(at, b"{}[]\",:0\x00\xff"[random.random_range(0..10)]),
                    _ => {
                        let piece = bytes[at..].to_vec();
                        bytes.extend(piece);
                    }
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            for target in [protobuf, selectors, patch, apply, body] {
                target(&bytes);
            }
        }
    }
}
