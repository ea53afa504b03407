{{ define "body.about" }}kind: ConfigMap
metadata: {name: about}
release: {{ .Release | toJson }}
chart: {{ .Chart | toJson }}
template: {{ .Template | toJson }}
kube: {{ .Capabilities.KubeVersion }} {{ .Capabilities.KubeVersion.Major }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.KubeVersion.GitVersion }} {{ .Capabilities.KubeVersion.Version }}
helm: {{ .Capabilities.HelmVersion.Version }}
apis: {{ .Capabilities.APIVersions.Has "apps/v1" }} {{ .Capabilities.APIVersions.Has "apps/v1/Deployment" }} {{ .Capabilities.APIVersions.Has "example.com/v1" }} {{ .Capabilities.APIVersions.Has "example.com/v1/Thing" }}
lookup: {{ lookup "v1" "Secret" "ns" "x" | toJson }} {{ (lookup "v1" "Secret" "" "").items }}
{{ end }}