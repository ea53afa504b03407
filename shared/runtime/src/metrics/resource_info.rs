//! `gotk_resource_info`: one series per object that says what it is and whether it is ready.
//!
//! The labels are those of the kube-state-metrics configuration that Flux' dashboards come with, so
//! that they work without kube-state-metrics.

use super::Labels;
use crate::key::Key;
use prometheus::{
    Opts,
    core::{Collector, Desc, Describer},
    proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The labels that come from the object, by kind: label and JSON pointer.
const FACTS: &[(&str, &[(&str, &str)])] = &[
    (
        "Kustomization",
        &[("revision", "/status/lastAppliedRevision"), ("source_name", "/spec/sourceRef/name")],
    ),
    (
        "HelmRelease",
        &[
            ("revision", "/status/history/0/chartVersion"),
            ("chart_name", "/status/history/0/chartName"),
            ("chart_app_version", "/status/history/0/appVersion"),
            ("chart_ref_name", "/spec/chartRef/name"),
            ("chart_source_name", "/spec/chart/spec/sourceRef/name"),
        ],
    ),
    ("GitRepository", &[("revision", "/status/artifact/revision"), ("url", "/spec/url")]),
    ("OCIRepository", &[("revision", "/status/artifact/revision"), ("url", "/spec/url")]),
    ("HelmRepository", &[("revision", "/status/artifact/revision"), ("url", "/spec/url")]),
    (
        "HelmChart",
        &[
            ("revision", "/status/artifact/revision"),
            ("chart_name", "/spec/chart"),
            ("chart_version", "/spec/version"),
            ("source_name", "/spec/sourceRef/name"),
        ],
    ),
    (
        "Bucket",
        &[
            ("revision", "/status/artifact/revision"),
            ("endpoint", "/spec/endpoint"),
            ("bucket_name", "/spec/bucketName"),
        ],
    ),
    ("Receiver", &[("webhook_path", "/status/webhookPath")]),
    ("ImageRepository", &[("image", "/spec/image")]),
    ("ImagePolicy", &[("source_name", "/spec/imageRepositoryRef/name")]),
    ("ImageUpdateAutomation", &[("source_name", "/spec/sourceRef/name")]),
];

/// The labels of an object's series. `api` is its group and version.
pub(super) fn facts(object: &Value, kind: &str, api: (&str, &str), ready: &str, suspended: bool) -> Labels {
    let mut labels = Labels::from([
        ("customresource_group", api.0.to_owned()),
        ("customresource_kind", kind.to_owned()),
        ("customresource_version", api.1.to_owned()),
        ("ready", ready.to_owned()),
        ("suspended", suspended.to_string()),
    ]);
    let facts = FACTS.iter().find(|(of, _)| *of == kind);
    for (label, pointer) in facts.map_or(&[][..], |(_, facts)| facts) {
        let value = object.pointer(pointer).and_then(Value::as_str);
        labels.insert(label, value.map_or_else(String::new, without_userinfo));
    }
    labels
}

/// A URL without the credentials somebody may have put into it.
fn without_userinfo(value: &str) -> String {
    match url::Url::parse(value) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // These fail only for URLs that cannot have credentials.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => value.to_owned(),
    }
}

/// The collector of `gotk_resource_info`.
#[derive(Clone)]
pub struct ResourceInfo {
    desc: Desc,
    series: Arc<Mutex<HashMap<(String, Key), Labels>>>,
}

impl ResourceInfo {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let desc =
            Opts::new("gotk_resource_info", "The current state of a GitOps Toolkit resource.").describe()?;
        Ok(Self { desc, series: Arc::default() })
    }

    pub(super) fn set(&self, kind: &str, key: &Key, mut labels: Labels) {
        labels.insert("name", key.name.clone());
        labels.insert("exported_namespace", key.namespace.clone());
        self.lock().insert((kind.to_owned(), key.clone()), labels);
    }

    pub(super) fn remove(&self, kind: &str, key: &Key) {
        self.lock().remove(&(kind.to_owned(), key.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Key), Labels>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for ResourceInfo {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.lock();
        if series.is_empty() {
            return Vec::new();
        }
        let mut metrics: Vec<(&(String, Key), Metric)> = series
            .iter()
            .map(|(key, labels)| {
                let mut metric = Metric::default();
                let pairs = labels.iter().map(|(name, value)| {
                    let mut pair = LabelPair::default();
                    pair.set_name((*name).to_owned());
                    pair.set_value(value.clone());
                    pair
                });
                metric.set_label(pairs.collect());
                let mut gauge = Gauge::default();
                gauge.set_value(1.0);
                metric.set_gauge(gauge);
                (key, metric)
            })
            .collect();
        metrics.sort_by(|a, b| a.0.cmp(b.0));
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(metrics.into_iter().map(|(_, metric)| metric).collect());
        vec![family]
    }
}
