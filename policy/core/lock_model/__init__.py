"""Locks and lock policies, compiled: names of locks, limits, and the rules that put locks on templates.

A SynchronizationPolicy and the ConfigMaps of a namespace come in; compiled rules, known semaphores and the
locks that a `synchronization` block takes go out. Names are spelled as Argo spells them, parameters are
filled in as far as they are known. Nothing here says that a lock is wrong. Called by every room about locks,
and by `policies.snapshot`, which compiles the policies of a namespace once. Next: `policy.core.lock_graph`
for who calls whom, `policy.core.injection` for putting locks into objects.
"""
