{{/* The name of the operator's objects: the release's, with the chart's unless it has that already. */}}
{{- define "claude-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "claude-operator.serviceAccountName" -}}
{{- default (ternary (include "claude-operator.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The image of every part; the operator is told it, and runs gateways and eval Jobs with it. */}}
{{- define "claude-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What tells one component's pods. Call with (dict "root" $ "component" "operator"). */}}
{{- define "claude-operator.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "claude-operator.labels" -}}
{{ include "claude-operator.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "claude-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "claude-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The operator's pods, as a NetworkPolicyPeer. Call as the selector. */}}
{{- define "claude-operator.peer" -}}
namespaceSelector:
  matchLabels: {kubernetes.io/metadata.name: {{ .root.Release.Namespace }}}
podSelector:
  matchLabels: {{- include "claude-operator.selector" . | nindent 4 }}
{{- end -}}

{{/*
What every pod of ours may call: the same as in operator/claude_operator/core/render/network.py, which says why.
Everything, except METADATA of operator/claude_operator/core/spec/networks.py; a test compares them.
*/}}
{{- define "claude-operator.egress" -}}
- ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
- to:
  - ipBlock:
      cidr: 0.0.0.0/0
      except: [169.254.0.0/16, 100.100.100.200/32, 168.63.129.16/32, 192.0.0.192/32]
  - ipBlock:
      cidr: "::/0"
      except: ["fe80::/10", "fd00:42::42/128", "fd00:ec2::/32", "fd00:c1::a9fe:a9fe/128", "fd20:ce::254/128"]
  - namespaceSelector: {}
{{- with .Values.security.allowedAddresses }}
- to:
  {{- range . }}
  - ipBlock: {cidr: {{ . | quote }}}
  {{- end }}
{{- end }}
{{- end -}}
