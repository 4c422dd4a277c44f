"""`lockkeeper web`: the page of a cluster on this machine, with the rights of whoever runs it."""

import argparse
import signal
from contextlib import closing
from threading import Event

from lockkeeper.options.command_options import add_kubeconfig, reach
from lockkeeper.options.serving_options import PAGE_HOST, PAGE_PORT, listen, port
from lockkeeper.process.console import print_message, utc_now

EXAMPLES = """examples:
  lockkeeper web
  lockkeeper web -n team-etl --port 0        one namespace, on a free port

It serves a page on 127.0.0.1 until Ctrl-C: quotas, queue, why each Workflow waits, locks, policies, history.
It reads with your own rights, and changes nothing. Whoever can open a connection to this machine's loopback
sees what you may read, as with kubectl proxy.
Exit codes: 0 stopped, 2 the port is in use or there is no cluster to reach."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    parser.add_argument(
        "-n", "--namespace", default="", help="one namespace (default: all that you may read)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=PAGE_PORT,
        help="port to listen on; 0 takes a free one (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    # Flask takes a while to import; the help does without it.
    from lockkeeper.page.page_server import PageServer, page_url  # noqa: PLC0415 - see above

    with closing(reach(arguments)) as cluster:
        listener = listen(PAGE_HOST, arguments.port)
        server = PageServer(
            cluster=cluster,
            namespace=arguments.namespace,
            listener=listener,
            clock=utc_now,
            bug=lambda error: print_message(f"a fault of ours: {type(error).__name__}: {error}"),
        )
        server.start()
        print(f"{page_url(listener)}  until Ctrl-C", flush=True)
        stopped = Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: stopped.set())
        stopped.wait()
        server.stop()
    return 0
