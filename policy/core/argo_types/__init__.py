"""Argo's Go types: what each field of its objects decodes from, and what in an object does not."""
