//! Our series against those of Flux' kustomize-controller.

use super::*;
use crate::queue::Observer;
use std::collections::BTreeSet;

/// Series and descriptions of Flux 2.9, without values.
const FLUX: &str = include_str!("../../tests/corpus/metrics-kustomize-controller.txt");

fn key() -> Key {
    Key::new("apps", "bad-kind")
}

/// Metrics in which something of everything has happened.
fn used() -> Arc<Metrics> {
    let metrics = Metrics::new(true).unwrap();
    let controller = metrics.controller("Kustomization", 4);
    controller.started();
    controller.duration(&key(), Duration::from_secs(1));
    controller.finished(PassResult::Success, Duration::from_secs(1));
    controller.depth(0, 0);
    metrics.watch_queue("Kustomization", queue::Queue::new(queue::Backoff::default(), ()));
    metrics.set_leader("kustomize-controller-leader-election", true);
    for line in FLUX.lines().filter(|line| line.starts_with("rest_client_requests_total")) {
        let label = |name: &str| {
            let rest = line.split_once(&format!("{name}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        metrics.count_request(&label("code"), &label("method"), &label("host"));
    }
    metrics
}

#[test]
fn every_series_of_flux_is_there_with_its_description() {
    let text = used().text(Format::Text);
    let ours: BTreeSet<&str> = text
        .lines()
        .map(|line| match line.starts_with('#') {
            true => line,
            false => line.rsplit_once(' ').unwrap().0,
        })
        .collect();
    let missing: Vec<&str> = FLUX.lines().filter(|line| !ours.contains(line)).collect();
    assert!(missing.is_empty(), "missing:\n{}\n\nours:\n{text}", missing.join("\n"));
}

#[test]
fn what_dashboards_count_controllers_by_is_there() {
    let text = used().text(Format::Text);
    assert!(text.contains("\ngo_info{version=\""), "{text}");
    let allocated = text.lines().find_map(|line| line.strip_prefix("go_memstats_alloc_bytes "));
    assert!(allocated.unwrap().parse::<f64>().unwrap() > 1e5);
}

#[test]
fn series_of_an_object_come_and_go() {
    let metrics = used();
    let controller = metrics.controller("Kustomization", 4);
    let object = serde_json::json!({
        "spec": {"sourceRef": {"name": "fleet"}},
        "status": {"lastAppliedRevision": "main@sha1:1"},
    });
    let api = ("kustomize.toolkit.fluxcd.io", "v1");
    controller.observe(&key(), &object, api, "False", true);
    controller.failed(&key());
    metrics.count_token_cache_event(true, "Kustomization", &key(), "decrypt");
    metrics.count_token_cache_event(true, "Kustomization", &Key::new("apps", "other"), "decrypt");
    let text = metrics.text(Format::Text);
    let of_object = "kind=\"Kustomization\",name=\"bad-kind\",namespace=\"apps\"";
    for line in [
        format!("gotk_reconcile_condition{{{of_object},status=\"False\",type=\"Ready\"}} 1"),
        format!("gotk_reconcile_condition{{{of_object},status=\"True\",type=\"Ready\"}} 0"),
        format!("gotk_suspend_status{{{of_object}}} 1"),
        format!("gotk_reconcile_error_total{{{of_object}}} 1"),
        "gotk_resource_info{customresource_group=\"kustomize.toolkit.fluxcd.io\",\
         customresource_kind=\"Kustomization\",customresource_version=\"v1\",\
         exported_namespace=\"apps\",name=\"bad-kind\",ready=\"False\",\
         revision=\"main@sha1:1\",source_name=\"fleet\",suspended=\"true\"} 1"
            .to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\nnot in\n{text}");
    }
    assert!(text.contains("gotk_token_cache_events_total{event_type=\"cache_hit\",kind=\"Kustomization\""));
    controller.forget(&key());
    let text = metrics.text(Format::Text);
    assert!(!text.contains("bad-kind") && text.contains("name=\"other\""));
}

#[test]
fn credentials_in_urls_are_not_exported() {
    let object = serde_json::json!({"spec": {"url": "https://user:hunter2@host/path"}});
    let facts = resource_info::facts(&object, "GitRepository", ("g", "v1"), "True", false);
    assert_eq!(facts["url"], "https://host/path");
}

#[test]
fn series_per_object_can_be_turned_off() {
    let metrics = Metrics::new(false).unwrap();
    let controller = metrics.controller("Kustomization", 4);
    controller.duration(&key(), Duration::from_secs(1));
    controller.observe(&key(), &serde_json::json!({}), ("g", "v1"), "True", false);
    controller.failed(&key());
    assert!(!metrics.text(Format::Text).contains("bad-kind"));
}
