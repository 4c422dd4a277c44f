"""The Cluster protocol over the Kubernetes API: requests as data, one connection, answers as objects.

For a call of the protocol `requests` returns a path, query and body, `connection` sends it (the only module
that imports the `kubernetes` package), `answers` reads what comes back, `lasting_watch` connects again where
a watch ends, and `request_counts` counts all of them. Built by `lockkeeper.cli` with the user's kubeconfig.
The contracts are those of `policy.cluster.protocol`, and one suite proves them for this room and for
`memory`.
"""
