//! What events look like.

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn metadata_is_prefixed_and_the_emitter_wins() {
    let annotations = map(&[
        ("event.toolkit.fluxcd.io/summary", "from the object"),
        ("event.toolkit.fluxcd.io/both", "from the object"),
        ("other", "x"),
    ]);
    let emitted = map(&[("revision", "r"), ("event.toolkit.fluxcd.io/both", "from the emitter")]);
    let merged = merge_metadata("g.fluxcd.io", emitted, Some(&annotations));
    assert_eq!(
        merged,
        map(&[
            ("event.toolkit.fluxcd.io/both", "from the emitter"),
            ("event.toolkit.fluxcd.io/summary", "from the object"),
            ("g.fluxcd.io/revision", "r"),
        ])
    );
}

#[test]
fn long_messages_are_cut() {
    assert_eq!(truncate("x".repeat(50_000)).len(), 39_000);
    assert_eq!(truncate("short".into()), "short");
    assert!(truncate("é".repeat(30_000)).len() <= 39_000);
}

#[test]
fn the_posted_form_is_flux_own() {
    // What Flux 2.9 posted, byte for byte.
    let posted = r#"{"involvedObject":{"kind":"Kustomization","namespace":"apps","name":"policies","uid":"38cbc0d2-28a4-4d61-9031-27708073a484","apiVersion":"kustomize.toolkit.fluxcd.io/v1","resourceVersion":"3847"},"severity":"info","timestamp":"2026-11-21T12:05:31Z","message":"Reconciliation finished in 545.175329ms, next run in 1h0m0s","reason":"ReconciliationSucceeded","metadata":{"kustomize.toolkit.fluxcd.io/commit_status":"update","kustomize.toolkit.fluxcd.io/revision":"main@sha1:0b45af8b703d590d418c571a6fd1c67891183b01"},"reportingController":"kustomize-controller","reportingInstance":"vm"}"#;
    let event: Event = serde_json::from_str(posted).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), posted);
}
