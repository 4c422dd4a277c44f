"""Names of objects, as options give them."""

import pytest

from lockkeeper.process.kubernetes_objects import NamespacedName


@pytest.mark.parametrize("text", ["workflow-controller", "/a", "a/", "a/b/c"])
def test_a_name_needs_a_namespace(text: str) -> None:
    """As the option and the value of the chart say."""
    with pytest.raises(ValueError, match="give NAMESPACE/NAME"):
        NamespacedName.parse(text, "Deployment")
    assert NamespacedName.parse("argo/workflow-controller", "Deployment") == NamespacedName(
        "argo", "workflow-controller"
    )
