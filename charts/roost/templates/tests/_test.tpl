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
