{{/* Names, labels and the checks that JSON schema cannot express. */}}

{{/* 46: a CronJob's name has room for 52, and ends in -drift. A release's name may have dots, a Service's none. */}}
{{- define "hodoscope.name" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if contains "hodoscope" $name -}}
{{ $name | trunc 46 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-hodoscope" $name | trunc 46 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* What selects pods; call with (list $ "serve"). Immutable once installed. */}}
{{- define "hodoscope.selector" -}}
app.kubernetes.io/name: hodoscope
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
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
{{- if .Values.uploads.enabled -}}
{{- $_ := required "tokenSecret.name is missing: uploads need a token that someone knows" .Values.tokenSecret.name -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas: raise the latter" -}}
{{- end -}}
{{- include "hodoscope.checkRoles" . -}}
{{- include "hodoscope.checkDrift" . -}}
{{- end }}

{{- define "hodoscope.checkRoles" -}}
{{- with .Values.identity -}}
{{- if eq .mode "irsa" -}}
{{- $_ := required "identity.serveRole is missing: set the role's ARN, or identity.mode to pod-identity" .serveRole -}}
{{- if $.Values.uploads.enabled -}}
{{- $_ := required "identity.pushRole is missing: uploads need a role of their own" .pushRole -}}
{{- end -}}
{{- if $.Values.drift.enabled -}}
{{- $_ := required "identity.driftRole is missing: the drift job needs a role of its own" .driftRole -}}
{{- end -}}
{{- $roles := list .serveRole -}}
{{- range $key, $role := pick . "pushRole" "driftRole" -}}
{{- if $role -}}
{{- if has $role $roles -}}
{{- fail (printf "identity.%s equals another role: each job has a role of its own, and whoever serves must not be able to create releases" $key) -}}
{{- end -}}
{{- $roles = append $roles $role -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "hodoscope.checkDrift" -}}
{{- if or .Values.capture.enabled .Values.drift.enabled -}}
{{- $_ := required "capture.location is missing: set it to s3://bucket or s3://bucket/prefix; hosts write what they capture there, and the drift job reads it" .Values.capture.location -}}
{{- end -}}
{{- if .Values.capture.enabled -}}
{{- $_ := required "capture.keySecret.name is missing: without a key of your own, callers can choose request ids that are always sampled, or never" .Values.capture.keySecret.name -}}
{{- end -}}
{{- if and .Values.drift.enabled (ne .Values.drift.action "report") -}}
{{- with .Values.forge -}}
{{- $_ := required "forge.repository is missing: set it to github:owner/repository, or drift.action to report" .repository -}}
{{- if eq (empty .tokenSecret.name) (empty .app.keySecret.name) -}}
{{- fail "forge wants one of tokenSecret.name and app.keySecret.name: the drift job proposes with a GitHub App's key (better) or with a token" -}}
{{- end -}}
{{- if .app.keySecret.name -}}
{{- $_ := required "forge.app.id is missing: the number of the GitHub App, as a text" .app.id -}}
{{- $_ := required "forge.app.installationId is missing: the number of the App's installation, as a text" .app.installationId -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
