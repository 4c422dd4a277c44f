"""Exact values and rules over text that know nothing of Argo, of Kubernetes objects or of policies.

Numbers and text come in; a value goes out, or a `Problem` with the field path of what cannot be read.
`amounts` has every number that a quota counts (integers and `UNLIMITED`, never floats), `cron_schedule` says
when a window opens, `budget` is what long loops look at so that a review ends in time, `backoff` says when a
failed write is tried again. Every other room of the core calls it, and it calls none of them. Next:
`policy.core.objects`, which reads objects of Kubernetes with these values.
"""
