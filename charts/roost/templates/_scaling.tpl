{{/* What adds replicas and takes them away. (list $ name own) */}}
{{- define "roost.scaler" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $own := index . 2 -}}
{{- $isKeda := eq $.Values.scaling.by "keda" -}}
apiVersion: {{ ternary "keda.sh/v1alpha1" "autoscaling/v2" $isKeda }}
kind: {{ ternary "ScaledObject" "HorizontalPodAutoscaler" $isKeda }}
metadata:
  name: {{ include "roost.name" $ }}-{{ $name }}
  labels:
    {{- include "roost.labels" (list $ $name) | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "roost.name" $ }}-{{ $name }}
  {{- include (ternary "roost.scaledObject" "roost.scaling" $isKeda) . | nindent 2 }}
{{- end }}

{{- define "roost.scalingBehavior" -}}
# Whoever goes sends its listeners elsewhere: one at a time, and not for a short lull.
scaleDown:
  stabilizationWindowSeconds: 600
  policies:
    - type: Pods
      value: 1
      periodSeconds: 120
{{- end }}

{{- define "roost.scaling" -}}
{{- $own := index . 2 -}}
minReplicas: {{ include "roost.replicas" . }}
maxReplicas: {{ $own.autoscaling.max }}
behavior:
  {{- include "roost.scalingBehavior" . | nindent 2 }}
metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: {{ $own.autoscaling.cpuPercent }}
  {{- with $own.autoscaling.listeners }}
  - type: Pods
    pods:
      metric:
        name: roost_qs_listeners
      target:
        type: AverageValue
        averageValue: {{ . | int64 | toString | quote }}
  {{- end }}
  {{- with $own.autoscaling.outboxAgeSeconds }}
  - type: External
    external:
      metric:
        name: roost_ds_outbox_oldest_age_seconds
      target:
        type: Value
        value: {{ . | int64 | toString | quote }}
  {{- end }}
{{- end }}

{{/* KEDA asks Prometheus by itself. While it gets no answer nothing is taken away. */}}
{{- define "roost.scaledObject" -}}
{{- $ := index . 0 -}}{{- $own := index . 2 -}}
minReplicaCount: {{ include "roost.replicas" . }}
maxReplicaCount: {{ $own.autoscaling.max }}
pollingInterval: 15
advanced:
  horizontalPodAutoscalerConfig:
    behavior:
      {{- include "roost.scalingBehavior" . | nindent 6 }}
triggers:
  - type: cpu
    metricType: Utilization
    metadata:
      value: {{ $own.autoscaling.cpuPercent | toString | quote }}
  {{- with $own.autoscaling.listeners }}
  - type: prometheus
    metricType: AverageValue
    metadata:
      serverAddress: {{ $.Values.scaling.prometheus | quote }}
      query: {{ printf "sum(roost_qs_listeners{namespace=%q})" $.Release.Namespace | quote }}
      threshold: {{ . | int64 | toString | quote }}
  {{- end }}
  {{- with $own.autoscaling.outboxAgeSeconds }}
  - type: prometheus
    metricType: Value
    metadata:
      serverAddress: {{ $.Values.scaling.prometheus | quote }}
      query: {{ printf "max(roost_ds_outbox_oldest_age_seconds{namespace=%q})" $.Release.Namespace | quote }}
      threshold: {{ . | int64 | toString | quote }}
  {{- end }}
{{- end }}
