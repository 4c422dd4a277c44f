"""The fields of Argo's own types, as of Argo 4.1 (`pkg/apis/workflow/v1alpha1`); see `type_table`.

A test compares them with Argo's full CRDs, field by field.
"""

from typing import Final

ARGO: Final = """
ArchiveStrategy = none:NoneStrategy tar:TarStrategy zip:ZipStrategy
Arguments = artifacts:[Artifact] parameters:[Parameter]
ArtGCStatus = notSpecified:bool podsRecouped:{bool} strategiesProcessed:{bool}
ArtifactLocation = archiveLogs:bool artifactory:ArtifactoryArtifact azure:AzureArtifact gcs:GCSArtifact
  git:GitArtifact hdfs:HDFSArtifact http:HTTPArtifact oss:OSSArtifact plugin:PluginArtifact raw:RawArtifact
  s3:S3Artifact
Artifact = +ArtifactLocation archive:ArchiveStrategy artifactGC:ArtifactGC deleted:bool from
  fromExpression globalName mode:int32 name optional:bool path recurseMode:bool subPath
ArtifactGC = podMetadata:Metadata serviceAccountName strategy
ArtifactPaths = +Artifact
ArtifactRepository = archiveLogs:bool artifactory:ArtifactoryArtifactRepository
  azure:AzureArtifactRepository gcs:GCSArtifactRepository hdfs:HDFSArtifactRepository
  oss:OSSArtifactRepository plugin:PluginArtifactRepository s3:S3ArtifactRepository
ArtifactRepositoryRef = configMap key
ArtifactRepositoryRefStatus = artifactRepository:ArtifactRepository configMap default:bool key namespace
ArtifactoryArtifact = passwordSecret:SecretKeySelector url usernameSecret:SecretKeySelector
ArtifactoryArtifactRepository = keyFormat passwordSecret:SecretKeySelector repoURL
  usernameSecret:SecretKeySelector
AzureArtifact = accountKeySecret:SecretKeySelector blob container endpoint useSDKCreds:bool
AzureArtifactRepository = accountKeySecret:SecretKeySelector blobNameFormat container endpoint
  useSDKCreds:bool
Backoff = cap duration factor:intstr maxDuration
BasicAuth = passwordSecret:SecretKeySelector usernameSecret:SecretKeySelector
Cache = configMap:LocalObjectReference
ClientCertAuth = clientCertSecret:SecretKeySelector clientKeySecret:SecretKeySelector
ClusterWorkflowTemplate = apiVersion kind metadata:ObjectMeta spec:WorkflowSpec
Condition = message status type
ContainerNode = +Container dependencies:[string]
ContainerSetRetryStrategy = duration retries:intstr
ContainerSetTemplate = containers:[ContainerNode] retryStrategy:ContainerSetRetryStrategy
  volumeMounts:[VolumeMount]
ContinueOn = error:bool failed:bool
Counter = value
CreateS3BucketOptions = objectLocking:bool
CronWorkflow = apiVersion kind metadata:ObjectMeta spec:CronWorkflowSpec status:CronWorkflowStatus
CronWorkflowSpec = concurrencyPolicy failedJobsHistoryLimit:int32 schedules:[string]
  startingDeadlineSeconds:int64 stopStrategy:StopStrategy successfulJobsHistoryLimit:int32 suspend:bool
  timezone when workflowMetadata:ObjectMeta workflowSpec:WorkflowSpec
CronWorkflowStatus = active:[ObjectReference] conditions:[Condition] failed:int64 lastScheduledTime:time
  phase succeeded:int64
DAGTask = arguments:Arguments continueOn:ContinueOn dependencies:[string] depends hooks:{LifecycleHook}
  inline:Template name onExit template templateRef:TemplateRef when withItems:[raw] withParam
  withSequence:Sequence
DAGTemplate = failFast:bool target tasks:[DAGTask]
Data = source:DataSource transformation:[TransformationStep]
DataSource = artifactPaths:ArtifactPaths
ExecutorConfig = serviceAccountName
ExecutorPlugin = metadata:ObjectMeta spec:ExecutorPluginSpec
ExecutorPluginSidecar = automountServiceAccountToken:bool container:Container
ExecutorPluginSpec = sidecar:ExecutorPluginSidecar
GCSArtifact = bucket key serviceAccountKeySecret:SecretKeySelector
GCSArtifactRepository = bucket keyFormat serviceAccountKeySecret:SecretKeySelector
Gauge = operation realtime:bool value
GitArtifact = branch depth:uint64 disableSubmodules:bool fetch:[string] insecureIgnoreHostKey:bool
  insecureSkipTLS:bool passwordSecret:SecretKeySelector repo revision singleBranch:bool
  sshPrivateKeySecret:SecretKeySelector usernameSecret:SecretKeySelector
HDFSArtifact = addresses:[string] dataTransferProtection force:bool hdfsUser
  krbCCacheSecret:SecretKeySelector krbConfigConfigMap:ConfigMapKeySelector
  krbKeytabSecret:SecretKeySelector krbRealm krbServicePrincipalName krbUsername path
HDFSArtifactRepository = addresses:[string] dataTransferProtection force:bool hdfsUser
  krbCCacheSecret:SecretKeySelector krbConfigConfigMap:ConfigMapKeySelector
  krbKeytabSecret:SecretKeySelector krbRealm krbServicePrincipalName krbUsername pathFormat
HTTP = body bodyFrom:HTTPBodySource headers:[HTTPHeader] insecureSkipVerify:bool method successCondition
  timeoutSeconds:int64 url
HTTPArtifact = auth:HTTPAuth headers:[Header] saveStreamViaFile:bool url
HTTPAuth = basicAuth:BasicAuth clientCert:ClientCertAuth oauth2:OAuth2Auth
HTTPBodySource = bytes:bytes
HTTPHeader = name value valueFrom:HTTPHeaderSource
HTTPHeaderSource = secretKeyRef:SecretKeySelector
Header = name value
Histogram = buckets:[raw] value
Inputs = artifacts:[Artifact] parameters:[Parameter]
LabelValueFrom = expression
LifecycleHook = arguments:Arguments expression template templateRef:TemplateRef
ManifestFrom = artifact:Artifact
MemoizationStatus = cacheName hit:bool key
Memoize = cache:Cache key maxAge
Metadata = annotations:{string} labels:{string}
MetricLabel = key value
Metrics = prometheus:[Prometheus]
Mutex = database:bool name namespace
MutexHolding = holder mutex
MutexStatus = holding:[MutexHolding] waiting:[MutexHolding]
NodeFlag = hooked:bool retried:bool
NodeStatus = boundaryID children:[string] daemoned:bool displayName estimatedDuration:int64
  failedPodRestarts:int32 finishedAt:time hostNodeName id inputs:Inputs memoizationStatus:MemoizationStatus
  message name nodeFlag:NodeFlag outboundNodes:[string] outputs:Outputs phase podIP progress
  resourcesDuration:{int64} restartingPodUID startedAt:time synchronizationStatus:NodeSynchronizationStatus
  taskResultSynced:bool templateName templateRef:TemplateRef templateScope type
NodeSynchronizationStatus = waiting
NoneStrategy =
OAuth2Auth = clientIDSecret:SecretKeySelector clientSecretSecret:SecretKeySelector
  endpointParams:[OAuth2EndpointParam] scopes:[string] tokenURLSecret:SecretKeySelector
OAuth2EndpointParam = key value
OSSArtifact = accessKeySecret:SecretKeySelector bucket createBucketIfNotPresent:bool endpoint key
  lifecycleRule:OSSLifecycleRule secretKeySecret:SecretKeySelector securityToken useSDKCreds:bool
OSSArtifactRepository = accessKeySecret:SecretKeySelector bucket createBucketIfNotPresent:bool endpoint
  keyFormat lifecycleRule:OSSLifecycleRule secretKeySecret:SecretKeySelector securityToken useSDKCreds:bool
OSSLifecycleRule = markDeletionAfterDays:int32 markInfrequentAccessAfterDays:int32
Outputs = artifacts:[Artifact] exitCode parameters:[Parameter] result
Parameter = default:any description:any enum:[any] globalName name value:any valueFrom:ValueFrom
PluginArtifact = configuration connectionTimeoutSeconds:int32 key name
PluginArtifactRepository = configuration keyFormat name
PodGC = deleteDelayDuration labelSelector:LabelSelector strategy
Prometheus = counter:Counter gauge:Gauge help histogram:Histogram labels:[MetricLabel] name when
RawArtifact = data
ResourceTemplate = action failureCondition flags:[string] manifest manifestFrom:ManifestFrom mergeStrategy
  setOwnerReference:bool successCondition
RetryAffinity = nodeAntiAffinity:RetryNodeAntiAffinity
RetryNodeAntiAffinity =
RetryStrategy = affinity:RetryAffinity backoff:Backoff expression limit:intstr retryPolicy
S3Artifact = accessKeySecret:SecretKeySelector addressingStyle bucket caSecret:SecretKeySelector
  createBucketIfNotPresent:CreateS3BucketOptions encryptionOptions:S3EncryptionOptions endpoint
  insecure:bool key region roleARN secretKeySecret:SecretKeySelector sessionTokenSecret:SecretKeySelector
  useSDKCreds:bool
S3ArtifactRepository = accessKeySecret:SecretKeySelector addressingStyle bucket caSecret:SecretKeySelector
  createBucketIfNotPresent:CreateS3BucketOptions encryptionOptions:S3EncryptionOptions endpoint
  insecure:bool keyFormat keyPrefix region roleARN secretKeySecret:SecretKeySelector
  sessionTokenSecret:SecretKeySelector useSDKCreds:bool
S3EncryptionOptions = enableEncryption:bool kmsEncryptionContext kmsKeyId
  serverSideCustomerKeySecret:SecretKeySelector
ScriptTemplate = +Container source
SemaphoreHolding = holders:[string] semaphore
SemaphoreRef = configMapKeyRef:ConfigMapKeySelector database:SyncDatabaseRef namespace
SemaphoreStatus = holding:[SemaphoreHolding] waiting:[SemaphoreHolding]
Sequence = count:intstr end:intstr format start:intstr
StopStrategy = expression
SuppliedValueFrom =
SuspendTemplate = duration
SyncDatabaseRef = key
Synchronization = mutexes:[Mutex] semaphores:[SemaphoreRef]
SynchronizationStatus = mutex:MutexStatus semaphore:SemaphoreStatus
TTLStrategy = secondsAfterCompletion:int32 secondsAfterFailure:int32 secondsAfterSuccess:int32
TarStrategy = compressionLevel:int32
Template = activeDeadlineSeconds:intstr affinity:Affinity annotations:{string}
  archiveLocation:ArtifactLocation automountServiceAccountToken:bool container:Container
  containerSet:ContainerSetTemplate daemon:bool dag:DAGTemplate data:Data executor:ExecutorConfig
  failFast:bool hostAliases:[HostAlias] http:HTTP initContainers:[UserContainer] inputs:Inputs
  memoize:Memoize metadata:Metadata metrics:Metrics name nodeSelector:{string} outputs:Outputs
  parallelism:int64 pendingTimeout plugin:plugin podResources:ResourceRequirements podSpecPatch
  priorityClassName resource:ResourceTemplate resourceClaims:[PodResourceClaim] retryStrategy:RetryStrategy
  schedulerName script:ScriptTemplate securityContext:PodSecurityContext serviceAccountName
  sidecars:[UserContainer] steps:[[WorkflowStep]] suspend:SuspendTemplate synchronization:Synchronization
  timeout tolerations:[Toleration] volumes:[Volume]
TemplateRef = clusterScope:bool name template
TransformationStep = expression
UserContainer = +Container mirrorVolumeMounts:bool
ValueFrom = configMapKeyRef:ConfigMapKeySelector default:any event expression jqFilter jsonPath parameter
  path supplied:SuppliedValueFrom
VolumeClaimGC = strategy
Workflow = apiVersion kind metadata:ObjectMeta spec:WorkflowSpec status:WorkflowStatus
WorkflowLevelArtifactGC = forceFinalizerRemoval:bool podMetadata:Metadata podSpecPatch serviceAccountName
  strategy
WorkflowMetadata = annotations:{string} labels:{string} labelsFrom:{LabelValueFrom}
WorkflowSpec = activeDeadlineSeconds:int64 affinity:Affinity archiveLogs:bool arguments:Arguments
  artifactGC:WorkflowLevelArtifactGC artifactRepositoryRef:ArtifactRepositoryRef
  automountServiceAccountToken:bool dnsConfig:PodDNSConfig dnsPolicy entrypoint executor:ExecutorConfig
  executorPlugins:[ExecutorPlugin] hooks:{LifecycleHook} hostAliases:[HostAlias] hostNetwork:bool
  imagePullSecrets:[LocalObjectReference] metrics:Metrics nodeSelector:{string} onExit parallelism:int64
  podDisruptionBudget:PodDisruptionBudgetSpec podGC:PodGC podMetadata:Metadata podPriorityClassName
  podResources:ResourceRequirements podSpecPatch priority:int32 resourceClaims:[PodResourceClaim]
  retryStrategy:RetryStrategy schedulerName securityContext:PodSecurityContext serviceAccountName shutdown
  suspend:bool synchronization:Synchronization templateDefaults:Template templates:[Template]
  tolerations:[Toleration] ttlStrategy:TTLStrategy volumeClaimGC:VolumeClaimGC
  volumeClaimTemplates:[PersistentVolumeClaim] volumes:[Volume] workflowMetadata:WorkflowMetadata
  workflowTemplateRef:WorkflowTemplateRef
WorkflowStatus = artifactGCStatus:ArtGCStatus artifactRepositoryRef:ArtifactRepositoryRefStatus
  compressedNodes conditions:[Condition] estimatedDuration:int64 finishedAt:time message nodes:{NodeStatus}
  offloadNodeStatusVersion outputs:Outputs persistentVolumeClaims:[Volume] phase progress
  resourcesDuration:{int64} startedAt:time storedTemplates:{Template}
  storedWorkflowTemplateSpec:WorkflowSpec synchronization:SynchronizationStatus
  taskResultsCompletionStatus:{bool}
WorkflowStep = arguments:Arguments continueOn:ContinueOn hooks:{LifecycleHook} inline:Template name onExit
  template templateRef:TemplateRef when withItems:[raw] withParam withSequence:Sequence
WorkflowTemplate = apiVersion kind metadata:ObjectMeta spec:WorkflowSpec
WorkflowTemplateRef = clusterScope:bool name
ZipStrategy =
"""

EARLIER: Final = """
CronWorkflowSpec = schedule
Synchronization = mutex:Mutex semaphore:SemaphoreRef
Template = priority:int32
WorkflowSpec = podPriority:int32
"""
"""Fields that Argo 3.4 to 3.7 had and 4.1 drops. Either way a value of their type does no harm."""
