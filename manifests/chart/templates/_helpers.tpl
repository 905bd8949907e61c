{{- define "canary.selector" -}}
app.kubernetes.io/name: canary
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "canary.labels" -}}
{{ include "canary.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "canary.serviceAccount" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- define "canary.subjects" -}}
- {kind: ServiceAccount, name: {{ include "canary.serviceAccount" . }}, namespace: {{ .Release.Namespace }}}
{{- end }}

{{- define "canary.holds" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if or (eq .Values.holdPolicy "always") (and (eq .Values.holdPolicy "auto") $served) }}yes{{ end }}
{{- end }}

{{- define "canary.rules" -}}
- {apiGroups: [canary-controller.dev], resources: [canaryreleases], verbs: [get, list, watch, patch]}
- {apiGroups: [canary-controller.dev], resources: [canaryreleases/status], verbs: [update]}
# Owner references that block deletion (canary objects, Jobs) need this one.
- {apiGroups: [canary-controller.dev], resources: [canaryreleases/finalizers], verbs: [update]}
- {apiGroups: [apps], resources: [deployments], verbs: [list, watch, create, patch, delete]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list, watch]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [""], resources: [services], verbs: [list, watch, create, delete, patch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [list, watch, patch]}
- {apiGroups: [batch], resources: [cronjobs], verbs: [get]}
- {apiGroups: [batch], resources: [jobs], verbs: [list, watch, create, delete]}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes]
  verbs: [get, list, watch, patch]
- {apiGroups: [networking.istio.io], resources: [virtualservices], verbs: [get, list, watch, patch]}
- {apiGroups: [traefik.io], resources: [traefikservices], verbs: [get, list, watch, patch]}
# Whether another controller scales the target as well: then no release starts.
- {apiGroups: [argoproj.io, rollouts.kruise.io], resources: [rollouts], verbs: [list]}
- {apiGroups: [flagger.app], resources: [canaries], verbs: [list]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
{{- end }}
