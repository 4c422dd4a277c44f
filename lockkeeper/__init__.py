"""The lockkeeper command: its processes, put together from webhook, policy and certs.

Rooms, bottom up: `process` (clock, log, liveness, the health port), `certificates` (those of the webhook),
`secret_paths` (which callers the webhook knows), `checking` (is an installation healthy), `locks` and `lint`
(what the commands of these names show), `assembly` (webhook, controller and policies put together),
`embedded` (all of it in one process, without a cluster) and `cli` (the commands). `__main__` starts one
command of `cli`.
"""

__version__ = "0.1.0"
