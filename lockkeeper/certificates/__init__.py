"""The webhook's certificates on a cluster: where they are stored, who renews them, and who trusts them.

The steps of their life are decided in `certs`, which knows no cluster. Here they come from a Secret
(`secret_store`) or from a folder, and go to the server of the webhook (`serving_certificate`), and to the
caBundle of the webhook configurations (`ca_bundle`), which the leading controller corrects
(`certificate_upkeep`). `metrics` counts and logs all of that, `report` is what `lockkeeper certs status`
shows, and `loopback` creates certificates for this machine alone. The commands `serve`, `controller`, `run`
and `certs` call it.
"""
