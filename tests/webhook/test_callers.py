"""Who calls: paths with a secret part, and what becomes of a call that does not know it."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.core.decision.decision import Side
from tests.webhook.calling import Webhook
from tests.webhook.reviews import admission_review, encoded, quota, workflow
from webhook.callers import (
    AcceptedSecret,
    UnknownCallers,
    WebhookCall,
    call_of,
    is_accepted,
    path_of,
)
from webhook.http_errors import NotSynced
from webhook.serving.http_messages import JSON, Head
from webhook.turns import ALONE

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "5e" * 32
WRONG = ("/mutate", f"/mutate/{'5f' * 32}", f"/mutate/{SECRET}/", f"/mutate/{SECRET[:-1]}")


class Knowing:
    """Knows one secret."""

    def accepts(self, call: WebhookCall) -> bool:
        return is_accepted(call.secret, [AcceptedSecret(SECRET.encode())], NOW)

    def accepts_after_read(self, call: WebhookCall) -> bool:
        return self.accepts(call)


class NotYet:
    """Has not read the configurations."""

    def accepts(self, _call: WebhookCall) -> bool:
        return False

    def accepts_after_read(self, call: WebhookCall) -> bool:
        raise NotSynced(f"the webhook configurations are not read yet, and {call.side} asks")


@pytest.fixture
def guarded() -> Webhook:
    """Return a webhook with one slot, that answers who knows the secret."""
    return Webhook(quota("Deny", limits={"workflows": 1}), callers=Knowing())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/mutate", WebhookCall(Side.MUTATE)),
        ("/validate", WebhookCall(Side.VALIDATE)),
        (f"/policies/{SECRET}", WebhookCall(Side.POLICIES, SECRET)),
        ("/mutate/", None),
        ("/mutate/a/b", WebhookCall(Side.MUTATE, "a/b")),
        ("/mutated", None),
        ("//mutate", None),
        ("/", None),
        ("", None),
        ("/metrics/x", None),
    ],
)
def test_a_path_says_a_side_and_a_secret(path: str, expected: WebhookCall | None) -> None:
    """Nothing else is a path of ours."""
    assert call_of(path) == expected


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("secret", ["", SECRET])
def test_a_path_that_is_made_is_read_back(side: Side, secret: str) -> None:
    """The controller writes what the webhook reads."""
    assert call_of(path_of(side, secret)) == WebhookCall(side, secret)


def test_a_former_secret_is_answered_for_its_time() -> None:
    """Then it is as strange as any other."""
    answered = [AcceptedSecret(b"now"), AcceptedSecret(b"before", NOW + timedelta(seconds=1))]
    assert is_accepted("now", answered, NOW)
    assert is_accepted("before", answered, NOW)
    assert not is_accepted("before", answered, NOW + timedelta(seconds=1))
    for other in ("", "no", "now ", "NOW", "n\u00f6w", "\udcff", "x" * 100_000):
        assert not is_accepted(other, answered, NOW)


@pytest.mark.parametrize(
    "path", ["/mutate", f"/mutate/{'5f' * 32}", f"/mutate/{SECRET}/", f"/mutate/{SECRET[:-1]}"]
)
@pytest.mark.parametrize("times", [1, 5])
def test_a_forged_create_takes_no_slot(guarded: Webhook, path: str, times: int) -> None:
    """It is refused before anything of it is read, and tells how to call instead."""
    for number in range(times):
        head = Head("POST", path, "", JSON, length=1000 + number)
        reply = guarded.app.answer_head(head, "10.0.0.9", ALONE)
        assert reply is not None
        assert reply.status == "403 Forbidden"
        assert reply.body.startswith(b"this path is not in the webhook configurations of Lockkeeper")
    real = guarded.post(encoded(admission_review(workflow(), uid="real")), f"/mutate/{SECRET}")
    assert real.status == 200
    assert b'"allowed":true' in real.body


@pytest.mark.parametrize("path", ["/validate", "/policies"])
def test_other_sides_are_guarded_too(guarded: Webhook, path: str) -> None:
    """A forged refusal gives nothing back, and a forged policy asks nothing."""
    assert guarded.post(encoded(admission_review(workflow())), path).status == 403


@pytest.mark.parametrize("path", ["/mutate", f"/mutate/{SECRET}"])
def test_every_caller_is_answered_where_callers_are_not_distinguished(path: str) -> None:
    """As in the README; a secret path that was left in a configuration is answered as well."""
    assert Webhook().post(encoded(admission_review(workflow())), path).status == 200


def test_nobody_is_answered_before_it_is_known_who_may() -> None:
    """The API server's failure policy decides, as it does while policies are not read."""
    reply = Webhook(callers=NotYet()).post(encoded(admission_review(workflow())))
    assert reply.status == 503


def test_a_megabyte_of_a_path_costs_no_line(guarded: Webhook) -> None:
    """What is refused is counted, and told without what it showed."""
    for _ in range(100):
        assert guarded.post(b"{}", f"/mutate/{'x' * 4000}").status == 403
    text = b"".join(guarded.lines)
    assert b"xxxx" not in text
    assert len(text) < 1000
    assert b'lockkeeper_unknown_callers_total{webhook="mutate"} 100.0' in guarded.metrics.render()


def test_unknown_callers_are_logged_now_and_then() -> None:
    """One line, then a number; never the secret that was shown."""
    now, said = [0.0], list[str]()
    unknown = UnknownCallers(warn=said.append, stopwatch=lambda: now[0])
    for _ in range(3):
        unknown.record(WebhookCall(Side.VALIDATE, SECRET), "10.0.0.9")
    now[0] = 10.0
    unknown.record(WebhookCall(Side.MUTATE, SECRET), "10.0.0.8")
    told = "refused a call of /{} from {} that does not know the path in the webhook configurations{}"
    assert said == [
        told.format("validate", "10.0.0.9", ""),
        told.format("mutate", "10.0.0.8", ", and 2 more since the last such line"),
    ]
