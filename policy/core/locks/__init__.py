"""Locks: how Argo reads them, which are wrong, and where policies want them."""
