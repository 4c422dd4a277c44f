{{/*
The conditions under which the API server asks about a Workflow at all. Argo has no status subresource: its controller
writes the whole object again and again, a megabyte at times, and none of that may come here.

An expression that fails counts as a failed webhook, so every field that may be absent is an optional.
*/}}
{{- define "lockkeeper.workflowConditions" -}}
# What lets go of a Workflow has decided about it already, and must not depend on the webhook being up.
- name: not-our-controller
  expression: >-
    request.userInfo.username != 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "lockkeeper.fullname" . }}-controller'
# Of updates, those that may change what counts: the spec, but a shutdown is never held up; a Workflow that was
# finished and is to run again; our marks; and the templates that Argo runs from the status.
- name: new-or-changed
  expression: >-
    request.operation != 'UPDATE' ||
    [object, oldObject].exists(one, one.?spec.orValue({}).exists(key,
    key != 'shutdown' && object.?spec[?key] != oldObject.?spec[?key])) ||
    (oldObject.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') == 'true' &&
    object.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') != 'true') ||
    ['workflows.argoproj.io/controller-instanceid', 'lockkeeper.dev/reservation'].exists(key,
    object.metadata.?labels[?key] != oldObject.metadata.?labels[?key]) ||
    ['lockkeeper.dev/original-instanceid', 'lockkeeper.dev/holds', 'lockkeeper.dev/tasks',
    'lockkeeper.dev/priority', 'lockkeeper.dev/user'].exists(key,
    object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key]) ||
    ['storedWorkflowTemplateSpec', 'storedTemplates'].exists(key,
    object.?status[?key] != oldObject.?status[?key])
{{- end -}}

{{/* Whose Workflows are governed. Who is not to be asked about their own start is left out by name, not by label. */}}
{{- define "lockkeeper.governedNamespaces" -}}
{{- $given := .Values.registration.namespaceSelector -}}
{{- $left := concat (list "kube-system" .Release.Namespace) .Values.registration.excludedNamespaces | uniq -}}
{{- with $given.matchLabels -}}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{ end -}}
matchExpressions:
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
    {{- toYaml $left | nindent 4 }}
{{- with $given.matchExpressions }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Where the API server finds a path of ours. Every field that it would fill in is given, so that tools which compare see
no difference; caBundle is filled in by others, and never given unless somebody wants to keep it himself.
*/}}
{{- define "lockkeeper.client" -}}
service:
  name: {{ include "lockkeeper.fullname" .root }}-webhook
  namespace: {{ .root.Release.Namespace | quote }}
  path: {{ .path }}
  port: 443
{{- if eq .root.Values.certificates.mode "secret" }}
{{- with .root.Values.certificates.secret.caBundle }}
caBundle: {{ b64enc . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One webhook about Workflows. Takes (dict "root" $ "name" ... "path" ... "settings" .Values.registration.mutating). */}}
{{- define "lockkeeper.workflowWebhook" -}}
name: {{ .name }}
admissionReviewVersions: [v1]
clientConfig:
  {{- include "lockkeeper.client" . | nindent 2 }}
failurePolicy: {{ .settings.failurePolicy }}
timeoutSeconds: {{ .settings.timeoutSeconds }}
matchPolicy: {{ .root.Values.registration.matchPolicy }}
# A reservation is one; a dry run makes none.
sideEffects: NoneOnDryRun
namespaceSelector:
  {{- include "lockkeeper.governedNamespaces" .root | nindent 2 }}
objectSelector: {{ .root.Values.registration.objectSelector | toJson }}
rules:
- apiGroups: [argoproj.io]
  apiVersions: [v1alpha1]
  resources: [workflows]
  operations: [CREATE, UPDATE]
  scope: Namespaced
matchConditions:
{{ include "lockkeeper.workflowConditions" .root }}
{{- end -}}

{{- define "lockkeeper.registrationMetadata" -}}
name: {{ include "lockkeeper.fullname" . | quote }}
labels:
  {{- include "lockkeeper.labels" (dict "root" . "component" "webhook") | nindent 2 }}
{{- $annotations := deepCopy .Values.registration.annotations }}
{{- if eq .Values.certificates.mode "certManager" }}
{{- $certificate := printf "%s/%s-webhook" .Release.Namespace (include "lockkeeper.fullname" .) }}
{{- $annotations = set $annotations "cert-manager.io/inject-ca-from" $certificate }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
