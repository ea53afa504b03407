//! How long it takes to parse and to execute templates like those of charts.
//!
//! Run with `cargo bench -p fluxide-gotemplate`. Each line is the best of several runs.

use std::time::{Duration, Instant};

use fluxide_gotemplate::{Functions, Limits, Map, MissingKey, Session, Templates, Value, helm};

const HELPERS: &str = r#"{{- define "fullname" -}}{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
"#;

const DEPLOYMENT: &str = r#"{{- range $index, $port := until 50 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "fullname" $ }}-{{ $index }}
  labels:
    {{- include "labels" $ | nindent 4 }}
spec:
  replicas: {{ $.Values.replicas | int }}
  template:
    spec:
      containers:
        {{- range $.Values.containers }}
        - name: {{ .name | quote }}
          image: "{{ .image.repository }}:{{ default "latest" .image.tag }}"
          {{- if and .resources (gt (len .resources) 0) }}
          resources:
            {{- toYaml .resources | nindent 12 }}
          {{- end }}
          args: {{ tpl (.args | toYaml) $ | nindent 12 }}
        {{- end }}
{{- end }}
"#;

fn main() {
    let functions = helm::functions();
    let templates = parse(&functions);
    let data = data();
    let text = execute(&templates, &data);
    println!("template {} bytes, output {} bytes", HELPERS.len() + DEPLOYMENT.len(), text);
    report("function map", 200, || helm::functions().names().count());
    report("parse", 500, || parse(&functions).names().len());
    report("execute (50 documents)", 100, || execute(&templates, &data));
}

fn parse(functions: &Functions) -> Templates {
    let mut templates = Templates::new("gotpl", functions.clone(), MissingKey::Zero);
    templates.parse("c/templates/_helpers.tpl", HELPERS).expect("the helpers parse");
    templates.parse("c/templates/deployment.yaml", DEPLOYMENT).expect("the template parses");
    templates
}

fn execute(templates: &Templates, data: &Value) -> usize {
    let mut session = Session::new(Limits::default());
    templates.execute("c/templates/deployment.yaml", data, &mut session).expect("the template renders").len()
}

fn data() -> Value {
    let json = serde_json::json!({
        "Release": {"Name": "release"},
        "Chart": {"Name": "chart"},
        "Values": {
            "replicas": 3,
            "labels": {"team": "a", "tier": "web"},
            "containers": [
                {"name": "app", "image": {"repository": "nginx", "tag": "1.27"}, "args": ["--port={{ .Values.replicas }}"], "resources": {"limits": {"cpu": "1"}}},
                {"name": "sidecar", "image": {"repository": "envoy"}, "args": ["--verbose"], "resources": {}}
            ]
        }
    });
    let data = Map::new();
    if let Value::Map(parts) = Value::from(json) {
        for (key, value) in parts.entries() {
            data.insert(key, value);
        }
    }
    Value::Map(data)
}

fn report(name: &str, runs: usize, run: impl Fn() -> usize) {
    let mut best = Duration::MAX;
    let mut result = 0;
    for _ in 0..runs {
        let start = Instant::now();
        result = std::hint::black_box(run());
        best = best.min(start.elapsed());
    }
    println!("{name:28} {:>10.1} µs   ({result})", best.as_secs_f64() * 1e6);
}
