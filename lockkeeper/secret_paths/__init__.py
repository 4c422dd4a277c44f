"""Who may call the webhook: the secret part of its paths in both webhook configurations.

`secret_rotation` decides, pure, when a secret is announced, carried and forgotten. The leading controller
reads the configurations (`registered`) and the webhook's Deployment (`replicas`) and writes what is due
(`upkeep`; `controller_part` is what the command `controller` starts). Every webhook follows the
configurations (`webhook_part`, which the command `serve` starts) and so knows what `webhook.callers` is to
answer. What goes out is a patch of a configuration on one side, and the secrets that a call may have on the
other.
"""
