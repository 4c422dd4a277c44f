"""What a cluster is like now, for people: the one view that commands, page, metrics and status show.

Planners come in (`live_root`); `view` has what goes out: quotas, those that wait and those that run.
`precedence` says who goes before a Workflow and why, `options` what would change its place, each computed by
the planner on the live state, and `story` tells all of one Workflow in sentences. `run_lengths` knows how
long runs take; by it `forward_play` and `expected_starts` say when those that wait may start. Nothing here
decides anything: order and fit are those of `queue`. Called by `policy.service.reading`, which reads a
cluster with the rights of whoever asks; shown by `lockkeeper.views`.
"""
