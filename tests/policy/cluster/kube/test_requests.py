"""Requests to the API server: a name that users write leads to one object, or nowhere."""

import pytest

from policy.cluster.errors import NotFound
from policy.cluster.kube import requests
from policy.cluster.protocol import WORKFLOWS


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_is_no_name_reads_no_collection(name: str) -> None:
    """A user who creates a Workflow writes the name of its owner, which is not checked yet."""
    with pytest.raises(NotFound):
        requests.get(WORKFLOWS, "team-a", name)


def test_no_name_leads_out_of_its_collection() -> None:
    """What separates parts of a path is escaped."""
    path = requests.get(WORKFLOWS, "team-a", "../a?b=c#d").path
    assert path == "/apis/argoproj.io/v1alpha1/namespaces/team-a/workflows/..%2Fa%3Fb%3Dc%23d"
