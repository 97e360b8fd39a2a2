{{/* What the pods of all roles have alike: the restricted security profile, settings, where they are put. */}}

{{- define "hodoscope.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 45
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "hodoscope.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The environment of every role; call with (list $ settings). */}}
{{- define "hodoscope.environment" -}}
{{- $root := index . 0 -}}
- {name: HODOSCOPE_HOME, value: /var/lib/hodoscope}
- {name: HODOSCOPE_STORE, value: {{ $root.Values.store | quote }}}
- {name: HODOSCOPE_S3_REGION, value: {{ $root.Values.region | quote }}}
- {name: HODOSCOPE_LOG_FORMAT, value: json}
# For the identity service, which knows nothing of our settings; without an identity, fail rather than use the node's.
- {name: AWS_REGION, value: {{ $root.Values.region | quote }}}
- {name: AWS_EC2_METADATA_DISABLED, value: "true"}
{{- range $key, $value := index . 1 }}
- name: HODOSCOPE_{{ upper $key }}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* What the roles that listen know beside it. */}}
{{- define "hodoscope.listening" -}}
- {name: HODOSCOPE_ADMIN_ADDRESS, value: "0.0.0.0:8081"}
{{- with .Values.tokenSecret }}
{{- if .name }}
- name: HODOSCOPE_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .name | quote }}, key: {{ .key | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What the roles that follow a channel know; the folder is the ConfigMap's mount. */}}
{{- define "hodoscope.following" -}}
- {name: HODOSCOPE_CHANNEL, value: {{ .Values.name | quote }}}
- {name: HODOSCOPE_CHANNEL_DIR, value: /etc/hodoscope/channel}
{{- end }}

{{/* Where captured traffic and the drift job's verdicts lie, and how its windows are cut. */}}
{{- define "hodoscope.captured" -}}
{{- with .Values.capture }}
{{- if .location }}
- {name: HODOSCOPE_CAPTURE_LOCATION, value: {{ .location | quote }}}
- {name: HODOSCOPE_CAPTURE_WINDOW_SECONDS, value: {{ int64 .windowSeconds | quote }}}
- {name: HODOSCOPE_CAPTURE_PART_SECONDS, value: {{ int64 .partSeconds | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a role's pods go; call with the role's values. */}}
{{- define "hodoscope.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Jobs: an eviction is no failure; a second pod starts only when the first is gone; bad settings are not tried again. */}}
{{- define "hodoscope.failures" -}}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    - action: FailJob
      onExitCodes: {containerName: hodoscope, operator: In, values: [64]}
{{- end }}

{{/* Where changes of the channel are proposed, and with whose key. */}}
{{- define "hodoscope.forge" -}}
{{- with .Values.forge }}
{{- if .repository }}
- {name: HODOSCOPE_FORGE, value: {{ .repository | quote }}}
- {name: HODOSCOPE_FORGE_BASE, value: {{ .base | quote }}}
- {name: HODOSCOPE_FORGE_WORKFLOW, value: {{ .workflow | quote }}}
- {name: HODOSCOPE_GITHUB_URL, value: {{ .url | quote }}}
{{- if .tokenSecret.name }}
- name: HODOSCOPE_GITHUB_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .tokenSecret.name | quote }}, key: {{ .tokenSecret.key | quote }}}
{{- end }}
{{- if .app.keySecret.name }}
- {name: HODOSCOPE_GITHUB_APP_ID, value: {{ .app.id | quote }}}
- {name: HODOSCOPE_GITHUB_APP_INSTALLATION_ID, value: {{ .app.installationId | quote }}}
- {name: HODOSCOPE_GITHUB_APP_KEY_FILE, value: /etc/hodoscope/forge/key.pem}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
