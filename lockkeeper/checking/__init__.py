"""Whether an installation is healthy, for `lockkeeper check` and `helm test`.

`gatherer` reads objects of the cluster and calls the endpoints that serve webhooks (`tls_probe`); the
results, unreadable objects included, are values (`facts`). `checks` turns these, pure, into sentences with
an advice each: about kinds, webhook configurations, certificates, callers, readiness, the leader and
policies. To check something more, add what has to be known to `facts`, and a function to `checks`. The
command shows the sentences as a table or as JSON.
"""
