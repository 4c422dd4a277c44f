"""A double of Argo's controller for the embedded mode: it runs Workflows, and creates those of CronWorkflows.

`argo` starts, locks and ends Workflows (`simulated_runs`: their tasks and locks, `lock_status`: what it
writes of locks), `cron` creates what is due (`cron_objects`: CronWorkflows and their runs, `cron_moments`:
the times). Each says in its docstring what it does not do. A cluster and a clock come in; phases, labels and
runs go out, as Argo writes them. Only `lockkeeper.embedded` calls it.
"""
