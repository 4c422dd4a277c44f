"""A small Kubernetes API over the in-memory cluster, on loopback: `lockkeeper run` is a cluster to try.

`http_server` takes requests of kubectl and of our own client, `request_paths` says what each is about,
`discovery` tells which kinds there are (`served_kinds`), `object_requests` reads, writes and watches them,
and `tables` makes the columns of `kubectl get`. Writes go through the webhooks by what the caller gives
(`Writes`). It does what a user of Workflows and policies needs: no other kinds, no access control, no Pods.
Called by `lockkeeper.embedded`.
"""
