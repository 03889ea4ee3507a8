{{- define "relay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of all names. 50 characters leave room for the longest suffix. */}}
{{- define "relay.fullname" -}}
{{- $name := include "relay.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which Services, policies and budgets find pods. They must not change with an upgrade. */}}
{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ include "relay.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object. Call it with dict "root" $ "component" "api", and optionally "extra" for labels from values. */}}
{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with mergeOverwrite (dict) .root.Values.commonLabels (.extra | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "relay.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "relay.secret" -}}
{{- .Values.existingSecret | default (include "relay.fullname" .) -}}
{{- end -}}

{{/* Call it with dict "image" .Values.image "tag" "the default tag". */}}
{{- define "relay.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{- define "relay.valkey.fullname" -}}
{{- include "relay.fullname" . }}-valkey
{{- end -}}

{{- define "relay.valkey.secret" -}}
{{- .Values.valkey.existingSecret | default (include "relay.valkey.fullname" .) -}}
{{- end -}}

{{/* RELAY_ATTEMPT_TIMEOUT_SECONDS, rounded up; the default is that of relay/config. */}}
{{- define "relay.attemptTimeout" -}}
{{- .Values.settings.RELAY_ATTEMPT_TIMEOUT_SECONDS | default "20" | float64 | ceil | int -}}
{{- end -}}

{{/* How long a pod of the API serves on: until SIGTERM, and then for RELAY_SHUTDOWN_DELAY_SECONDS, rounded up. */}}
{{- define "relay.api.servesOn" -}}
{{- add .Values.api.preStopSeconds (.Values.settings.RELAY_SHUTDOWN_DELAY_SECONDS | default "0" | float64 | ceil | int) -}}
{{- end -}}

{{- define "relay.api.gracePeriod" -}}
{{- .Values.api.terminationGracePeriodSeconds | default (add (include "relay.api.servesOn" .) 25) -}}
{{- end -}}

{{- define "relay.worker.gracePeriod" -}}
{{- .Values.worker.terminationGracePeriodSeconds | default (add (include "relay.attemptTimeout" .) 25) -}}
{{- end -}}

{{/* The smallest number of pods of a component: call it with .Values.api or .Values.worker. */}}
{{- define "relay.fewestPods" -}}
{{- ternary .autoscaling.minReplicas .replicas .autoscaling.enabled | int -}}
{{- end -}}
