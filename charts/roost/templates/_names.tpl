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

{{/* What the services are that this release has: objects as YAML. */}}
{{- define "roost.services" -}}
{{- $isFederated := .Values.federation.enabled -}}
{{- $here := dict -}}
{{- range $name, $fact := .Files.Get "files/services.yaml" | fromYaml -}}
  {{- if or $isFederated (not $fact.onlyFederated) -}}
    {{- range $list := list "calledBy" "calls" -}}
      {{- $_ := set $fact $list (concat (index $fact $list) (ternary (dig "federated" $list list $fact) list $isFederated)) -}}
    {{- end -}}
    {{- $_ := set $here $name $fact -}}
  {{- end -}}
{{- end -}}
{{ toYaml $here }}
{{- end }}

{{/* And what the operator says of each of them. */}}
{{- define "roost.own" -}}
{{- $own := dict -}}
{{- range $name, $_ := include "roost.services" . | fromYaml }}{{ $_ := set $own $name (index $.Values.services $name) }}{{ end -}}
{{ toYaml $own }}
{{- end }}

{{/* The edges: that of clients, and that of other homeservers. */}}
{{- define "roost.edges" -}}
{{- $edges := dict "edge" .Values.edge -}}
{{- if .Values.federation.enabled }}{{ $_ := set $edges "federation-edge" .Values.federation.edge }}{{ end -}}
{{ toYaml $edges }}
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
