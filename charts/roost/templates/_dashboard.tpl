{{/* Grafana's JSON. (list $ name panels) */}}
{{- define "roost.dashboard" -}}
{{- $ := index . 0 -}}
{{- $which := printf "namespace=\"%s\"" $.Release.Namespace -}}
{{- $source := dict "type" "prometheus" "uid" "${source}" -}}
{{- $panels := list -}}
{{- range $index, $panel := index . 2 -}}
  {{- $targets := list -}}
  {{- range $legend, $expression := $panel.lines -}}
    {{- $targets = append $targets (dict "expr" ($expression | replace "$which" $which) "legendFormat" $legend "refId" (printf "L%d" (len $targets)) "datasource" $source) -}}
  {{- end -}}
  {{- $at := dict "x" (mul 8 (mod $index 3)) "y" (mul 8 (div $index 3)) "w" 8 "h" 8 -}}
  {{- $defaults := dict "unit" $panel.unit "min" 0 -}}
  {{- $panels = append $panels (dict "id" (add1 $index) "type" "timeseries" "title" $panel.title "gridPos" $at "datasource" $source "targets" $targets "fieldConfig" (dict "defaults" $defaults "overrides" list)) -}}
{{- end -}}
{{- $variable := dict "name" "source" "type" "datasource" "query" "prometheus" "label" "Prometheus" -}}
{{- $uid := printf "%s-%s-%s" $.Release.Namespace (include "roost.name" $) (index . 1) | sha256sum | trunc 20 -}}
{{- dict "uid" $uid "title" (printf "Roost: %s (%s)" (index . 1) $.Values.domain) "tags" (list "roost") "schemaVersion" 39 "time" (dict "from" "now-3h" "to" "now") "refresh" "30s" "templating" (dict "list" (list $variable)) "panels" $panels | toJson -}}
{{- end }}
