"""The Cluster protocol in memory, with the contracts of the Kubernetes API server.

Calls of the protocol come in; stored objects, versions, conflicts and watch events go out as the API server
gives them. Embedded mode, the simulation and most tests run on it. `memory_cluster` is the protocol under one
lock, `stored_objects` finds objects and does what a write does to metadata, `managed_fields` is server-side
apply, `patching` applies patches, `selector_syntax` reads label selectors, `change_log` serves watches. What
Kubernetes does and the protocol does not have is missing here too.
"""
