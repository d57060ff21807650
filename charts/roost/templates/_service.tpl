{{/* The environment of a service. (list $ name own facts) */}}
{{- define "roost.environment" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $own := index . 2 -}}{{- $facts := index . 3 -}}
{{- $prefix := include "roost.name" $ -}}
- name: ROOST_DOMAIN
  value: {{ $.Values.domain | quote }}
- name: ROOST_TLS_CERT
  value: /tls/tls.crt
- name: ROOST_TLS_KEY
  value: /tls/tls.key
- name: ROOST_TLS_CA
  value: /tls/ca.crt
- name: ROOST_SECRETS
  value: /keys
- name: ROOST_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ ternary (printf "%s-database-%s" $prefix $name) $own.database.secret $.Values.postgresql.bundled }}
      key: {{ ternary "url" $own.database.key $.Values.postgresql.bundled }}
- name: ROOST_DATABASE_CONNECTIONS
  value: {{ $own.database.connections | toString | quote }}
{{- range $facts.calls }}
- name: ROOST_{{ eq . "federation-gateway" | ternary "federation" . | upper }}_ADDRESS
  value: {{ $prefix }}-{{ . }}:7443
{{- end }}
- name: ROOST_INCARNATION
  value: {{ $.Values.incarnation | int64 | toString | quote }}
- name: ROOST_LOG_LEVEL
  value: {{ $.Values.logLevel }}
- name: ROOST_DRAIN_MS
  value: {{ $own.drainMs | int64 | toString | quote }}
{{- if $facts.nats }}
{{- $secret := ternary (printf "%s-nats-%s" $prefix $name) $own.nats.secret $.Values.nats.bundled }}
- name: ROOST_NATS_SERVERS
  value: {{ include "roost.natsServers" $ | quote }}
- name: ROOST_NATS_PREFIX
  value: {{ $.Values.nats.prefix }}
- name: ROOST_NATS_USER
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: user
- name: ROOST_NATS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: password
{{- if $.Values.nats.ca.secret }}
- name: ROOST_NATS_CA
  value: /nats/ca.crt
{{- end }}
{{- end }}
{{- if $facts.redis }}
- name: ROOST_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ ternary (printf "%s-redis" $prefix) $.Values.redis.secret $.Values.redis.bundled }}
      key: {{ ternary "url" $.Values.redis.key $.Values.redis.bundled }}
- name: ROOST_REDIS_PREFIX
  value: {{ $.Values.redis.prefix }}
{{- if $.Values.redis.ca.secret }}
- name: ROOST_REDIS_CA
  value: /redis/ca.crt
{{- end }}
{{- end }}
{{- include "roost.ownEnvironment" (list $ $name) }}
{{- include "roost.tracing" $ }}
{{- range $key, $value := $own.env }}
- name: {{ $key }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "roost.ownEnvironment" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}
{{- if eq $name "as" }}
- name: ROOST_REGISTRATION
  value: {{ $.Values.registration }}
{{- else if eq $name "aas" }}
- name: ROOST_GENERAL_TOKENS_PER_DAY
  value: {{ $.Values.tokens.generalPerDay | int64 | toString | quote }}
- name: ROOST_CONTACT_TOKENS_PER_DAY
  value: {{ $.Values.tokens.contactPerDay | int64 | toString | quote }}
- name: ROOST_ADDRESS_CALLS
  value: {{ $.Values.addressCalls.burst | int64 | toString | quote }}
- name: ROOST_ADDRESS_CALLS_PER_SECOND
  value: {{ $.Values.addressCalls.perSecond | int64 | toString | quote }}
{{- else if eq $name "qs" }}
- name: ROOST_PUSH_TO_PRIVATE_ADDRESSES
  value: {{ ternary "yes" "no" $.Values.pushToPrivateAddresses | quote }}
{{- else if eq $name "ds" }}
- name: ROOST_OUTBOX_ROWS
  value: {{ $.Values.outbox.rows | int64 | toString | quote }}
- name: ROOST_OUTBOX_MEGABYTES
  value: {{ $.Values.outbox.megabytes | int64 | toString | quote }}
{{- else if eq $name "federation-gateway" }}
{{- include "roost.gatewayEnvironment" $ }}
{{- end }}
{{- end }}

{{- define "roost.gatewayEnvironment" -}}
{{- with .Values.federation }}
- name: ROOST_FEDERATION_ENDPOINT
  value: {{ .endpoint | default (printf "%s:%v" $.Values.domain .edge.service.port) | quote }}
- name: ROOST_DIRECTORY_LISTEN
  value: 0.0.0.0:7680
- name: ROOST_FEDERATION_MTLS
  value: {{ .mtls | quote }}
{{- if ne .mtls "off" }}
# What it shows where it calls: the certificate of the home domain.
- name: ROOST_FEDERATION_CERT
  value: /door/tls.crt
- name: ROOST_FEDERATION_KEY
  value: /door/tls.key
{{- end }}
{{- if .ca.secret }}
- name: ROOST_FEDERATION_CA
  value: /peers/ca.crt
{{- end }}
{{- if .clientCa.secret }}
- name: ROOST_FEDERATION_CLIENT_CA
  value: /peer-clients/ca.crt
{{- end }}
{{- with .allowedNetworks }}
- name: ROOST_FEDERATION_ALLOWED_NETWORKS
  value: {{ join "," . | quote }}
{{- end }}
- name: ROOST_FEDERATION_WELL_KNOWN_PORT
  value: {{ .wellKnownPort | int64 | toString | quote }}
- name: ROOST_FEDERATION_AUDIT_DAYS
  value: {{ .auditDays | int64 | toString | quote }}
- name: ROOST_FEDERATION_OUTBOX_ROWS
  value: {{ .outbox.rows | int64 | toString | quote }}
- name: ROOST_FEDERATION_OUTBOX_MEGABYTES
  value: {{ .outbox.megabytes | int64 | toString | quote }}
- name: ROOST_FEDERATION_RETRY_DAYS
  value: {{ .outbox.retryDays | int64 | toString | quote }}
{{- end }}
{{- end }}

{{/* The Secret with the certificate of the home domain, which other homeservers see. */}}
{{- define "roost.federationDoor" -}}
{{- with .Values.federation.edge.door -}}
{{ eq .from "secret" | ternary .secret (printf "%s-federation-door" (include "roost.name" $)) }}
{{- end -}}
{{- end }}

{{/* What of Secrets a service is given besides: path → Secret and key. (list $ "qs" facts) */}}
{{- define "roost.authorities" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $facts := index . 2 -}}
{{- $all := dict -}}
{{- if and $facts.nats $.Values.nats.ca.secret }}{{ $_ := set $all "nats" $.Values.nats.ca }}{{ end -}}
{{- if and $facts.redis $.Values.redis.ca.secret }}{{ $_ := set $all "redis" $.Values.redis.ca }}{{ end -}}
{{- if eq $name "federation-gateway" -}}
  {{- with $.Values.federation -}}
    {{- if .ca.secret }}{{ $_ := set $all "peers" .ca }}{{ end -}}
    {{- if .clientCa.secret }}{{ $_ := set $all "peer-clients" .clientCa }}{{ end -}}
  {{- end -}}
{{- end -}}
{{ toYaml $all }}
{{- end }}

{{- define "roost.natsServers" -}}
{{- if .Values.nats.bundled -}}
{{- $name := include "roost.name" . -}}
{{- $servers := list -}}
{{- range until (int .Values.nats.replicas) }}{{ $servers = append $servers (printf "%s-nats-%d.%s-nats:4222" $name . $name) }}{{ end -}}
{{ join "," $servers }}
{{- else -}}
{{ join "," .Values.nats.servers }}
{{- end -}}
{{- end }}

{{/* (list $ "qs" facts) */}}
{{- define "roost.serviceMounts" -}}
{{- $ := index . 0 -}}
- name: tls
  mountPath: /tls
  readOnly: true
- name: keys
  mountPath: /keys
  readOnly: true
{{- if and (eq (index . 1) "federation-gateway") (ne $.Values.federation.mtls "off") }}
- name: door
  mountPath: /door
  readOnly: true
{{- end }}
{{- range $path, $_ := include "roost.authorities" . | fromYaml }}
- name: {{ $path }}-ca
  mountPath: /{{ $path }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "roost.serviceVolumes" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $facts := index . 2 -}}
{{- $prefix := include "roost.name" $ -}}
- name: tls
  secret:
    secretName: {{ $prefix }}-tls-{{ $name }}
    defaultMode: 0440
- name: keys
  projected:
    defaultMode: 0440
    sources:
      {{- range $facts.keys }}
      - secret:
          name: {{ $prefix }}-key-{{ . }}
      {{- end }}
{{- if and (eq $name "federation-gateway") (ne $.Values.federation.mtls "off") }}
- name: door
  secret:
    secretName: {{ include "roost.federationDoor" $ }}
    defaultMode: 0440
{{- end }}
{{- range $path, $from := include "roost.authorities" . | fromYaml }}
- name: {{ $path }}-ca
  secret:
    secretName: {{ $from.secret }}
    items:
      - key: {{ $from.key }}
        path: ca.crt
{{- end }}
{{- end }}
