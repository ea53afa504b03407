//! Renders a chart of any bytes, parted by NUL: template, helpers, values of the chart, values of a subchart, values of
//! the user, Chart.yaml, schema.
//!
//! Run with `cargo +nightly fuzz run render` in the crate's directory.

#![no_main]

use std::sync::Arc;

use fluxide_helm::values::read_values;
use fluxide_helm::{Capabilities, Chart, ChartFile, ReleaseOptions, RenderOptions, TemplateLimits, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut part = |default: &'static [u8]| match parts.next() {
        None | Some([]) => default,
        Some(bytes) => bytes,
    };
    let files = vec![
        ChartFile::new("templates/a.yaml", part(b"a: {{ toYaml .Values }}")),
        ChartFile::new("templates/_h.tpl", part(b"")),
        ChartFile::new("values.yaml", part(b"a: 1")),
        ChartFile::new("charts/s/values.yaml", part(b"b: 2")),
        ChartFile::new("charts/s/Chart.yaml", "name: s\nversion: 1.0.0\n"),
        ChartFile::new("charts/s/templates/s.yaml", "s: {{ toJson .Values }}"),
    ];
    let user = read_values(part(b""));
    let mut files = files;
    files.push(ChartFile::new("Chart.yaml", part(b"name: c\nversion: 1.0.0\napiVersion: v2\n")));
    files.push(ChartFile::new("values.schema.json", part(b"true")));
    let (Ok(chart), Ok(user)) = (Chart::from_files(files), user) else { return };
    let release =
        ReleaseOptions { name: "r".into(), namespace: "n".into(), revision: 1, is_upgrade: false };
    let capabilities = Capabilities::default();
    let mut options = RenderOptions::new(release, &capabilities, Default::default());
    options.limits = TemplateLimits { steps: 100_000, output: 1 << 20, memory: 16 << 20, depth: 1000 };
    let _ = render(&Arc::new(chart), &user, options);
});
