"""Exact values and rules over text, without any knowledge of Argo, Kubernetes objects or policies.

Numbers and text come in; a value goes out, or a `Problem` with the field path of what is wrong. `amounts` has
every number that a quota counts (integers and `UNLIMITED`, never floats), `cron_schedule` the times at which
a window opens, `durations` its length. Long loops check a `budget`, so that a review ends in time; `backoff`
delays the next try of a failed write; `memo` stores computed results, and `prepared` makes struct types safe
for threads. Every other room of the core calls this one, and it calls none. Next: `policy.core.objects`.
"""
