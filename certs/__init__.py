"""Serving certificates and the CA that signs them: created, renewed, rotated, stored and loaded again.

It stands alone: no module imports from `policy`. `authority` creates and reads certificates, `renewal`
decides whether one is due, `rotation` which step of a rotation is next for the CA that replicas share
(`rotation_steps` does it), `stores` writes by compare-and-swap, `files` is a folder of certificates and what
a single process needs, `reload` gives a server its TLS context. Called by `lockkeeper.certificates` and the
command `certs`.
"""
