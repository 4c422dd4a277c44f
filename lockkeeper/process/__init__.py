"""What a process of ours needs, whatever it does.

Nothing is decided about Workflows here. A process has a clock, writes log lines and sentences for people, and
ends a command with an error that its caller can correct (`console`). It answers a probe whether it works and
is ready (`liveness`), on a port of its own (`health_port`). `controller_log` turns what the controller
reports into log lines, metrics and events. `kubernetes_objects` is what several rooms read of Deployments
and webhook configurations, `upkeep_loop` the loop that certificates and secret paths share, `yaml_output`
writes what kubectl reads back. All rooms of lockkeeper import from here; nothing here imports from them.
"""
