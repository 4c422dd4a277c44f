"""The process that serves admission: gunicorn around the application, and connections that end in time.

Sockets come in; calls of an `application` go out. `server` configures gunicorn with certificates that are
swapped while it runs. `worker` is a loop that silent and slow clients cannot stop; `http_flow` makes answers
of what arrives on a `client_connection`, `http_messages` parses and writes, `connections` decides which is
closed at the limit (docs/adr/0034). Nothing here knows what a review is. Started by `lockkeeper serve` and
the embedded mode. Next: `webhook.routes`.
"""
