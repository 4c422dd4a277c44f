"""The decision on one admission review: create, update and retry, by quotas and by locks.

A `Review`, the `Snapshot` and the time come in; one `Decision` goes out. `decide` lists all that can refuse,
in order. `quota_decision` decides how quotas let a Workflow run, wait or be refused, `tasks_and_priority` how
much it counts (again at its release: `task_recount`), `child_exemption` which children run under the slot of
another, `cron_runs` which runs of a CronWorkflow may wait; `update` and `update_*` what may be edited.
`cron_schedules` finds schedules that Argo would never run. Called by the webhook, the linter, `lockkeeper
review` and the simulation, all with the same function; the controller calls the rules that it applies again
at a release. Next: `webhook.review` reserves what the decision asks for and encodes the answer.
"""
