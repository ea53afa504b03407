{{- define "l.one" -}}
one({{ . | kindOf }})
{{- end -}}
{{ define "l.count" }}{{ if gt (int .) 0 }}{{ . }} {{ include "l.count" (sub (int .) 1) }}{{ end }}{{ end }}