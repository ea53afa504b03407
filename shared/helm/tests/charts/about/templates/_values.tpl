{{ define "body.values" }}kind: ConfigMap
metadata: {name: values}
values:
  {{- toYaml .Values | nindent 2 }}
printed:
{{- range $k, $v := .Values }}
  {{ $k | quote }}: {{ printf "%v (%T)" $v $v | quote }}
{{- end }}
{{- with .Values.nothing }}never{{ else }}
nothing: {{ .Values.nothing | default "default" }}
{{- end }}
{{ end }}