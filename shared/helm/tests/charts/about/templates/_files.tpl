{{ define "body.files" }}kind: ConfigMap
metadata: {name: files}
data:
  {{- (.Files.Glob "files/**").AsConfig | nindent 2 }}
secrets:
  {{- (.Files.Glob "files/*.txt").AsSecrets | nindent 2 }}
lines: {{ .Files.Lines "files/two.txt" | toJson }}
get: {{ .Files.Get "files/one.txt" | quote }} {{ .Files.Get "files/none.txt" | quote }} {{ .Files.Get ".helmignore" | quote }}
all: {{ range $path, $bytes := .Files }}{{ $path }}={{ len $bytes }} {{ end }}
bytes: {{ .Files.GetBytes "files/one.txt" }}
{{ end }}