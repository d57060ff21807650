{{/* The name of everything begins with the release's. */}}
{{- define "roost.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Who a pod is: never changes while a Deployment lives. (list $ "qs") */}}
{{- define "roost.selector" -}}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/name: roost
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "roost.labels" -}}
{{ include "roost.selector" . }}
app.kubernetes.io/part-of: roost
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "roost.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What services are, and what the profile says of them: objects as YAML. */}}
{{- define "roost.services" -}}
{{ .Files.Get "files/services.yaml" }}
{{- end }}

{{- define "roost.profile" -}}
{{ index (.Files.Get "files/profiles.yaml" | fromYaml) .Values.profile | toYaml }}
{{- end }}

{{/* How many replicas at least. (list $ "qs" values) */}}
{{- define "roost.replicas" -}}
{{- $profile := include "roost.profile" (index . 0) | fromYaml -}}
{{- $own := index . 2 -}}
{{- $replicas := $own.replicas -}}
{{- if $own.autoscaling.enabled }}{{ $replicas = $own.autoscaling.min }}{{ end -}}
{{- if kindIs "invalid" $replicas }}{{ $replicas = (index $profile (index . 1)).replicas }}{{ end -}}
{{ $replicas }}
{{- end }}

{{- define "roost.resources" -}}
{{- $profile := include "roost.profile" (index . 0) | fromYaml -}}
{{ (index . 2).resources | default (index $profile (index . 1)).resources | toYaml }}
{{- end }}
