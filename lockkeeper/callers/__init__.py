"""Who may call the webhook: a secret part of its paths, which the webhook configurations hold."""
