{{/* All that is wrong with the values together, a sentence each: told at once. */}}
{{- define "roost.problems" -}}
{{- $ := . -}}
{{- $facts := include "roost.services" . | fromYaml -}}
{{- $problems := list -}}
{{- if not .Values.domain }}{{ $problems = append $problems "domain: give the home domain, such as example.org; it can never be changed." }}{{ end -}}
{{- range $name, $own := include "roost.own" $ | fromYaml -}}
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
    {{- if has $key (list "ROOST_DOMAIN" "ROOST_LISTEN" "ROOST_HEALTH_LISTEN" "ROOST_SECRETS" "ROOST_TLS_CERT" "ROOST_TLS_KEY" "ROOST_TLS_CA" "ROOST_DATABASE_URL" "ROOST_FEDERATION_ADDRESS" "ROOST_FEDERATION_ENDPOINT") -}}
      {{- $problems = append $problems (printf "services.%s.env: %s is the chart's own." $name $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $name, $own := include "roost.edges" . | fromYaml -}}
  {{- $path := eq $name "edge" | ternary "edge" "federation.edge" -}}
  {{- if and $own.autoscaling.enabled (gt (include "roost.replicas" (list $ $name $own) | int) (int $own.autoscaling.max)) -}}
    {{- $problems = append $problems (printf "%s.autoscaling: max is less than min." $path) -}}
  {{- end -}}
  {{- if and $own.service.nodePort (eq $own.service.type "ClusterIP") -}}
    {{- $problems = append $problems (printf "%s.service.nodePort has no meaning for a ClusterIP." $path) -}}
  {{- end -}}
  {{- if not (dig "limits" "memory" "" (include "roost.resources" (list $ $name $own) | fromYaml)) -}}
    {{- $problems = append $problems (printf "%s.resources: give limits.memory, by which the edge knows when to refuse." $path) -}}
  {{- end -}}
  {{- with $own.door -}}
    {{- if and (eq .from "secret") (not .secret) }}{{ $problems = append $problems (printf "%s.door.secret: name the Secret with the certificate." $path) }}{{ end -}}
    {{- if and (ne .from "secret") .secret }}{{ $problems = append $problems (printf "%s.door.secret is named, but %s.door.from is not secret." $path $path) }}{{ end -}}
    {{- if and (eq .from "certManager") (not .issuer.name) }}{{ $problems = append $problems (printf "%s.door.issuer.name: name the issuer that others believe." $path) }}{{ end -}}
    {{- if and (ne $.Values.profile "small") (eq .from "selfSigned") }}{{ $problems = append $problems (printf "%s.door.from: selfSigned is for trying out: use secret or certManager for the profile %s." $path $.Values.profile) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.tests.peer.domain (not .Values.federation.enabled) }}{{ $problems = append $problems "tests.peer.domain is said, but federation.enabled is not." }}{{ end -}}
{{- if and .Values.tests.peer.edge (not .Values.tests.peer.domain) }}{{ $problems = append $problems "tests.peer.edge is said, but not whose it is (tests.peer.domain)." }}{{ end -}}
{{- with .Values.scaling -}}
  {{- if and (eq .by "keda") (not .prometheus) }}{{ $problems = append $problems "scaling.prometheus: give the URL of the Prometheus that KEDA is to ask." }}{{ end -}}
  {{- if and (ne .by "keda") .prometheus }}{{ $problems = append $problems "scaling.prometheus is said, but scaling.by is not keda." }}{{ end -}}
{{- end -}}
{{- with .Values.federation -}}
  {{- if and .clientCa.secret (eq .mtls "off") }}{{ $problems = append $problems "federation.clientCa.secret is named, but federation.mtls is off." }}{{ end -}}
  {{- if and .endpoint (not .enabled) }}{{ $problems = append $problems "federation.endpoint is said, but federation.enabled is not." }}{{ end -}}
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
{{- if ne .Values.profile "small" -}}
  {{- range $name := list "postgresql" "nats" "redis" -}}
    {{- if (index $.Values $name).bundled -}}
      {{- $problems = append $problems (printf "%s.bundled is for trying out: bring your own for the profile %s." $name $.Values.profile) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $key, $_ := .Values.pods.labels -}}
  {{- if has $key (list "app.kubernetes.io/instance" "app.kubernetes.io/name" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "roost-network") -}}
    {{- $problems = append $problems (printf "pods.labels: %s is the chart's own." $key) -}}
  {{- end -}}
{{- end -}}
{{- join "\n" $problems -}}
{{- end }}
