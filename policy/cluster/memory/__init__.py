"""The Cluster protocol in memory, with the contracts of the Kubernetes API server.

Calls of the protocol come in; stored objects, versions, conflicts and watch events go out as the API server
gives them. Embedded mode, the simulation and most tests run on it. `memory_cluster` is the protocol under one
lock, `object_table` finds objects, `stored_objects` does what a write does to metadata, `managed_fields` is
server-side apply, `change_log` serves watches. What Kubernetes does and the protocol does not have is missing
here too.
"""
