{{ define "needs" }}{{ required "needed inside" .Values.nothing }}{{ end }}
{{- define "deep1" }}
{{ include "deep2" . }}{{ end }}
{{ define "deep2" }}{{ .Values.nothing.x }}{{ end }}{{ define "loop" }}{{ include "loop" . }}{{ end }}{{ define "tplloop" }}{{ tpl "{{ include \"tplloop\" . }}" . }}{{ end }}