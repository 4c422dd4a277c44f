"""Which Workflows wait in one quota root, in which order, and which one is released next.

Events come in (a Workflow joined or left the queue, one started or ended, a limit changed); `planner` returns
the Workflows to release, best first, and `positions` the place and the reason of all others, for which
`wait_messages` has the sentences. `ordering` and `fair_share` decide which Workflow is before which,
`headroom` what fits, `starvation_guard` how often a big one may be overtaken. `pending` has all that wait,
`scheduling_queue` those of them to try now and those that are inadmissible. All of it is updated event by
event, so that a release costs O(log n). Called by the controller's `root_state`. Next:
`policy.service.release`, which writes the ledger and sends the releases.
"""
