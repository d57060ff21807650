{{- define "roost.policyHead" -}}
{{- $ := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "roost.name" $ }}-{{ index . 1 }}
  labels:
    {{- include "roost.labels" . | nindent 4 }}
{{- end }}

{{/*
Who a pod is to the network. Policies go by this label alone, so that a test may stand where a service stands without
being counted as one of its replicas. (list $ "qs")
*/}}
{{- define "roost.networkSelector" -}}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
roost-network: {{ index . 1 }}
{{- end }}

{{/* Pods of ours, by component. (list $ (list "edge" "aas")) */}}
{{- define "roost.pods" -}}
{{- $ := index . 0 -}}
{{- range index . 1 }}
- podSelector:
    matchLabels:
      {{- include "roost.networkSelector" (list $ .) | nindent 6 }}
{{- end }}
{{- end }}

{{- define "roost.dns" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
{{- end }}

{{/* Who reads metrics. Probes come from the node, which no policy keeps out. */}}
{{- define "roost.monitored" -}}
- ports:
    - port: health
  from:
    {{- .Values.networkPolicy.monitoring | default (list (dict "namespaceSelector" dict)) | toYaml | nindent 4 }}
{{- end }}

{{/* A server that services stand on. (list $ "postgresql" values port) */}}
{{- define "roost.ground" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $own := index . 2 -}}
- ports:
    - port: {{ ternary (index . 3) $own.port $own.bundled }}
  {{- if $own.bundled }}
  to:
    {{- include "roost.pods" (list $ (list $name)) | nindent 4 }}
  {{- else if $own.peers }}
  to:
    {{- toYaml $own.peers | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The public internet; private addresses only where the operator says so. (list $ "qs" facts) */}}
{{- define "roost.internet" -}}
{{- $ := index . 0 -}}{{- $isPeers := (index . 2).onlyFederated -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        {{- if or $isPeers (not $.Values.pushToPrivateAddresses) }}
        except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, 100.64.0.0/10]
        {{- end }}
    - ipBlock:
        cidr: ::/0
        {{- if or $isPeers (not $.Values.pushToPrivateAddresses) }}
        except: ["fc00::/7", "fe80::/10"]
        {{- end }}
    {{- if $isPeers }}
    {{- range $.Values.federation.allowedNetworks }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
    {{- end }}
  {{- with (index . 2).internet }}
  ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}

{{- define "roost.collector" -}}
{{- with .Values.tracing.endpoint }}
{{- $port := urlParse . | dig "host" "" | splitList ":" | last | int }}
- ports:
    - port: {{ $port | default 4318 }}
{{- end }}
{{- end }}
