//! How long it takes to load, to render and to render again: a small chart, and a large one with many subcharts.
//!
//! Run with `cargo bench -p fluxide-helm`. Each line is the best of several runs. `BENCH_CHART=directory` adds a chart
//! of yours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fluxide_helm::values::Table;
use fluxide_helm::{Capabilities, Chart, ChartFile, DiskDirectory, ReleaseOptions, RenderOptions, render};

const HELPERS: &str = r#"{{- define "c.fullname" -}}{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- define "c.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
"#;

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "c.fullname" . }}
  labels:
    {{- include "c.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
        {{- range .Values.containers }}
        - name: {{ .name | quote }}
          image: "{{ .image.repository }}:{{ default "latest" .image.tag }}"
          {{- with .resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          args: {{ tpl (.args | toYaml) $ | nindent 12 }}
        {{- end }}
"#;

const VALUES: &str = r#"replicas: 2
labels: {team: a, tier: web}
containers:
- {name: app, image: {repository: nginx, tag: "1.27"}, args: ["--name={{ .Release.Name }}"], resources: {limits: {cpu: "1", memory: 1Gi}}}
- {name: sidecar, image: {repository: envoy}, args: [--verbose], resources: {}}
"#;

fn main() {
    report_chart("small chart", 200, &|| files("web", 1));
    report_chart("20 subcharts, 20 files each", 10, &|| {
        let mut all = files("umbrella", 20);
        for at in 0..20 {
            let name = format!("sub{at}");
            all.extend(
                files(&name, 20)
                    .into_iter()
                    .map(|file| ChartFile { name: format!("charts/{name}/{}", file.name), ..file }),
            );
        }
        all
    });
    if let Ok(path) = std::env::var("BENCH_CHART") {
        let load = || Chart::from_directory(&DiskDirectory::new(&path)).expect("the chart loads");
        report(&format!("{path}: load and render"), 10, || rendered(&Arc::new(load())));
        let chart = Arc::new(load());
        report(&format!("{path}: render again"), 10, || rendered(&chart));
    }
}

fn report_chart(name: &str, runs: usize, files: &dyn Fn() -> Vec<ChartFile>) {
    let load = || Chart::from_files(files()).expect("the chart loads");
    report(&format!("{name}: load and render"), runs, || rendered(&Arc::new(load())));
    let chart = Arc::new(load());
    report(&format!("{name}: render again"), runs, || rendered(&chart));
}

fn files(name: &str, deployments: usize) -> Vec<ChartFile> {
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\nappVersion: 1.2.3\n");
    let mut files = vec![
        ChartFile::new("Chart.yaml", metadata),
        ChartFile::new("values.yaml", VALUES),
        ChartFile::new("templates/_helpers.tpl", HELPERS),
    ];
    files.extend((0..deployments).map(|at| ChartFile::new(format!("templates/d{at}.yaml"), DEPLOYMENT)));
    files
}

fn rendered(chart: &Arc<Chart>) -> usize {
    let release = ReleaseOptions { name: "r".into(), namespace: "n".into(), revision: 1, is_upgrade: false };
    let capabilities = Capabilities::default();
    let options = RenderOptions::new(release, &capabilities, jiff::Timestamp::UNIX_EPOCH);
    render(chart, &Table::new(), options).expect("the chart renders").manifest().len()
}

fn report(name: &str, runs: usize, run: impl Fn() -> usize) {
    let mut best = Duration::MAX;
    let mut size = 0;
    for _ in 0..runs {
        let start = Instant::now();
        size = std::hint::black_box(run());
        best = best.min(start.elapsed());
    }
    println!("{name:48} {:>12.1} µs   ({size} bytes)", best.as_secs_f64() * 1e6);
}
