"""Which Kubernetes the control plane of the tests is; building it is not tried here, it takes minutes."""

import pytest

from tests.e2e.building import UnknownKubernetesError, control_plane_binary, wanted_version


@pytest.mark.parametrize(
    ("environment", "version"),
    [
        ({}, "1.36.3"),
        ({"LOCKKEEPER_KUBERNETES": ""}, "1.36.3"),
        ({"LOCKKEEPER_KUBERNETES": "1.34"}, "1.34.4"),
        ({"LOCKKEEPER_KUBERNETES": "1.37"}, "1.37.2"),
    ],
)
def test_a_variable_names_the_version(environment: dict[str, str], version: str) -> None:
    """A minor is named, and its patch release is fixed here, so that a red run can be repeated."""
    assert wanted_version(environment) == version


def test_a_version_that_is_not_built_is_named_with_those_that_are() -> None:
    """Whoever mistypes it does not look for the cause in Go."""
    with pytest.raises(UnknownKubernetesError, match=r"=1\.33 is none of 1\.34, 1\.35, 1\.36, 1\.37"):
        control_plane_binary({"LOCKKEEPER_KUBERNETES": "1.33"})
