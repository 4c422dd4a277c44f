"""The process that serves admission: gunicorn around the WSGI application, and connections that end in time.

Sockets come in; WSGI calls go out. `server` configures gunicorn with certificates that are swapped while it
runs, `worker` is a threaded worker that silent and slow clients cannot stop, `timed_socket` bounds each read
and write, `connections` decides which connection is closed at the limit (docs/adr/0006). Nothing here knows
what a review is. Started by `lockkeeper serve` and the embedded mode. Next: `webhook.routes`.
"""
