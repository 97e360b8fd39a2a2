{{/* What the pods of both roles have alike: the restricted security profile, settings, scratch space. */}}

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
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "hodoscope.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The environment of a role; call with (list $ settings). */}}
{{- define "hodoscope.environment" -}}
{{- $root := index . 0 -}}
- {name: HODOSCOPE_HOME, value: /var/lib/hodoscope}
- {name: HODOSCOPE_STORE, value: {{ $root.Values.store | quote }}}
- {name: HODOSCOPE_S3_REGION, value: {{ $root.Values.region | quote }}}
- {name: HODOSCOPE_ADMIN_ADDRESS, value: "0.0.0.0:8081"}
- {name: HODOSCOPE_LOG_FORMAT, value: json}
# For the identity service, which knows nothing of our settings; without an identity, fail rather than use the node's.
- {name: AWS_REGION, value: {{ $root.Values.region | quote }}}
- {name: AWS_EC2_METADATA_DISABLED, value: "true"}
{{- if $root.Values.tokenSecret.name }}
- name: HODOSCOPE_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.tokenSecret.name }}, key: {{ $root.Values.tokenSecret.key }}}
{{- end }}
{{- range $key, $value := index . 1 }}
- name: HODOSCOPE_{{ upper $key }}
  value: {{ if kindIs "float64" $value }}{{ int64 $value | quote }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end }}
