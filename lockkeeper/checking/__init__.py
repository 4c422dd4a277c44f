"""Whether an installation is healthy, for `lockkeeper check` and `helm test`.

`gatherer` reads objects of the cluster and asks the places that serve webhooks (`tls_probe`); what comes of
it, unreadable objects included, are values (`facts`). `judge` turns these, pure, into sentences with an
advice each (`judgement`): about kinds and webhook configurations in `registration`, about certificates,
readiness, the leader and policies in `operation`. To check something more, add what has to be known to
`facts`, and a function that judges it to one of these two. The command shows the sentences as a table or as
JSON.
"""
