"""Whom a Workflow counts for, and how accounts are written."""

import pytest

from policy.core.objects import well_known
from policy.core.objects.identities import UPSTREAM, Identities, requester, user_of
from tests.policy.core.admission.attempts import ARGO, SERVER

PERSON = {well_known.CREATOR: "0001", well_known.CREATOR_EMAIL: "ann.at.example.com"}


def test_argo_server_is_believed_about_the_person_it_creates_for() -> None:
    """By what people read most easily, else by the subject of the token."""
    assert requester(SERVER, PERSON, UPSTREAM) == "ann.at.example.com"
    assert requester(SERVER, {well_known.CREATOR: "0001"}, UPSTREAM) == "0001"
    assert requester(SERVER, {well_known.CREATOR_NAME: "ann", well_known.CREATOR: "0001"}, UPSTREAM) == "ann"
    assert requester(SERVER, {}, UPSTREAM) == SERVER


@pytest.mark.parametrize("user", ["bob", ARGO, "system:serviceaccount:team-a:argo-server", f"{SERVER}x"])
def test_nobody_else_is_believed(user: str) -> None:
    """Neither people, nor a Sensor, nor an account of the same name elsewhere, nor what a schedule copies."""
    assert requester(user, PERSON, UPSTREAM) == user


def test_accounts_are_those_of_the_installation() -> None:
    """Argo's Helm chart calls them otherwise."""
    there = Identities(argo_servers=frozenset({user_of("flows:server")}))
    assert requester("system:serviceaccount:flows:server", PERSON, there) == "ann.at.example.com"
    assert requester(SERVER, PERSON, there) == SERVER


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("argo:argo", "system:serviceaccount:argo:argo"),
        ("system:serviceaccount:argo:argo", "system:serviceaccount:argo:argo"),
        ("admin", "admin"),
    ],
)
def test_an_account_is_a_service_account_or_a_user(text: str, user: str) -> None:
    """As values and options write them."""
    assert user_of(text) == user


@pytest.mark.parametrize("text", ["", ":argo", "argo:"])
def test_half_an_account_is_none(text: str) -> None:
    """It would match no user, and Argo would stop."""
    with pytest.raises(ValueError, match="is no account"):
        user_of(text)
