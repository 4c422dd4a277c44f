"""What the leader does about locks: their queues, the ConfigMaps of semaphores, and siblings of templates.

Live Workflows of namespaces with watched locks come in; metrics, events of deadlocks and touches of
overlooked waiters go out. The semaphores of policies are written into the ConfigMaps that Argo reads, and
siblings are created beside their templates. `policy.core` decides what is to be written; here it is sent and
tried again. Called by a leader's term. Next: `policy.service.status` for what is shown of it.
"""
