"""The names Lockkeeper writes on objects, and Argo's names that it reads."""

from typing import Final

GROUP: Final = "lockkeeper.dev"

API_VERSION: Final = "lockkeeper.dev/v1alpha1"

INSTANCE_ID: Final = "workflows.argoproj.io/controller-instanceid"
"""Argo's controller sees only objects with its own value (`InstanceIDRequirement`, workflow/util/util.go)."""
HOLD_VALUE: Final = "lockkeeper-hold"
COMPLETED: Final = "workflows.argoproj.io/completed"
PHASE: Final = "workflows.argoproj.io/phase"
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"

RESERVATION: Final = "lockkeeper.dev/reservation"
"""Label: uid of the admission request that reserved a slot (protocol rule 8)."""
ORIGINAL_INSTANCE_ID: Final = "lockkeeper.dev/original-instanceid"
HOLDS: Final = "lockkeeper.dev/holds"
"""Annotation: how many times the object was held; with its uid it names a release reservation (rule 8)."""
TASKS: Final = "lockkeeper.dev/tasks"
PRIORITY: Final = "lockkeeper.dev/priority"
USER: Final = "lockkeeper.dev/user"
UNBOUNDED: Final = "unlimited"
"""Value of TASKS for a Workflow whose tasks have no bound."""

HELD_PHASE: Final = "Pending"
HELD_MESSAGE_PREFIX: Final = "queued by lockkeeper"
