{{/* What `roostctl provision` is to make: it makes nothing twice. */}}
{{- define "roost.plan" -}}
{{- $prefix := include "roost.name" . -}}
{{- $facts := include "roost.services" . | fromYaml -}}
{{- $keys := list -}}{{- $credentials := list -}}{{- $certificates := list -}}{{- $purposes := list -}}
{{- range $name, $_ := include "roost.own" $ | fromYaml -}}
  {{- $fact := index $facts $name -}}
  {{- $purposes = concat $purposes $fact.keys -}}
  {{- $certificates = append $certificates $name -}}
  {{- if $.Values.postgresql.bundled -}}
    {{- $url := printf "postgres://%s:{password}@%s-postgresql:5432/%s" $name $prefix $name -}}
    {{- $credentials = append $credentials (dict "secret" (printf "%s-database-%s" $prefix $name) "fields" (dict "user" $name "url" $url)) -}}
  {{- end -}}
  {{- if and $fact.nats $.Values.nats.bundled -}}
    {{- $credentials = append $credentials (dict "secret" (printf "%s-nats-%s" $prefix $name) "fields" (dict "user" $name)) -}}
  {{- end -}}
{{- end -}}
{{- range uniq $purposes }}{{ $keys = append $keys (dict "secret" (printf "%s-key-%s" $prefix .) "purpose" .) }}{{ end -}}
{{- if .Values.postgresql.bundled -}}
  {{- $credentials = append $credentials (dict "secret" (printf "%s-postgresql" $prefix) "fields" (dict "user" "postgres")) -}}
{{- end -}}
{{- if .Values.redis.bundled -}}
  {{- $url := printf "redis://:{password}@%s-redis:6379" $prefix -}}
  {{- $credentials = append $credentials (dict "secret" (printf "%s-redis" $prefix) "fields" (dict "url" $url)) -}}
{{- end -}}
{{- $labels := dict "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/part-of" "roost" -}}
{{- $plan := dict "domain" .Values.domain "labels" $labels "keys" $keys "credentials" $credentials -}}
{{- if eq .Values.certificates.from "roost" -}}
  {{- $all := list -}}
  {{- range concat $certificates (include "roost.identities" . | fromYamlArray) }}{{ $all = append $all (dict "secret" (printf "%s-tls-%s" $prefix .) "peer" .) }}{{ end -}}
  {{- $internal := dict "authority" (printf "%s-authority" $prefix) "days" (int .Values.certificates.days) "certificates" $all -}}
  {{- $_ := set $plan "internal" $internal -}}
{{- end -}}
{{- if eq .Values.edge.door.from "selfSigned" -}}
  {{- $names := .Values.edge.door.names | default (list .Values.domain) -}}
  {{- $_ := set $plan "door" (dict "secret" (printf "%s-door" $prefix) "names" $names "days" 365) -}}
{{- end -}}
{{- if and .Values.federation.enabled (eq .Values.federation.edge.door.from "selfSigned") -}}
  {{- $_ := set $plan "federationDoor" (dict "secret" (include "roost.federationDoor" .) "names" (list .Values.domain) "days" 365) -}}
{{- end -}}
{{ toJson $plan }}
{{- end }}

{{/* Who has a certificate besides the services. */}}
{{- define "roost.identities" -}}
{{- $all := list "edge" "gate" "operator" -}}
{{- if .Values.federation.enabled }}{{ $all = append $all "peer" }}{{ end -}}
{{ toYaml $all }}
{{- end }}

{{/* The names of all Secrets of the plan: its account may read no others. */}}
{{- define "roost.planned" -}}
{{- $plan := include "roost.plan" . | fromJson -}}
{{- $certificates := list -}}
{{- $kept := list -}}
{{- range concat $plan.keys $plan.credentials }}{{ $kept = append $kept .secret }}{{ end -}}
{{- with $plan.internal -}}
{{- $kept = append $kept .authority -}}
{{- range .certificates }}{{ $certificates = append $certificates .secret }}{{ end -}}
{{- end -}}
{{- with $plan.door }}{{ $certificates = append $certificates .secret }}{{ end -}}
{{- with $plan.federationDoor }}{{ $certificates = append $certificates .secret }}{{ end -}}
{{ dict "kept" $kept "certificates" $certificates | toJson }}
{{- end }}

{{/* The pod that carries the plan out. (list $ account) */}}
{{- define "roost.provisioner" -}}
{{- $ := index . 0 -}}
metadata:
  {{- include "roost.podMetadata" (list $ "provision") | nindent 2 }}
spec:
  {{- include "roost.podSpec" (list $ "provision") | nindent 2 }}
  serviceAccountName: {{ index . 1 }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: OnFailure
  containers:
    - name: provision
      image: {{ include "roost.image" $ }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: [--disable-warning=ExperimentalWarning, /app/ctl/main.js, provision, --plan, /plan/plan.json]
      env:
        - name: NODE_EXTRA_CA_CERTS
          value: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
      securityContext:
        {{- include "roost.containerSecurity" $ | nindent 8 }}
      resources:
        requests:
          cpu: 50m
          memory: 96Mi
        limits:
          memory: 256Mi
      volumeMounts:
        - name: plan
          mountPath: /plan
          readOnly: true
        # In memory: keys pass through it.
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: plan
      configMap:
        name: {{ index . 1 }}
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 4Mi
{{- end }}

{{- define "roost.provisionRules" -}}
{{- $planned := include "roost.planned" . | fromJson -}}
# A name cannot be asked of what is made; what is there, under other names, can be neither read nor changed.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- concat $planned.kept $planned.certificates | toYaml | nindent 4 }}
  verbs: [get]
{{- with $planned.certificates }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- toYaml . | nindent 4 }}
  verbs: [update]
{{- end }}
{{- end }}

{{/* Account, rights and plan. (list $ name annotations) */}}
{{- define "roost.provisionAccount" -}}
{{- $ := index . 0 -}}{{- $name := index . 1 -}}{{- $annotations := index . 2 -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels:
    {{- include "roost.labels" (list $ "provision") | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  labels:
    {{- include "roost.labels" (list $ "provision") | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
rules:
  {{- include "roost.provisionRules" $ | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "roost.labels" (list $ "provision") | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  labels:
    {{- include "roost.labels" (list $ "provision") | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  plan.json: |
    {{- include "roost.plan" $ | nindent 4 }}
{{- end }}
