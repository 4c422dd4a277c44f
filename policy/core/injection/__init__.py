"""How locks that rules want are put into one object without changing what it means.

A spec and a `Rulebook` come in; a patch, warnings and faults go out: locks in place, or a wrapper or a copy
of a template where only some callers want the lock or where Argo reads one lock only. In a DAG the lock goes
to the template, never to the task. What cannot be done without changing the meaning is a fault, with the fix.
`inject` is the entry. Called by `lock_review`, which knows the objects that a spec refers to. Next:
`policy.core.lock_review`.
"""
