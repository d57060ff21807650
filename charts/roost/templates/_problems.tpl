{{/* All that is wrong with the values together, a sentence each: told at once. */}}
{{- define "roost.problems" -}}
{{- $ := . -}}
{{- $facts := include "roost.services" . | fromYaml -}}
{{- $problems := list -}}
{{- if not .Values.domain }}{{ $problems = append $problems "domain: give the home domain, such as example.org; it can never be changed." }}{{ end -}}
{{- range $name, $own := .Values.services -}}
  {{- if and (not $own.database.secret) (not $.Values.postgresql.bundled) -}}
    {{- $problems = append $problems (printf "services.%s.database.secret: name the Secret with the URL of its database, or set postgresql.bundled to try things out." $name) -}}
  {{- end -}}
  {{- if and (index $facts $name).nats (not $own.nats.secret) (not $.Values.nats.bundled) -}}
    {{- $problems = append $problems (printf "services.%s.nats.secret: name the Secret with its user and password in NATS, or set nats.bundled to try things out." $name) -}}
  {{- end -}}
  {{- if and $own.autoscaling.enabled (gt (include "roost.replicas" (list $ $name $own) | int) (int $own.autoscaling.max)) -}}
    {{- $problems = append $problems (printf "services.%s.autoscaling: max is less than min." $name) -}}
  {{- end -}}
  {{- range $key, $_ := $own.env -}}
    {{- if has $key (list "ROOST_DOMAIN" "ROOST_LISTEN" "ROOST_HEALTH_LISTEN" "ROOST_SECRETS" "ROOST_TLS_CERT" "ROOST_TLS_KEY" "ROOST_TLS_CA" "ROOST_DATABASE_URL") -}}
      {{- $problems = append $problems (printf "services.%s.env: %s is the chart's own." $name $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- with .Values.edge.autoscaling -}}
  {{- if and .enabled (gt (include "roost.replicas" (list $ "edge" $.Values.edge) | int) (int .max)) -}}
    {{- $problems = append $problems "edge.autoscaling: max is less than min." -}}
  {{- end -}}
{{- end -}}
{{- if and (not .Values.nats.bundled) (not .Values.nats.servers) -}}
  {{- $problems = append $problems "nats.servers: name the servers of your NATS as host:port, or set nats.bundled to try things out." -}}
{{- end -}}
{{- if and (not .Values.redis.bundled) (not .Values.redis.secret) -}}
  {{- $problems = append $problems "redis.secret: name the Secret with the URL of your Redis or Valkey, or set redis.bundled to try things out." -}}
{{- end -}}
{{- if and .Values.nats.bundled .Values.nats.servers -}}
  {{- $problems = append $problems "nats: servers and bundled are set, which are two different NATS." -}}
{{- end -}}
{{- if and .Values.redis.bundled .Values.redis.secret -}}
  {{- $problems = append $problems "redis: secret and bundled are set, which are two different servers." -}}
{{- end -}}
{{- if and (eq .Values.certificates.from "certManager") (not .Values.certificates.issuer.name) -}}
  {{- $problems = append $problems "certificates.issuer.name: name the issuer that cert-manager is to ask." -}}
{{- end -}}
{{- with .Values.edge.door -}}
  {{- if and (eq .from "secret") (not .secret) }}{{ $problems = append $problems "edge.door.secret: name the Secret with the certificate for clients." }}{{ end -}}
  {{- if and (ne .from "secret") .secret }}{{ $problems = append $problems "edge.door.secret is named, but edge.door.from is not secret." }}{{ end -}}
  {{- if and (eq .from "certManager") (not .issuer.name) }}{{ $problems = append $problems "edge.door.issuer.name: name the issuer that clients believe." }}{{ end -}}
{{- end -}}
{{- if ne .Values.profile "small" -}}
  {{- range $name := list "postgresql" "nats" "redis" -}}
    {{- if (index $.Values $name).bundled -}}
      {{- $problems = append $problems (printf "%s.bundled is for trying out: bring your own for the profile %s." $name $.Values.profile) -}}
    {{- end -}}
  {{- end -}}
  {{- if eq .Values.edge.door.from "selfSigned" -}}
    {{- $problems = append $problems (printf "edge.door.from: selfSigned is for trying out: use secret or certManager for the profile %s." .Values.profile) -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.edge.service.nodePort (eq .Values.edge.service.type "ClusterIP") -}}
  {{- $problems = append $problems "edge.service.nodePort has no meaning for a ClusterIP." -}}
{{- end -}}
{{- $memory := (include "roost.resources" (list . "edge" .Values.edge) | fromYaml) -}}
{{- if not (dig "limits" "memory" "" $memory) -}}
  {{- $problems = append $problems "edge.resources: give limits.memory, by which the edge knows when to refuse." -}}
{{- end -}}
{{- range $key, $_ := .Values.pods.labels -}}
  {{- if has $key (list "app.kubernetes.io/instance" "app.kubernetes.io/name" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "roost-network") -}}
    {{- $problems = append $problems (printf "pods.labels: %s is the chart's own." $key) -}}
  {{- end -}}
{{- end -}}
{{- join "\n" $problems -}}
{{- end }}
