{{/*
The conditions under which the API server asks about a Workflow, a template or a cron at all. Argo has no status
subresource: its controller writes the whole object again and again, a megabyte at times, and none of that may come here.

An expression that fails counts as a failed webhook, so every field that may be absent is an optional.
*/}}
{{- define "lockkeeper.workflowConditions" -}}
# What lets go of a Workflow has decided about it already, and must not depend on the webhook being up.
- name: not-our-controller
  expression: >-
    request.userInfo.username != 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "lockkeeper.fullname" . }}-controller'
# Of updates, those that may change what counts: labels but those of Argo's that change while a Workflow runs, our marks,
# a Workflow that was over and is to run again, or is said to be over and is not. Of others than Argo's controller, the
# spec and the status as well; but what stops or pauses a Workflow is never held up, unless Argo could not decode it.
- name: new-or-changed
  # The API server works out every condition, so the first one is said again here: what lets go costs it nothing.
  expression: >-
    request.operation != 'UPDATE' ||
    request.userInfo.username == 'system:serviceaccount:{{ .Release.Namespace }}:{{ include "lockkeeper.fullname" . }}-controller' ||
    (object.metadata.?labels != oldObject.metadata.?labels &&
    [object, oldObject].exists(one, one.metadata.?labels.orValue({}).exists(key,
    !(key in ['workflows.argoproj.io/phase', 'workflows.argoproj.io/completed', 'workflows.argoproj.io/action',
    'workflows.argoproj.io/workflow-archiving-status', 'workflows.argoproj.io/actor',
    'workflows.argoproj.io/actor-email', 'workflows.argoproj.io/actor-preferred-username']) &&
    object.metadata.?labels[?key] != oldObject.metadata.?labels[?key]))) ||
    (object.metadata.?annotations != oldObject.metadata.?annotations &&
    [object, oldObject].exists(one, one.metadata.?annotations.orValue({}).exists(key,
    key.startsWith('lockkeeper.dev/') &&
    object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key]))) ||
    (oldObject.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') == 'true' &&
    object.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') != 'true') ||
    (oldObject.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') != 'true' &&
    object.metadata.?labels[?'workflows.argoproj.io/completed'].orValue('') == 'true' &&
    !(object.?status.?phase.orValue('') in ['Succeeded', 'Failed', 'Error'])) ||
    (!(request.userInfo.username in {{ include "lockkeeper.users" .Values.argo.controllerServiceAccount }}) &&
    (object.?status != oldObject.?status ||
    [object, oldObject].exists(one, one.?spec.orValue({}).exists(key,
    !(key == 'shutdown' && type(object.?spec[?key].orValue('')) == string) &&
    !(key == 'suspend' && type(object.?spec[?key].orValue(false)) == bool) &&
    object.?spec[?key] != oldObject.?spec[?key]))))
{{- end -}}

{{/* Kubernetes' names of users, as a list of CEL: NAMESPACE:NAME is a ServiceAccount. */}}
{{- define "lockkeeper.users" -}}
{{- $names := list -}}
{{- range . -}}
{{- $names = append $names (printf "'%s%s'" (eq (len (splitList ":" .)) 2 | ternary "system:serviceaccount:" "") .) -}}
{{- end -}}
[{{ join ", " $names }}]
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
Whether helm leaves the paths to the controller, which gives them a secret part: "true", or nothing. Takes (dict "root"
$ "kind" "MutatingWebhookConfiguration").

Of a path that helm wrote once, helm 3 takes every change back at each upgrade, and removes it where the chart does not
write it any more; helm 4 leaves a path alone that somebody else has changed. So it is left out where helm never wrote
it, which an annotation tells, and where helm 4 finds it changed. Whoever renders without a cluster gets plain paths:
what is taken back by them, the controller puts right, and the webhook answers both meanwhile (docs/adr/0018).
*/}}
{{- define "lockkeeper.leavesPath" -}}
{{- if and .root.Values.registration.callerToken (lookup "v1" "Namespace" "" "kube-system") -}}
{{- $found := lookup "admissionregistration.k8s.io/v1" .kind "" (include "lockkeeper.fullname" .root) -}}
{{- if not $found -}}
true
{{- else if hasKey ($found.metadata.annotations | default dict) "lockkeeper.dev/paths" -}}
true
{{- else if semverCompare ">=4.0.0-0" .root.Capabilities.HelmVersion.Version -}}
{{- $path := dig "clientConfig" "service" "path" "" ($found.webhooks | default list | first | default dict) -}}
{{- if and $path (not (has $path (list "/mutate" "/validate" "/policies"))) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Where the API server finds a path of ours. Every field that it would fill in is given, so that tools which compare see
no difference; caBundle is filled in by others, and never given unless somebody wants to keep it himself.
*/}}
{{- define "lockkeeper.client" -}}
service:
  name: {{ include "lockkeeper.fullname" .root }}-webhook
  namespace: {{ .root.Release.Namespace | quote }}
  {{- if not (include "lockkeeper.leavesPath" .) }}
  path: {{ .path }}
  {{- end }}
  port: 443
{{- if eq .root.Values.certificates.mode "secret" }}
{{- with .root.Values.certificates.secret.caBundle }}
caBundle: {{ b64enc . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One webhook about Workflows. Takes (dict "root" $ "kind" ... "name" ... "path" ... "settings" .Values.registration.mutating). */}}
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
  # Argo's kind has no subresource; one that somebody gave it is no way around.
  resources: [workflows, workflows/status, workflowtemplates, cronworkflows]
  operations: [CREATE, UPDATE]
  scope: Namespaced
- apiGroups: [argoproj.io]
  apiVersions: [v1alpha1]
  resources: [clusterworkflowtemplates]
  operations: [CREATE, UPDATE]
  scope: Cluster
matchConditions:
{{ include "lockkeeper.workflowConditions" .root }}
{{- end -}}

{{/* Takes (dict "root" $ "kind" "MutatingWebhookConfiguration"). */}}
{{- define "lockkeeper.registrationMetadata" -}}
name: {{ include "lockkeeper.fullname" .root | quote }}
labels:
  {{- include "lockkeeper.labels" (dict "root" .root "component" "webhook") | nindent 2 }}
{{- $annotations := deepCopy .root.Values.registration.annotations }}
{{- if eq .root.Values.certificates.mode "certManager" }}
{{- $certificate := printf "%s/%s-webhook" .root.Release.Namespace (include "lockkeeper.fullname" .root) }}
{{- $annotations = set $annotations "cert-manager.io/inject-ca-from" $certificate }}
{{- end }}
{{- if include "lockkeeper.leavesPath" . }}
{{- $annotations = set $annotations "lockkeeper.dev/paths" "controller" }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
