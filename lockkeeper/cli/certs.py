"""`lockkeeper certs`: show the certificates, create them, and change them before they are due."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from certs.authority import UnusableCertificateError
from certs.bundle import facts_of
from certs.files import CertificateFiles
from certs.rotation import CertificateStep, advance, begin_change, change_at_once, renew_leaf
from certs.stores import FolderStore, Store, StoreError, settle
from certs.subject_names import UnusableNameError, normalised_names
from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.loopback import LOOPBACK_NAMES, ensure_folder
from lockkeeper.certificates.report import Report, report_on, table
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.options.command_options import add_kubeconfig, add_output, reach
from lockkeeper.process.console import UsageError, aligned, as_json, for_whoever_reads, utc_now
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster

EXAMPLES = """examples:
  lockkeeper certs status --kubeconfig ~/.kube/config
  lockkeeper certs status -o json --dir DIR            a folder that `serve --certs DIR` uses
  lockkeeper certs init --namespace lockkeeper
  lockkeeper certs rotate                              a new serving certificate, at once
  lockkeeper certs rotate --ca                         begins a change of CA; the controller ends it

On a cluster the certificates are in a Secret; which cluster is decided as in kubectl.
Exit codes: 0 all is well, 1 something is wrong or expired, 2 it cannot be read or written."""

_RELEASE: Final = "lockkeeper"
_ALL_IS_WELL: Final = "nothing to do: all is well"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions, and the options of each."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    for name, summary, act in (
        ("status", "show all certificates, and what is wrong with them", _status),
        ("init", "make what is missing, and repair what is damaged or due", _init),
        ("rotate", "make a new serving certificate, or begin a change of CA", _rotate),
    ):
        action = actions.add_parser(name, help=summary, description=f"Will {summary}.")
        add_kubeconfig(action)
        _add_places(action)
        action.set_defaults(act=act)
        if name == "status":
            add_output(action, "json")
            action.add_argument(
                "--webhook-configurations",
                default=_RELEASE,
                metavar="NAME",
                help="name of the webhook configurations (default %(default)s)",
            )
        if name == "rotate":
            action.add_argument("--ca", action="store_true", help="change the CA, not only what it signed")


def run(arguments: argparse.Namespace) -> int:
    """Run the action."""
    with _errors_in_one_line():
        code: int = arguments.act(arguments)
    return code


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, metavar="DIR", help="a folder of certificates, not a cluster")
    parser.add_argument(
        "-n", "--namespace", default=_RELEASE, help="namespace of the Secret (default %(default)s)"
    )
    parser.add_argument(
        "--secret", default=f"{_RELEASE}-certs", metavar="NAME", help="the Secret (default %(default)s)"
    )
    parser.add_argument(
        "--names",
        default="",
        metavar="NAME,...",
        help="names of the serving certificate (default: those it has; at first those of the Service)",
    )


def _status(arguments: argparse.Namespace) -> int:
    names = _given_names(arguments)
    if arguments.dir is not None:
        kept = FolderStore(arguments.dir).read().files
        report = report_on(kept, now=utc_now(), names=names)
    else:
        with closing(reach(arguments)) as cluster:
            kept = _secret(cluster, arguments).read().files
            configurations = Configurations(cluster=cluster, name=arguments.webhook_configurations)
            placed = configurations.bundles()
        report = report_on(kept, now=utc_now(), names=names, placed=placed)
    _show(report, arguments.output)
    return 1 if report.problems else 0


def _init(arguments: argparse.Namespace) -> int:
    names = _given_names(arguments)
    if arguments.dir is not None:
        made = ensure_folder(arguments.dir, names or LOOPBACK_NAMES)
        return _print_changes(str(change) for change in made.changes)
    with closing(reach(arguments)) as cluster:
        store = _secret(cluster, arguments)
        return _settle(store, lambda kept: _repaired(kept, _names(kept, arguments)))


def _rotate(arguments: argparse.Namespace) -> int:
    if arguments.dir is not None:
        return _rotate_folder(arguments)
    with closing(reach(arguments)) as cluster:
        store = _secret(cluster, arguments)
        if not arguments.ca:
            return _settle(store, lambda kept: _new_leaf(kept, _names(kept, arguments)))

        def begin(kept: CertificateFiles) -> CertificateStep:
            whole = _repaired(kept, _names(kept, arguments))
            begun = begin_change(whole.files, now=utc_now())
            return CertificateStep(begun.files, (*whole.changes, *begun.changes))

        return _settle(store, begin, otherwise="a change of CA is under way already")


def _rotate_folder(arguments: argparse.Namespace) -> int:
    """Change at once: clients that trust a folder read it."""

    def change(kept: CertificateFiles) -> CertificateStep:
        names = _names(kept, arguments)
        if arguments.ca:
            return change_at_once(kept, now=utc_now(), names=names)
        return _new_leaf(kept, names)

    return _settle(FolderStore(arguments.dir), change)


def _repaired(kept: CertificateFiles, names: Sequence[str]) -> CertificateStep:
    """Return the step that is due without waiting for anything.

    Raises:
        UsageError: the certificates are not ours to change.
    """
    if kept.bundle and not kept.authority_key:
        raise UsageError("these certificates are renewed by somebody else: there is no ca.key beside them")
    return advance(kept, now=utc_now(), names=names, in_place_since=None)


def _new_leaf(kept: CertificateFiles, names: Sequence[str]) -> CertificateStep:
    """Return the step to a new serving certificate, after the repairs that it needs.

    Raises:
        UsageError: no CA can sign one now.
    """
    whole = _repaired(kept, names)
    if whole.files.cert != kept.cert:
        return whole
    renewed = renew_leaf(whole.files, now=utc_now(), names=names)
    if not renewed.changes:
        raise UsageError("the CA's key is damaged: the controller waits until the next CA is trusted")
    return CertificateStep(renewed.files, (*whole.changes, *renewed.changes))


def _settle(
    store: Store, decide: Callable[[CertificateFiles], CertificateStep], *, otherwise: str = _ALL_IS_WELL
) -> int:
    settled = settle(store, decide)
    return _print_changes((str(change) for change in settled.changes), otherwise=otherwise)


def _print_changes(changes: Iterable[str], *, otherwise: str = _ALL_IS_WELL) -> int:
    for line in list(changes) or [otherwise]:
        print(line)
    return 0


def _show(report: Report, output: str) -> None:
    with for_whoever_reads():
        if output == "json":
            print(as_json(report))
            return
        if report.certificates:
            print(aligned(table(report)))
        for problem in report.problems:
            print(f"wrong: {problem}")
        for note in report.notes:
            print(f"note: {note}")


def _given_names(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the names that were given. Raises UnusableNameError."""
    names = tuple(filter(None, arguments.names.split(",")))
    if names:
        normalised_names(names)
    return names


def _names(kept: CertificateFiles, arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the names for a certificate: those that were given, those it has, or the usual ones."""
    given = _given_names(arguments)
    facts = facts_of(kept.cert)
    if given or (facts is not None and facts.names):
        return given or tuple(sorted(facts.names if facts else ()))
    if arguments.dir is not None:
        return LOOPBACK_NAMES
    service = f"{arguments.secret.removesuffix('-certs')}-webhook"
    within = f"{service}.{arguments.namespace}"
    return service, within, f"{within}.svc", f"{within}.svc.cluster.local"


def _secret(cluster: Cluster, arguments: argparse.Namespace) -> SecretStore:
    return SecretStore(cluster=cluster, namespace=arguments.namespace, name=arguments.secret)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Report what the caller can correct in one line."""
    try:
        yield
    except (StoreError, UnusableNameError, UnusableCertificateError) as error:
        raise UsageError(str(error)) from error
    except ClusterError as error:
        raise UsageError(f"the webhook configurations cannot be read: {error.message}") from error
