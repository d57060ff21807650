{{/* The environment of an edge. (list $ "edge" values) */}}
{{- define "roost.edgeEnvironment" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $own := index . 2 -}}
{{- $memory := include "roost.resources" . | fromYaml | dig "limits" "memory" "512Mi" -}}
- name: ROOST_DOMAIN
  value: {{ $.Values.domain | quote }}
- name: ROOST_HEALTH_LISTEN
  value: 0.0.0.0:9464
- name: ROOST_TLS_CA
  value: /edge/ca.crt
- name: ROOST_CONNECTIONS_MAX
  value: {{ $own.connections | int64 | toString | quote }}
# Less than Kubernetes lets it have: it is to refuse before it is killed.
- name: ROOST_HEAP_MEGABYTES
  value: {{ div (mul 3 (include "roost.megabytes" $memory | int)) 4 | toString | quote }}
- name: ROOST_DRAIN_NOTICE_MS
  value: {{ mul $own.drainNoticeSeconds 1000 | toString | quote }}
- name: ROOST_DRAIN_MS
  value: {{ mul $own.drainSeconds 1000 | toString | quote }}
{{- if eq $name "edge" }}
{{- include "roost.clientsEdgeEnvironment" $ }}
{{- else }}
{{- include "roost.federationEdgeEnvironment" $ }}
{{- end }}
{{- include "roost.tracing" $ }}
{{- end }}

{{- define "roost.federationEdgeEnvironment" -}}
{{- $gateway := printf "%s-federation-gateway" (include "roost.name" .) }}
- name: ROOST_FEDERATION_LISTEN
  value: 0.0.0.0:8443
- name: ROOST_FEDERATION_CERT
  value: /door/tls.crt
- name: ROOST_FEDERATION_KEY
  value: /door/tls.key
- name: ROOST_PEER_CERT
  value: /edge/tls.crt
- name: ROOST_PEER_KEY
  value: /edge/tls.key
- name: ROOST_GATEWAY_ADDRESS
  value: {{ $gateway }}:7443
- name: ROOST_DIRECTORY_ADDRESS
  value: {{ $gateway }}:7680
- name: ROOST_FEDERATION_MTLS
  value: {{ .Values.federation.mtls | quote }}
{{- end }}

{{- define "roost.clientsEdgeEnvironment" -}}
{{- $prefix := include "roost.name" . }}
- name: ROOST_LISTEN
  value: 0.0.0.0:8443
- name: ROOST_DOOR_CERT
  value: /door/tls.crt
- name: ROOST_DOOR_KEY
  value: /door/tls.key
- name: ROOST_TLS_CERT
  value: /edge/tls.crt
- name: ROOST_TLS_KEY
  value: /edge/tls.key
- name: ROOST_GATE_CERT
  value: /gate/tls.crt
- name: ROOST_GATE_KEY
  value: /gate/tls.key
{{- range $name, $fact := include "roost.services" . | fromYaml }}
{{- if has "edge" $fact.calledBy }}
- name: ROOST_{{ $name | upper }}_ADDRESS
  value: {{ $prefix }}-{{ $name }}:7443
{{- end }}
{{- if $fact.directory }}
- name: ROOST_DIRECTORY_ADDRESS
  value: {{ $prefix }}-{{ $name }}:7680
{{- end }}
{{- end }}
{{- with .Values.edge.allowedOrigins }}
- name: ROOST_ALLOWED_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
# Twice what all edges together allow: each stops a flood by itself.
- name: ROOST_ADDRESS_CALLS
  value: {{ mul 2 .Values.addressCalls.burst | toString | quote }}
- name: ROOST_ADDRESS_CALLS_PER_SECOND
  value: {{ mul 2 .Values.addressCalls.perSecond | toString | quote }}
{{- end }}

{{/* 512Mi, 1Gi, 1536Mi: in MiB. */}}
{{- define "roost.megabytes" -}}
{{- if hasSuffix "Gi" . -}}
{{ mul 1024 (trimSuffix "Gi" . | int) }}
{{- else -}}
{{ trimSuffix "Mi" . | int }}
{{- end -}}
{{- end }}
