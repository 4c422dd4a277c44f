"""All policies at one moment: checked one by one, compiled into the snapshot, and compared with each other.

Decoded policies and the objects beside them come in; the immutable `Snapshot` goes out, by which every review
decides, and `governing` says which quotas of it count for a Workflow. The checks of a single policy, the
conflicts that only the whole set shows, the figures for a policy's status and the ConfigMaps that semaphores
ask for are made here as well. Called by `policy.sources` at every change of a policy, never by a review.
Next: `policy.core.admission`, which decides on a snapshot.
"""
