{{/* (list $ name own) */}}
{{- define "roost.scaling" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $own := index . 2 -}}
scaleTargetRef:
  apiVersion: apps/v1
  kind: Deployment
  name: {{ include "roost.name" $ }}-{{ $name }}
minReplicas: {{ include "roost.replicas" . }}
maxReplicas: {{ $own.autoscaling.max }}
behavior:
  # Whoever goes sends its listeners elsewhere: one at a time, and not for a short lull.
  scaleDown:
    stabilizationWindowSeconds: 600
    policies:
      - type: Pods
        value: 1
        periodSeconds: 120
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
