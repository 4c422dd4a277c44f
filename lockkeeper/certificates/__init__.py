"""Certificates on a cluster: kept in a Secret, served by the webhook, and trusted by the API servers."""
