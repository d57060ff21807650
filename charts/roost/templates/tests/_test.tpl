{{/* (list $ name role weight) */}}
{{- define "roost.testHead" -}}
{{- $ := index . 0 -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "roost.name" $ }}-test-{{ index . 1 }}
  labels:
    {{- include "roost.labels" (list $ "test") | nindent 4 }}
    # Where it stands in the network.
    roost-network: {{ index . 2 }}
    roost-test: {{ index . 1 }}
    {{- with $.Values.pods.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: {{ index . 3 | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "roost.testContainer" -}}
name: test
image: {{ .Values.tests.image | default (include "roost.image" .) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "roost.containerSecurity" . | nindent 2 }}
resources:
  requests:
    cpu: 50m
    memory: 128Mi
  limits:
    memory: 384Mi
{{- end }}

{{/* Two users who meet; the second is of another homeserver, or not. (list $ isPeer) */}}
{{- define "roost.story" -}}
{{- $ := index . 0 -}}
{{- $prefix := include "roost.name" $ -}}
{{- $isSelfSigned := eq $.Values.edge.door.from "selfSigned" -}}
{{- $hasCa := or $isSelfSigned $.Values.tests.ca.secret -}}
{{- $isInvited := eq $.Values.registration "invite" -}}
spec:
  {{- include "roost.podSpec" (list $ "test") | nindent 2 }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  activeDeadlineSeconds: 300
  containers:
    - {{- include "roost.testContainer" $ | nindent 6 }}
      args: [--disable-warning=ExperimentalWarning, /app/probe/main.js, story]
      env:
        - name: ROOST_DOMAIN
          value: {{ $.Values.domain | quote }}
        - name: ROOST_PROBE_EDGE
          value: {{ $prefix }}-edge:{{ $.Values.edge.service.port }}
        - name: ROOST_PROBE_EDGE_NAME
          value: {{ $.Values.edge.door.names | default (list $.Values.domain) | first }}
        {{- if $hasCa }}
        - name: ROOST_PROBE_CA
          value: /door/ca.crt
        {{- end }}
        {{- if index . 1 }}
        {{- with $.Values.tests.peer }}
        - name: ROOST_PROBE_PEER_DOMAIN
          value: {{ .domain | quote }}
        - name: ROOST_PROBE_PEER_EDGE
          value: {{ .edge | default (printf "%s:443" .domain) | quote }}
        {{- end }}
        {{- if $hasCa }}
        - name: ROOST_PROBE_PEER_CA
          value: /door/ca.crt
        {{- end }}
        {{- end }}
        {{- if $isInvited }}
        - name: ROOST_PROBE_AS
          value: {{ $prefix }}-as:7443
        - name: ROOST_TLS_CERT
          value: /operator/tls.crt
        - name: ROOST_TLS_KEY
          value: /operator/tls.key
        - name: ROOST_TLS_CA
          value: /operator/ca.crt
        {{- end }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $hasCa }}
        - name: door
          mountPath: /door
          readOnly: true
        {{- end }}
        {{- if $isInvited }}
        - name: operator
          mountPath: /operator
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if $hasCa }}
    - name: door
      secret:
        secretName: {{ ternary (printf "%s-door" $prefix) $.Values.tests.ca.secret $isSelfSigned }}
        items:
          - key: {{ ternary "ca.crt" $.Values.tests.ca.key $isSelfSigned }}
            path: ca.crt
    {{- end }}
    {{- if $isInvited }}
    - name: operator
      secret:
        secretName: {{ $prefix }}-tls-operator
        defaultMode: 0440
    {{- end }}
{{- end }}
