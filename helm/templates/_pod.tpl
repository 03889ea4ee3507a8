{{/* The template of a pod. Call it with dict "root" $ "part" .Values.api "component" "api" "command" "serve". */}}
{{- define "relay.pod" -}}
{{- $common := .root.Values.common -}}
metadata:
  labels:
    {{- include "relay.labels" (set . "extra" (mergeOverwrite (dict) $common.podLabels .part.podLabels)) | nindent 4 }}
  annotations:
    # Pods are replaced when the settings and secrets of the chart change.
    checksum/settings: {{ include "relay.settings" .root | sha256sum }}
    checksum/secret: {{ toJson (list .root.Values.secret .root.Values.valkey.password) | sha256sum }}
    {{- with mergeOverwrite (dict) $common.podAnnotations .part.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "relay.serviceAccount" .root }}
  automountServiceAccountToken: false
  # For a Service named relay, Kubernetes would set RELAY_PORT and others, which are not settings of the relay.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include (printf "relay.%s.gracePeriod" .component) .root }}
  {{- with .part.priorityClassName | default $common.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $common.podSecurityContext | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with concat $common.topologySpreadConstraints .part.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ if not .labelSelector }}labelSelector:
        matchLabels:
          {{- include "relay.selector" $ | nindent 10 }}
      {{ end }}
      {{- toYaml . | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with mergeOverwrite (dict) $common.nodeSelector .part.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with concat $common.tolerations .part.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .part.affinity | default $common.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $common.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $common.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with $common.dnsPolicy }}
  dnsPolicy: {{ . | quote }}
  {{- end }}
  {{- with $common.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .part.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      {{- include "relay.container" . | nindent 6 }}
    {{- with .part.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- with include "relay.ca.volume" (dict "name" "egress-ca" "ca" .root.Values.egressCa) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "relay.ca.volume" (dict "name" "redis-ca" "ca" .root.Values.redisCa) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if and (eq .component "worker") .root.Values.checkpoint.existingClaim }}
    - name: checkpoint
      persistentVolumeClaim:
        claimName: {{ .root.Values.checkpoint.existingClaim }}
    {{- end }}
    {{- with concat $common.extraVolumes .part.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "relay.container" -}}
{{- $common := .root.Values.common -}}
{{- $v := .root.Values -}}
image: {{ include "relay.image" (dict "image" $v.image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args: [{{ .command }}]
securityContext:
  {{- toYaml $common.containerSecurityContext | nindent 2 }}
ports:
  - name: http
    containerPort: {{ .part.port }}
  {{- if $v.metrics.enabled }}
  - name: metrics
    containerPort: {{ $v.metrics.port }}
  {{- end }}
envFrom:
  - configMapRef:
      name: {{ include "relay.fullname" .root }}
  - secretRef:
      name: {{ include "relay.secret" .root }}
  {{- if and (eq .component "worker") $v.checkpoint.existingSecret }}
  - secretRef:
      name: {{ $v.checkpoint.existingSecret }}
  {{- end }}
  {{- if and $v.tracing.enabled $v.tracing.existingSecret }}
  - secretRef:
      name: {{ $v.tracing.existingSecret }}
  {{- end }}
  {{- with concat $common.extraEnvFrom .part.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $env := concat $common.extraEnv .part.extraEnv }}
{{- if or $v.valkey.enabled $env }}
env:
  {{- if $v.valkey.enabled }}
  - name: VALKEY_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ include "relay.valkey.secret" .root }}
        key: {{ $v.valkey.existingSecretKey }}
  - name: RELAY_REDIS_URL
    value: redis://relay:$(VALKEY_PASSWORD)@{{ include "relay.valkey.fullname" .root }}:6379/0
  {{- end }}
  {{- with $env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .part.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.startupProbe }}
startupProbe:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.livenessProbe }}
livenessProbe:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.readinessProbe }}
readinessProbe:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and (eq .component "api") .part.preStopSeconds }}
lifecycle:
  preStop:
    # Proxies take a moment to learn that a pod is leaving. Until then, it serves on.
    {{- if semverCompare ">=1.30-0" .root.Capabilities.KubeVersion.Version }}
    sleep: {seconds: {{ .part.preStopSeconds }}}
    {{- else }}
    exec: {command: [python, -c, "import time; time.sleep({{ .part.preStopSeconds }})"]}
    {{- end }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with include "relay.ca.mount" (dict "name" "egress-ca" "ca" $v.egressCa) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "relay.ca.mount" (dict "name" "redis-ca" "ca" $v.redisCa) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if and (eq .component "worker") $v.checkpoint.existingClaim }}
  - name: checkpoint
    mountPath: /var/lib/relay
  {{- end }}
  {{- with concat $common.extraVolumeMounts .part.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "relay.ca.volume" -}}
{{- if .ca.existingConfigMap -}}
- name: {{ .name }}
  configMap:
    name: {{ .ca.existingConfigMap }}
    items: [{key: {{ .ca.key }}, path: ca.crt}]
{{- else if .ca.existingSecret -}}
- name: {{ .name }}
  secret:
    secretName: {{ .ca.existingSecret }}
    items: [{key: {{ .ca.key }}, path: ca.crt}]
{{- end -}}
{{- end -}}

{{- define "relay.ca.mount" -}}
{{- if or .ca.existingConfigMap .ca.existingSecret -}}
- name: {{ .name }}
  mountPath: /etc/relay/{{ .name }}
  readOnly: true
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap: what the chart decides, then the settings. */}}
{{- define "relay.settings" -}}
RELAY_PORT: {{ .Values.api.port | quote }}
RELAY_WORKER_PORT: {{ .Values.worker.port | quote }}
{{- if .Values.metrics.enabled }}
RELAY_METRICS_PORT: {{ .Values.metrics.port | quote }}
{{- end }}
{{- if .Values.checkpoint.existingClaim }}
RELAY_CHECKPOINT_URL: file:///var/lib/relay/checkpoint
{{- end }}
{{- if or .Values.egressCa.existingConfigMap .Values.egressCa.existingSecret }}
RELAY_EGRESS_CA_FILE: /etc/relay/egress-ca/ca.crt
{{- end }}
{{- if .Values.tracing.enabled }}
{{ include "relay.tracing" .Values.tracing }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* What OpenTelemetry's SDK reads. Call it with .Values.tracing. */}}
{{- define "relay.tracing" -}}
{{- $own := dict "RELAY_TRACING" "otlp" -}}
{{- with .endpoint }}{{ $_ := set $own "OTEL_EXPORTER_OTLP_ENDPOINT" . }}{{ end -}}
{{- if ne (.sampleRatio | float64) 1.0 -}}
{{- $_ := set $own "OTEL_TRACES_SAMPLER" "traceidratio" -}}
{{- $_ := set $own "OTEL_TRACES_SAMPLER_ARG" (.sampleRatio | toString) -}}
{{- end -}}
{{- $attributes := list -}}
{{- range $name, $value := .resourceAttributes }}{{ $attributes = append $attributes (printf "%s=%s" $name ($value | urlquery | replace "+" "%20")) }}{{ end -}}
{{- with $attributes }}{{ $_ := set $own "OTEL_RESOURCE_ATTRIBUTES" (join "," .) }}{{ end -}}
{{- toYaml (mergeOverwrite $own .env) -}}
{{- end -}}

{{/* The annotations of a Deployment or StatefulSet. */}}
{{- define "relay.deploymentAnnotations" -}}
{{- $reload := ternary (dict "reloader.stakater.com/auto" "true") (dict) .root.Values.reloader.enabled -}}
{{- with mergeOverwrite $reload .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
