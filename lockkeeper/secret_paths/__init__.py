"""Who may call the webhook: the secret part of its paths in both webhook configurations.

`secret_rotation` decides, pure, when a secret is announced, carried and retired. The leading controller reads
the configurations (`configuration_paths`) and the webhook's Deployment, and writes what is due
(`path_upkeep`, started by the command `controller`). Every webhook follows the configurations
(`known_callers`, started by the command `serve`). A patch of a configuration goes out on one side, and on the
other the secrets that a call may have. Next: `webhook.callers`, which checks a call.
"""
