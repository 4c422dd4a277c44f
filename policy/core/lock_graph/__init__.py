"""The template graph of an object, and the deadlocks that it shows before anything runs.

The templates of an object and of the cluster come in. `template_graph` builds a node for every body that a
run reaches, with its locks; `held_above` finds the locks that are held there, `lock_order` those that are
nested, `hook_waits` and `left_locks` what hooks wait for and keep. Out go the deadlocks of one object
(`deadlocks`: certain or possible, with the sentence for the user), references to what does not exist, and for
a whole namespace the nested locks of all its templates (`template_library`). Nothing is refused here. Called
by `lock_checks.graph_findings` in a review and by lint; `policies.snapshot` owns the library. Next:
`policy.core.lock_checks`, which turns findings into reasons.
"""
