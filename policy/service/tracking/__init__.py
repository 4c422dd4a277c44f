"""Which Workflows are live, as the leader's watch shows them: one small record each.

Watch events come in; records and what changed since the last pass go out. There may be a hundred thousand, so
metadata only is read and strings are shared. Which children run under the slot of which root is decided here.
A Workflow leaves when it is completed or deleted; what stops counting then is decided in
`release.root_state`; `run_ends` notes for how long it ran. Called by `release.controller`, which lists and
watches. Next: `policy.service.release`.
"""
