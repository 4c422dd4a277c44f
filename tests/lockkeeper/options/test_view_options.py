"""Which namespace is shown, as kubectl would take it, and what `--watch` prints."""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

import pytest

from lockkeeper.options.view_options import (
    add_namespaces,
    namespace_of,
    readable_namespace,
    show,
)
from lockkeeper.process.console import UsageError
from policy.cluster.errors import Forbidden, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Listing, Resource
from policy.core.objects.json_patch import JsonObject


class Context(MemoryCluster):
    """A cluster as far as its context goes; lists of the whole cluster raise an error, if there is one."""

    def __init__(self, namespace: str, error: Exception | None = None) -> None:
        super().__init__(clock=lambda: datetime.now(UTC), rng=Random(1))
        self.context_namespace = namespace
        self._error = error

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """List, or fail."""
        if self._error is not None:
            raise self._error
        return super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )


def given(*words: str) -> argparse.Namespace:
    """Return arguments."""
    parser = argparse.ArgumentParser()
    add_namespaces(parser)
    return parser.parse_args(words)


DENIED = Forbidden("no")


@pytest.mark.parametrize(
    ("words", "cluster", "shown"),
    [
        ((), Context(""), ""),
        ((), Context("mine"), ""),
        ((), Context("mine", DENIED), "mine"),
        ((), Context("", DENIED), ""),
        (("-A",), Context("mine", DENIED), ""),
        (("-n", "a"), Context("mine", DENIED), "a"),
    ],
)
def test_all_is_shown_or_what_the_context_names(words: tuple[str, ...], cluster: Context, shown: str) -> None:
    """Who may read one namespace alone need not name it each time."""
    assert readable_namespace(given(*words), cluster) == shown


def test_one_object_is_looked_for_where_kubectl_would() -> None:
    """In the namespace of the option, of the context, or in default."""
    assert namespace_of(given("-n", "a"), Context("mine")) == "a"
    assert namespace_of(given(), Context("mine")) == "mine"
    assert namespace_of(given(), Context("")) == "default"


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    """It is told before anything is shown."""
    with pytest.raises(UsageError, match="the cluster cannot be read: gone"):
        readable_namespace(given(), Context("mine", Unavailable("gone")))


def changing(*texts: str) -> Callable[[], str]:
    """Return what gives one text after the other, and then Ctrl-C."""
    left: Iterator[str] = iter(texts)

    def text() -> str:
        try:
            return next(left)
        except StopIteration:
            raise KeyboardInterrupt from None

    return text


def test_a_watch_prints_again_what_has_changed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is the same is not printed again."""
    monkeypatch.setattr("lockkeeper.options.view_options._WATCH_SECONDS", 0.001)
    with pytest.raises(KeyboardInterrupt):
        show(given("--watch"), changing("one", "one", "two"))
    assert capsys.readouterr().out == "one\ntwo\n"


def test_without_a_watch_it_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """As a script wants it."""
    assert show(given(), changing("one")) == 0
    assert capsys.readouterr().out == "one\n"
