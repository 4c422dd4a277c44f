"""Locks while Workflows run: who holds each one, who waits for it since when, and which waits never end.

Live Workflows come in, as small records; queues, deadlocks and the waiters that Argo overlooks go out.
`replay` plays what was seen again under another limit. Called by the leader's `policy.service.locks` and by
`lockkeeper locks`. Nothing here is asked at admission. Next: `policy.service.locks`, which shows the queues
and touches who is overlooked.
"""
