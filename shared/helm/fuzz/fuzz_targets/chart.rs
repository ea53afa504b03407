//! Loads and renders a chart of any files: the input is parted by NUL, the first byte of each part names the file.
//!
//! Dependencies, aliases, conditions, tags, imported values, values of subcharts, ignore rules, CRDs and hooks all meet
//! here, which is what merging values is about.
//!
//! Run with `cargo +nightly fuzz run chart` in the crate's directory.

#![no_main]

use std::sync::Arc;

use fluxide_helm::values::{Table, read_values};
use fluxide_helm::{
    Capabilities, Chart, ChartFile, ReleaseOptions, RenderOptions, TemplateLimits, TemplateOutput, render,
};
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &[
    "Chart.yaml",
    "values.yaml",
    "requirements.yaml",
    "Chart.lock",
    "values.schema.json",
    "templates/a.yaml",
    "templates/_h.tpl",
    "templates/NOTES.txt",
    "crds/c.yaml",
    "f.txt",
    "charts/s/Chart.yaml",
    "charts/s/values.yaml",
    "charts/s/values.schema.json",
    "charts/s/templates/s.yaml",
    "charts/s/charts/d/Chart.yaml",
    "charts/s/charts/d/values.yaml",
    "charts/s/charts/d/templates/d.yaml",
    "charts/t/Chart.yaml",
    "charts/t/values.yaml",
    "charts/t/templates/t.yaml",
    "charts/u.tgz",
];

const CHART: &str = "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n\
    - {name: s, version: '*', alias: x, condition: x.on, tags: [t], import-values: [data, {child: g, parent: p.q}]}\n\
    - {name: s, version: '>=0'}\n- {name: t, version: '*', tags: [t], import-values: [{child: ., parent: .}]}\n";
const SUBCHART: &str = "apiVersion: v2\nname: s\nversion: 1.0.0\ndependencies:\n- {name: d, version: '*', alias: e, import-values: [data]}\n";

fuzz_target!(|bytes: &[u8]| {
    let mut files = Vec::new();
    let mut user = Table::new();
    for part in bytes.split(|byte| *byte == 0) {
        let Some((first, content)) = part.split_first() else { continue };
        match NAMES.get(usize::from(*first) % (NAMES.len() + 1)) {
            Some(name) => files.push(ChartFile::new(*name, content)),
            None => user = read_values(content).unwrap_or_default(),
        }
    }
    for (name, content) in [
        ("Chart.yaml", CHART),
        ("charts/s/Chart.yaml", SUBCHART),
        ("charts/s/charts/d/Chart.yaml", "name: d\nversion: 1.0.0\n"),
        ("charts/t/Chart.yaml", "name: t\nversion: 1.0.0\n"),
        ("charts/s/charts/d/templates/d.yaml", "d: {{ toJson .Values }}"),
        ("charts/s/templates/s.yaml", "s: {{ toYaml .Values | nindent 2 }}"),
        ("charts/t/templates/t.yaml", "t: {{ toJson .Values }}"),
        ("templates/a.yaml", "a: {{ toJson .Values }}"),
    ] {
        if !files.iter().any(|file| file.name == name) {
            files.push(ChartFile::new(name, content));
        }
    }
    let Ok(chart) = Chart::from_files(files) else { return };
    let release =
        ReleaseOptions { name: "r".into(), namespace: "n".into(), revision: 1, is_upgrade: false };
    let capabilities = Capabilities::default();
    let mut options = RenderOptions::new(release, &capabilities, Default::default());
    options.limits = TemplateLimits { steps: 100_000, output: 1 << 20, memory: 16 << 20, depth: 1000 };
    if let Ok(rendered) = render(&Arc::new(chart), &user, options) {
        let output = TemplateOutput { include_crds: true, ..TemplateOutput::default() };
        let _ = (rendered.template_output(&output), rendered.manifest());
    }
});
