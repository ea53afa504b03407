{{ define "body.a" }}{{- $total := 0 }}
{{- range $i, $e := .Values.items }}
  {{- if eq $e "two" }}{{ continue }}{{ end }}
- {{ $i }}: {{ $e | upper | quote }}
  {{- $total = add $total $i }}
{{- else }}
none
{{- end }}
total: {{ $total }}
{{- range $k, $v := .Values.map }}
{{ $k }}={{ $v }}
{{- end }}
{{- with .Values.nested.list }}{{ with index . 0 }}
first: {{ .name }} of {{ $.Release.Name }}
{{- end }}{{ end }}
{{ with .Values.none }}x{{ else with .Values.map }}else-with {{ .a }}{{ end }}
{{ if and .Values.items (not .Values.none) (or .Values.zero "x") }}and{{ else if true }}b{{ end }}
tpl: {{ tpl .Values.text . }}
count: {{ include "l.count" 5 }}
{{ block "l.block" . }}block of {{ .Chart.Name }}{{ end }}
range-int: {{ range 3 }}{{ . }}{{ end }}
{{- /* a comment */ -}}
{{ $_ := set .Values "seen" (list) }}
{{- range until 3 }}{{ $_ := set $.Values "seen" (append $.Values.seen .) }}{{ end }}
seen: {{ .Values.seen | toJson }}
no: <no value>{{ .Values.none }}
printf: {{ printf "%05d|%-5s|%5.1f|%x|%q|%v|%+v|%T|%t|%c|%U|%e" 42 "ab" 3.14159 255 "q" (list 1 "a") (dict "a" 1) 1.5 true 65 65 1234.5 }}
{{ end }}