"""The decision on one admission review: create, update and retry, by quota and by locks.

A `Review`, the `Snapshot` and the time come in; one `Decision` goes out. `decide` is the whole order of it on
one screen. `quota` says what the quotas of the namespace make of a Workflow: run, wait or refuse; `update_*`
and `retry` say what may be edited while it waits or runs; `child_exemption` and `cron_runs` say who counts
under somebody else. Called by the webhook, the linter, `lockkeeper review` and the simulation, all with the
same function. Next: `webhook.review` reserves what the decision asks for and encodes the answer.
"""
