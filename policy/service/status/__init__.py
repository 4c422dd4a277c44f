"""What users see of the controller: conditions and figures of policies, events of Workflows, metrics.

Verdicts on policies, usage and reasons for waiting come in; writes of status, events and metrics go out, each
only where it is not there already, at a bounded rate; `run_length_writer` keeps how long runs take. A new
metric of the controller starts in `metrics` and in docs/metrics.md. Called by `locks`, `lockkeeper.process`
and `lockkeeper.assembly`. There is no next step: nothing reads what is written here to decide.
"""
