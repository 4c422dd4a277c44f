"""The labels and annotations that Lockkeeper writes on objects, and those of Argo that it reads."""

from typing import Final

GROUP: Final = "lockkeeper.dev"
API_VERSION: Final = "lockkeeper.dev/v1alpha1"
FIELD_MANAGER: Final = "lockkeeper"
"""As whom our writes stand in `metadata.managedFields`."""

INSTANCE_ID: Final = "workflows.argoproj.io/controller-instanceid"
"""Argo's controller sees only objects with its own value (`InstanceIDRequirement`, workflow/util/util.go)."""
HOLD_VALUE: Final = "lockkeeper-hold"
COMPLETED: Final = "workflows.argoproj.io/completed"
PHASE: Final = "workflows.argoproj.io/phase"
ARCHIVING: Final = "workflows.argoproj.io/workflow-archiving-status"
ACTION: Final = "workflows.argoproj.io/action"
_ACTOR: Final = "workflows.argoproj.io/actor"
"""The user of the last ACTION: argo-server writes both when a user stops or resumes a Workflow."""
CHANGING: Final = frozenset(
    {COMPLETED, PHASE, ARCHIVING, ACTION, _ACTOR, f"{_ACTOR}-email", f"{_ACTOR}-preferred-username"}
)
"""Labels that Argo changes while a Workflow runs: they are not reviewed, and no policy may select by them."""
CREATOR: Final = "workflows.argoproj.io/creator"
CREATOR_EMAIL: Final = "workflows.argoproj.io/creator-email"
CREATOR_NAME: Final = "workflows.argoproj.io/creator-preferred-username"
CRON_WORKFLOW: Final = "workflows.argoproj.io/cron-workflow"
WORKFLOW_TEMPLATE: Final = "workflows.argoproj.io/workflow-template"
CLUSTER_WORKFLOW_TEMPLATE: Final = "workflows.argoproj.io/cluster-workflow-template"
SCHEDULED_TIME: Final = "workflows.argoproj.io/scheduled-time"
"""Annotation of the runs that a schedule started, and of no others."""
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"

RESERVATION: Final = "lockkeeper.dev/reservation"
"""Label: uid of the admission request that reserved a slot (protocol rule 8)."""
ORIGINAL_INSTANCE_ID: Final = "lockkeeper.dev/original-instanceid"
HOLDS: Final = "lockkeeper.dev/holds"
"""Annotation: how many times the object was held; with its uid it names a release reservation (rule 8)."""
TASKS: Final = "lockkeeper.dev/tasks"
PRIORITY: Final = "lockkeeper.dev/priority"
USER: Final = "lockkeeper.dev/user"
RETRIED: Final = "lockkeeper.dev/retried"
"""Annotation of a held Workflow that ran before: its status, the record of that run, is not removed."""
CHILD_OF: Final = "lockkeeper.dev/child-of"
"""Label: the uid of the Workflow under whose slot this one runs: its root Workflow."""
ROOT: Final = "lockkeeper.dev/root"
"""Annotation of a child: the name of that root."""
DEPTH: Final = "lockkeeper.dev/depth"
"""Annotation of a child: the number of its ancestors."""
CRON: Final = "lockkeeper.dev/cron"
"""Annotation of a run that a schedule started: the `concurrencyPolicy` that it was created under."""
INHERITS: Final = "lockkeeper.dev/inherits"
"""Annotation: the uid of the run whose slot this one takes over (concurrencyPolicy Replace)."""
TOUCHED: Final = "lockkeeper.dev/touched"
"""Annotation: when a Workflow that waits for a lock was changed, so that Argo processes it again."""
INJECTED: Final = "lockkeeper.dev/injected"
"""Annotation: the rules, and the templates that run under their locks; for users only, nothing reads it."""
SIBLING: Final = "lockkeeper.dev/sibling"
"""Label of a template that was written for another, which lacks locks, and of the Workflows that use it."""
SIBLING_OF: Final = "lockkeeper.dev/sibling-of"
"""Annotation of both: the kind and the name of that other template."""
WEIGHED_BY: Final = "lockkeeper.dev/weighed-by"
"""Annotation: the kind and the name of the template that alone decides how many tasks a Workflow runs."""
REFERS_TO: Final = "lockkeeper.dev/refers-to"
"""Annotation: kind and name of the template that a Workflow refers to, where a quota selects by that."""
STARTED_BY: Final = "lockkeeper.dev/started-by"
"""Annotation: the same of the CronWorkflow that a Workflow is a run of."""
REFERENCES: Final = (REFERS_TO, STARTED_BY)
GROUPS: Final = "lockkeeper.dev/groups"
"""Annotation: the keys that a Workflow has in groups of quotas, by the text of each key, as JSON."""
ON_HOLD: Final = "lockkeeper.dev/on-hold"
"""Annotation that users set on a Workflow that waits: while `true` it keeps waiting, and blocks no other."""
UNBOUNDED: Final = "unlimited"
"""Value of TASKS for a Workflow whose tasks have no bound."""

OUR_LABELS: Final = (RESERVATION, CHILD_OF)
OUR_ANNOTATIONS: Final = (
    *(ORIGINAL_INSTANCE_ID, HOLDS, TASKS, PRIORITY, USER, RETRIED, ROOT, DEPTH, CRON, INHERITS),
    WEIGHED_BY,
    *REFERENCES,
    GROUPS,
    ON_HOLD,
)
"""What admission writes; it removes values of other writers."""
PREFIX: Final = "lockkeeper.dev/"
"""The prefix of all our names on Workflows."""

HELD_PHASE: Final = "Pending"
HELD_MESSAGE_PREFIX: Final = "queued by lockkeeper"
