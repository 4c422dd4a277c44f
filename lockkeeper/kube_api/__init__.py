"""A small Kubernetes API over the in-memory cluster, on loopback: `lockkeeper run` is a cluster to try.

`http_server` takes requests of kubectl and of our own client, `request_paths`, `requests`, `selectors` and
`protobuf_bodies` say what each is about, `describing` tells which kinds there are (`served_kinds`),
`object_requests` sends it to `object_reads` (`list_pages`, `object_watches`, `tables`, `core_events`),
`object_writes` (`object_rules`) or `object_deletes`, and `answers` has the words of the API server. Writes go
through the webhooks by what the caller gives (`WriteAdmission`). It does what a user of Workflows and
policies needs: no other kinds, no access control, no Pods. Called by `lockkeeper.embedded`.
"""
