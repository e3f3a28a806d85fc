{{- define "leasehold.fullname" -}}
{{- if contains "leasehold" .Release.Name }}{{ .Release.Name | trunc 30 | trimSuffix "-" }}{{ else }}{{ printf "%s-leasehold" .Release.Name | trunc 30 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "leasehold.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Labels that select pods. Takes root, component and, for workers, pool. */ -}}
{{- define "leasehold.selector" -}}
app.kubernetes.io/name: leasehold
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
leasehold.dev/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "leasehold.labels" -}}
{{ include "leasehold.selector" . }}
app.kubernetes.io/part-of: leasehold
{{- end }}

{{- /* What `metadata.labels` of objects has besides. Pods do not have these two: a new chart alone must restart nobody. */ -}}
{{- define "leasehold.meta" -}}
{{ include "leasehold.labels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "leasehold.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "leasehold.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "leasehold.envFrom" -}}
- configMapRef:
    name: {{ include "leasehold.fullname" . }}-settings
- secretRef:
    name: {{ .Values.stores.existingSecret }}
{{- end }}

{{- define "leasehold.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "leasehold.spread" -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $.whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "leasehold.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- /* Waits until the database has the schema of this program, instead of a crash loop. Each new reason is one log line. Exit code 2
is a wrong setting, which does not go away by waiting. It always uses the image of all: the program is in there. */ -}}
{{- define "leasehold.waitForSchema" -}}
- name: wait-for-schema
  image: {{ .Values.image.repository }}:{{ include "leasehold.tag" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command:
    - /bin/sh
    - -c
    - |
      told=
      until said=$(leasehold migrate status 2>&1 >/dev/null); do
        if [ $? -eq 2 ]; then printf '%s\n' "$said" >&2; exit 2; fi
        said=${said:-waiting until the migration of this release is done}
        if [ "$said" != "$told" ]; then printf '%s\n' "$said" >&2; told=$said; fi
        sleep 2
      done
  envFrom:
    {{- include "leasehold.envFrom" . | nindent 4 }}
  resources:
    requests:
      cpu: 50m
      memory: 32Mi
    limits:
      memory: 128Mi
  securityContext:
    {{- include "leasehold.containerSecurity" . | nindent 4 }}
{{- end }}

{{- /* The port of health and metrics, and the probes. Liveness asks no store. */ -}}
{{- define "leasehold.vitals" -}}
ports:
  - name: metrics
    containerPort: 9464
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 2
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- /* Values of other names, which people are used to. Each fails with the name that is right here. */ -}}
{{- define "leasehold.check" -}}
{{- $renamed := dict
  "replicaCount" "workerPools.NAME.replicas and reaper.replicas"
  "workers" "workerPools"
  "worker" "workerPools.NAME"
  "pools" "workerPools"
  "existingSecret" "stores.existingSecret"
  "secretName" "stores.existingSecret"
  "database" "stores.existingSecret: the chart takes no URL"
  "postgresql" "stores.existingSecret: the chart runs no PostgreSQL"
  "redis" "stores.existingSecret: the chart runs no Redis"
  "config" "settings"
  "env" "settings, or workerPools.NAME.extraEnv"
  "autoscaling" "workerPools.NAME.autoscaling"
  "resources" "workerPools.NAME.resources and reaper.resources"
  "metrics" "serviceMonitor"
}}
{{- range $old, $new := $renamed }}
{{- if hasKey $.Values $old }}{{ fail (printf "the value %s is now %s" $old $new) }}{{ end }}
{{- end }}
{{- range $name, $pool := .Values.workerPools }}
{{- range $old, $new := dict "slots" "queues, with the slots of each queue" "queue" "queues" "grace" "graceSeconds" "terminationGracePeriodSeconds" "graceSeconds: the chart computes the time of the pod" "volumes" "extraVolumes" "env" "extraEnv" "containers" "extraContainers" "hpa" "autoscaling: hpa" "keda" "autoscaling: keda" }}
{{- if hasKey $pool $old }}{{ fail (printf "the value workerPools.%s.%s is now %s" $name $old $new) }}{{ end }}
{{- end }}
{{- if not $pool.queues }}{{ fail (printf "set workerPools.%s.queues: the queues and their slots, such as {mail: 8}" $name) }}{{ end }}
{{- if not (or $pool.exec $pool.commands $pool.command) }}{{ fail (printf "workerPools.%s would never take a job: set exec, commands, or command" $name) }}{{ end }}
{{- if and $pool.command (or $pool.exec $pool.commands) }}{{ fail (printf "workerPools.%s has a program of its own (command), which knows neither exec nor commands" $name) }}{{ end }}
{{- end }}
{{- if not .Values.stores.existingSecret }}{{ fail "set stores.existingSecret: the name of a secret with LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL" }}{{ end }}
{{- end }}
