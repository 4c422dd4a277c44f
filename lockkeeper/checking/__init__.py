"""Whether an installation is healthy: facts are gathered from the cluster, and judged apart from that."""
