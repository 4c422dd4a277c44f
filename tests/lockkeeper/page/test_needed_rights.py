"""Which rights the page asks about, and what it says of each."""

from lockkeeper.page.needed_rights import needed_rights, rights_of
from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, Resource
from policy.core.objects.json_patch import JsonObject
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import quota


def test_rights_are_told_by_verb_object_and_place() -> None:
    """As an administrator writes them into a role."""
    assert [str(each) for each in needed_rights("a")] == [
        "list workflows.argoproj.io in a",
        "list workflowquotas.lockkeeper.dev in a",
        "list clusterworkflowquotas.lockkeeper.dev",
        "get namespaces a",
        "get runlengths.lockkeeper.dev lockkeeper",
        "get configmaps in a",
        "list synchronizationpolicies.lockkeeper.dev in a",
        "list clustersynchronizationpolicies.lockkeeper.dev",
        "list quotaledgers.lockkeeper.dev",
    ]
    assert str(needed_rights("")[0]) == "list workflows.argoproj.io in all namespaces"
    assert {each.binding for each in needed_rights("a")} == {"a RoleBinding in a", "a ClusterRoleBinding"}


def test_the_cluster_says_which_are_there() -> None:
    """Whatever grants them."""
    scene = Scene(quota("a", "main", workflows=1))
    rows = rights_of(RightsIn(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS), "a")
    assert [each.allowed for each in rows if each.right.needed] == [True, True, True]
    rows = rights_of(RightsIn(scene.cluster, {"b"}), "a")
    assert {each.allowed for each in rows} == {False}


class Silent(RightsIn):
    """A cluster that says nothing of rights, or something that cannot be read."""

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Answer something else."""
        del obj, namespace, dry_run
        if resource.kind == "SelfSubjectAccessReview" and self.user == "broken":
            return {"status": 7}
        raise NotFound("no such path") if self.user == "old" else Forbidden("no")


def test_where_the_cluster_does_not_say_it_is_not_known() -> None:
    """No error of its own comes of it."""
    scene = Scene(quota("a", "main", workflows=1))
    for user in ("broken", "old", "other"):
        cluster = Silent(scene.cluster, {"a"})
        cluster.user = user
        assert {each.allowed for each in rights_of(cluster, "a")} == {None}
