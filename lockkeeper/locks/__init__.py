"""Locks for people: their queues as they stand, and what another limit would do."""
