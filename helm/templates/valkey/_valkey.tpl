{{- define "relay.valkey.conf" -}}
port 6379
protected-mode no
dir /data
# Nothing may be evicted, and every change is on the volume within a second.
maxmemory {{ .Values.valkey.maxmemory }}
maxmemory-policy noeviction
appendonly yes
appendfsync {{ .Values.valkey.appendfsync }}
save ""
tcp-keepalive 60
{{- with .Values.valkey.extraConfig }}
{{ . }}
{{- end }}
{{- end -}}

{{/* The rules of the relay's user: those of docs/configuration.md, and that it may read how the server is configured. */}}
{{- define "relay.valkey.rules" -}}
~relay:* ~arq:* &relay:* +@all -@admin -@dangerous +info +config|get
{{- end -}}
