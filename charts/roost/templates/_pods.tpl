{{/* What the restricted Pod Security Standard asks of a pod that runs as this user. */}}
{{- define "roost.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* And of a container. */}}
{{- define "roost.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ .Values.pods.readOnlyRoot }}
capabilities:
  drop: [ALL]
{{- end }}

{{/* What all pods have in common. (list $ "qs"), and a user where it has to be a certain one. */}}
{{- define "roost.podSpec" -}}
{{- $ := index . 0 -}}
{{- $user := gt (len .) 2 | ternary (last .) $.Values.pods.user -}}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "roost.podSecurity" (int64 $user) | nindent 2 }}
{{- with $.Values.pods.priorityClass }}
priorityClassName: {{ . }}
{{- end }}
{{- with $.Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Replicas are apart. (list $ "qs") */}}
{{- define "roost.spread" -}}
{{- range (index . 0).Values.pods.spreadOver }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "roost.selector" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- define "roost.podMetadata" -}}
{{- $ := index . 0 -}}
labels:
  {{- include "roost.labels" . | nindent 2 }}
  roost-network: {{ index . 1 }}
  {{- with $.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $.Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "roost.tracing" -}}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $.Values.tracing.part | toString | quote }}
{{- end }}
{{- end }}
