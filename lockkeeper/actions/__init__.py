"""What a user does to quotas and to Workflows that wait: hold, resume, another priority, cancel.

A target (`targets`: a Workflow, a quota or a pool) and a cluster come in; one patch goes out, sent with the
user's own rights and only to what is still as it was read (`changes`). Whether it is allowed is decided by
the cluster's access control and by admission, as for kubectl. Called by the commands of `lockkeeper.cli`;
what it does to the queue is in `policy.core.queue`.
"""
