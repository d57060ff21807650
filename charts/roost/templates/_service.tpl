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
- name: ROOST_AS_ADDRESS
  value: {{ include "roost.name" $ }}-as:7443
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
- name: ROOST_INCARNATION
  value: {{ $.Values.incarnation | int64 | toString | quote }}
- name: ROOST_OUTBOX_ROWS
  value: {{ $.Values.outbox.rows | int64 | toString | quote }}
- name: ROOST_OUTBOX_MEGABYTES
  value: {{ $.Values.outbox.megabytes | int64 | toString | quote }}
{{- end }}
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

{{- define "roost.serviceMounts" -}}
{{- $ := index . 0 -}}{{- $facts := index . 1 -}}
- name: tls
  mountPath: /tls
  readOnly: true
- name: keys
  mountPath: /keys
  readOnly: true
{{- if and $facts.nats $.Values.nats.ca.secret }}
- name: nats-ca
  mountPath: /nats
  readOnly: true
{{- end }}
{{- if and $facts.redis $.Values.redis.ca.secret }}
- name: redis-ca
  mountPath: /redis
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
{{- if and $facts.nats $.Values.nats.ca.secret }}
- name: nats-ca
  secret:
    secretName: {{ $.Values.nats.ca.secret }}
    items:
      - key: {{ $.Values.nats.ca.key }}
        path: ca.crt
{{- end }}
{{- if and $facts.redis $.Values.redis.ca.secret }}
- name: redis-ca
  secret:
    secretName: {{ $.Values.redis.ca.secret }}
    items:
      - key: {{ $.Values.redis.ca.key }}
        path: ca.crt
{{- end }}
{{- end }}
