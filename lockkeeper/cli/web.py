"""`lockkeeper web`: the page of a cluster, for whoever runs it, or for all who sign in."""

import argparse
import signal
import sys
import traceback
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry

from lockkeeper.certificates.loopback import ensure_folder
from lockkeeper.certificates.metrics import CertificateLog
from lockkeeper.certificates.serving_certificate import MountedCertificate
from lockkeeper.options.command_options import add_kubeconfig, reach
from lockkeeper.options.serving_options import PAGE_HOST, PAGE_PORT, certificate_names, listen, port
from lockkeeper.process.console import UsageError, print_message, url_of, utc_now, write_to
from lockkeeper.process.health_port import HealthPort
from lockkeeper.process.liveness import ending_at_sigterm
from policy.cluster.kube.kubeconfig import ClusterSettingsError
from webhook.logs import Log

if TYPE_CHECKING:
    from lockkeeper.page_state.prometheus_api import PrometheusApi

EXAMPLES = """examples:
  lockkeeper web
  lockkeeper web -n team-etl --port 0        one namespace, on a free port
  lockkeeper web --prometheus http://127.0.0.1:9090        with a history of up to a week
  lockkeeper web --sign-in --host 0.0.0.0 --host-names queues.example.com --certs-mounted /certs

It serves a page on 127.0.0.1 until Ctrl-C: quotas, queue, why each Workflow waits, locks, policies, history.
It reads with your own rights, and changes nothing. Whoever can open a connection to this machine's loopback
sees what you may read, as with kubectl proxy.
With --sign-in it is for many, over TLS: each brings a token of the cluster, and sees what that may read. It
has no rights of its own then (docs/page.md).
Exit codes: 0 stopped, 2 the port is in use, there is no cluster to reach, or an option is wrong."""

_OWN_NAMES: Final = ("localhost", "127.0.0.1")


class Served(Protocol):
    """A page, or a port for probes."""

    def start(self) -> None:
        """Begin to answer."""

    def stop(self) -> None:
        """End, after the answers that are under way."""


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
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        help="address of the Prometheus that scrapes Lockkeeper, for the history (default: what this process "
        "sees)",
    )
    shared = parser.add_argument_group("for many users")
    shared.add_argument(
        "--sign-in", action="store_true", help="each user signs in with a token of the cluster; over TLS"
    )
    shared.add_argument("--host", help=f"address to listen on (default {PAGE_HOST})")
    shared.add_argument(
        "--host-names",
        type=certificate_names,
        metavar="NAME,NAME",
        help="names by which browsers reach the page, besides localhost",
    )
    shared.add_argument(
        "--certs-mounted",
        type=Path,
        metavar="DIR",
        help="folder with tls.crt and tls.key that others make and renew (default: a certificate of our own, "
        "which no browser knows)",
    )
    shared.add_argument(
        "--health-port", type=port, metavar="PORT", help="port of probes, over plain HTTP (default: none)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    if arguments.sign_in:
        return _serve_all(arguments)
    for option in ("host", "host_names", "certs_mounted", "health_port"):
        if getattr(arguments, option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} goes with --sign-in: without it the page is yours"
            )
    # Flask takes a while to import; the help does without it.
    from lockkeeper.page.page_server import PageServer, page_url  # noqa: PLC0415 - see above

    _check_namespace(arguments)
    prometheus = _prometheus_of(arguments)
    with closing(reach(arguments)) as cluster:
        listener = listen(PAGE_HOST, arguments.port)
        server = PageServer(
            cluster=cluster,
            namespace=arguments.namespace,
            listener=listener,
            clock=utc_now,
            bug=lambda error: print_message(f"a fault of ours: {type(error).__name__}: {error}"),
            prometheus=prometheus,
        )
        _until_stopped([server], page_url(listener))
    return 0


def _serve_all(arguments: argparse.Namespace) -> int:
    """Serve for all who sign in."""
    # As in `run`; the client of the cluster takes a second, too.
    from lockkeeper.page.page_server import SharedPageServer  # noqa: PLC0415 - see above
    from policy.cluster.kube.kube_cluster import clusters_by_token  # noqa: PLC0415 - see above

    _check_namespace(arguments)
    mounted: Path | None = arguments.certs_mounted
    if mounted is not None and not mounted.is_dir():
        raise UsageError(f"--certs-mounted: {mounted} is no folder; give one with tls.crt and tls.key")
    try:
        connect = clusters_by_token(arguments.kubeconfig, context=arguments.context)
    except ClusterSettingsError as error:
        raise UsageError(str(error)) from error
    prometheus = _prometheus_of(arguments)
    host = arguments.host or PAGE_HOST
    names = tuple(dict.fromkeys((*_OWN_NAMES, *(arguments.host_names or ()))))
    listener = listen(host, arguments.port)
    probed = None
    if arguments.health_port is not None:
        probed = listen(host, arguments.health_port, option="--health-port")
    with TemporaryDirectory(prefix="lockkeeper-") as temporary, ending_at_sigterm():
        if mounted is None:
            ensure_folder(Path(temporary), names)
        log = Log(write=write_to(sys.stdout.fileno()), clock=utc_now)
        certificate = MountedCertificate(
            folder=mounted or Path(temporary),
            clock=utc_now,
            reporter=CertificateLog(log=log, registry=CollectorRegistry()),
        )
        certificate.establish()
        served: list[Served] = [
            SharedPageServer(
                connect=connect,
                namespace=arguments.namespace,
                listener=listener,
                tls=certificate.context,
                hosts=names,
                clock=utc_now,
                bug=_tell_without_text,
                prometheus=prometheus,
            )
        ]
        if probed is not None:
            from webhook.probes import create_app  # noqa: PLC0415 - it needs Flask, too

            app = create_app(render=lambda: b"", not_ready=certificate.missing)
            served.append(HealthPort(app=app, listener=probed, bug=_tell_without_text))
        _until_stopped(served, f"{url_of(host, listener.getsockname()[1])}/")
    return 0


def _check_namespace(arguments: argparse.Namespace) -> None:
    """Refuse what can be no namespace, before anybody looks."""
    from lockkeeper.page.sign_in import NAMESPACE  # noqa: PLC0415 - it needs Flask, too

    if arguments.namespace and not NAMESPACE.fullmatch(arguments.namespace):
        raise UsageError(
            f"--namespace: {arguments.namespace!r} is no name of a namespace: "
            "it has small letters, digits and dashes"
        )


def _prometheus_of(arguments: argparse.Namespace) -> "PrometheusApi | None":
    """Return what asks the Prometheus of `--prometheus`."""
    if arguments.prometheus is None:
        return None
    from lockkeeper.page_state.measured_history import PrometheusError  # noqa: PLC0415 - as above
    from lockkeeper.page_state.prometheus_api import PrometheusApi  # noqa: PLC0415 - as above

    try:
        return PrometheusApi(arguments.prometheus)
    except PrometheusError as error:
        raise UsageError(f"--prometheus: {error}") from error


def _until_stopped(served: list[Served], address: str) -> None:
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    for each in served:
        each.start()
    print(f"{address}  until Ctrl-C", flush=True)
    stopped.wait()
    for each in reversed(served):
        each.stop()


def _tell_without_text(error: BaseException) -> None:
    """Tell of a fault of ours, and where it is; not its text, which may hold what somebody sent."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    print_message(f"a fault of ours: {type(error).__name__}{where}")
