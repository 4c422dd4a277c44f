import pytest

from certs.subject_names import UnusableNameError, normalised_names


def test_names_are_spelled_in_one_way() -> None:
    """Names that mean the same must not make a certificate look as if it were for others."""
    given = ["Webhook.Team-A.svc.", "webhook.team-a.svc", "127.0.0.1", "0:0:0:0:0:0:0:1", "*.Example.com"]
    assert normalised_names(given) == {"webhook.team-a.svc", "127.0.0.1", "::1", "*.example.com"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a-",
        "a b",
        "ä.example",
        "a" * 64,
        "a." * 127 + "a",
        "127.0.0.300",
        "a.*.b",
        "x/y",
    ],
)
def test_what_is_no_name_is_refused_by_name(name: str) -> None:
    """A client could never match such a name, so it must not get into a certificate."""
    with pytest.raises(UnusableNameError) as caught:
        normalised_names(["good.example", name])
    assert caught.value.name == name


def test_a_certificate_without_any_name_is_refused() -> None:
    """Clients match alternative names only, so a certificate without one is of no use."""
    with pytest.raises(UnusableNameError) as caught:
        normalised_names([])
    assert str(caught.value) == "a certificate needs a name: give names such as svc.ns.svc or 127.0.0.1"


def test_a_refusal_has_an_example_of_a_name() -> None:
    """The message has to lead to the fix."""
    assert str(UnusableNameError("a b")) == (
        "'a b' is neither a DNS name nor an IP address: give names such as svc.ns.svc or 127.0.0.1"
    )
