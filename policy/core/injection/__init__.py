"""Puts the locks that rules want into one object, without changing what it means.

A spec and the locks that are wanted come in; a patch goes out: locks in place, or a wrapper or a copy of a
template where only some callers want the lock or where Argo reads one lock only. In a DAG the lock goes to
the template, never to the task. What cannot be done without changing the meaning is a reason, with the fix.
Called by `lock_review`, which knows the objects that a spec refers to. Next: `policy.core.lock_review`.
"""
