{{/* Names, labels and the checks that JSON schema cannot express. */}}

{{- define "hodoscope.name" -}}
{{- if contains "hodoscope" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-hodoscope" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* What selects pods; call with (list $ "serve"). Immutable once installed. */}}
{{- define "hodoscope.selector" -}}
app.kubernetes.io/name: hodoscope
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "hodoscope.labels" -}}
{{ include "hodoscope.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/part-of: hodoscope
{{- end }}

{{/* Fails where values contradict each other, each message with its fix. */}}
{{- define "hodoscope.check" -}}
{{- $name := required "name is missing: add -f registry/channels/<env>/_channel.yaml, or set `name` to the channel" .Values.name -}}
{{- if and .Values.channel (ne .Values.channel $name) -}}
{{- fail (printf "channel %q is expected, but the channel files are those of %q: merge registry/channels/%s" .Values.channel $name .Values.channel) -}}
{{- end -}}
{{- $_ := required "image is missing: set `image` to repository@sha256:<digest>" .Values.image -}}
{{- $_ := required "store is missing: set `store` to s3://bucket or s3://bucket/prefix" .Values.store -}}
{{- $_ := required "region is missing: set `region` to the store's region" .Values.region -}}
{{- if not (kindIs "map" .Values.detectors) -}}
{{- fail "detectors is null: a channel file with an empty `detectors:` would unpin everything; write the pins, or delete that file" -}}
{{- end -}}
{{- range $detector, $wanted := .Values.detectors -}}
{{- if not (kindIs "map" $wanted) -}}
{{- fail (printf "detectors.%s is null: retire a detector by `retired: true`" $detector) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.identity.mode "irsa" -}}
{{- $_ := required "identity.serveRole is missing: set the role's ARN, or identity.mode to pod-identity" .Values.identity.serveRole -}}
{{- if .Values.uploads.enabled -}}
{{- $_ := required "identity.pushRole is missing: uploads need a role of their own" .Values.identity.pushRole -}}
{{- if eq .Values.identity.pushRole .Values.identity.serveRole -}}
{{- fail "identity.pushRole equals identity.serveRole: whoever serves must not be able to create releases" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.uploads.enabled -}}
{{- $_ := required "tokenSecret.name is missing: uploads need a token that someone knows" .Values.tokenSecret.name -}}
{{- end -}}
{{- end }}
