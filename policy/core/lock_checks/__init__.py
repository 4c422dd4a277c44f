"""What is wrong with the locks of one object: missing semaphores, names, limits, deadlocks.

A spec and a `Rulebook` come in; reasons and warnings go out, each with its field path and the fix. Argo
itself checks none of this before a run. A new check of locks is a function here: in `graph_findings` when it
needs the template graph, else in `reference_faults`. Called by `lock_review` when an object is reviewed, by
`injection` for the locks that it adds, and by `policies` for a rule by itself. Next: `policy.core.injection`,
for the locks that are not there yet.
"""
