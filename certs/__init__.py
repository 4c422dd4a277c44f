"""Serving certificates and the CA that signs them: created, renewed, rotated, stored and loaded again.

It stands alone: no module imports from `policy`. `authority` creates and reads certificates, `renewal` knows
when one is due, `rotation` decides the next step of a rotation of the CA that replicas share, `stores`
writes it by compare-and-swap, `files` is a folder of certificates and what a single process needs, `reload`
gives a server its TLS context. Called by `lockkeeper.certificates` and the command `certs`.
"""
