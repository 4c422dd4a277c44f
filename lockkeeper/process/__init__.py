"""What a process of ours needs, whatever it does.

Nothing is decided about Workflows here. A process has a clock and writes log lines and sentences for people
(`clock_and_log`, `output`), ends a command with an error that its caller can mend (`errors`), tells a probe
whether it still works (`liveness`), and serves probes and metrics on a port of their own (`health_port`).
`controller_log` and `controller_metrics` turn what the controller reports into log lines, metrics and
events. `kubernetes_objects` is what several rooms read of Deployments and webhook configurations, `upkeep`
and `readiness` what both duties of a leader and both looks of a probe share. All rooms of lockkeeper import
from here; nothing here imports from them.
"""
