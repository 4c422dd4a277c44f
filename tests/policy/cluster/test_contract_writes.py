"""What every cluster does on create, replace and delete."""

import pytest

from policy.cluster.errors import AlreadyExists, Conflict, Invalid, NotFound
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, WORKFLOWS, JsonPatch, MergePatch, Preconditions
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import Place, field, text

FINALIZER = "lockkeeper.dev/contract"


def test_a_created_object_has_identity_version_and_generation(place: Place) -> None:
    """Create fills in what only the server knows, and get returns the same object."""
    made = place.add("a")
    assert text(made, "metadata", "uid")
    assert text(made, "metadata", "resourceVersion")
    assert text(made, "metadata", "creationTimestamp").endswith("Z")
    assert field(made, "metadata", "namespace") == place.namespace
    assert field(made, "metadata", "generation") == 1
    assert place.get("a") == made


def test_generated_names_are_unique_and_carry_the_prefix(place: Place) -> None:
    """Objects with a generateName get five characters after it."""
    obj = place.workflow("", generateName="run-")
    names = {
        text(place.cluster.create(WORKFLOWS, obj, namespace=place.namespace), "metadata", "name")
        for _ in range(10)
    }
    assert len(names) == 10
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


def test_a_taken_name_is_refused_until_it_is_free(place: Place) -> None:
    """AlreadyExists holds for one kind in one namespace, and ends with the delete."""
    first = place.add("a")
    with pytest.raises(AlreadyExists):
        place.add("a")
    place.add_config_map("a")
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    assert field(place.add("a"), "metadata", "uid") != field(first, "metadata", "uid")


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": {}},
        {"metadata": {"name": "a", "namespace": "another"}},
        {"metadata": {"name": "a", "resourceVersion": "5"}},
        {"metadata": {"name": "a"}, "kind": "CronWorkflow"},
        {"metadata": {"name": "a"}, "apiVersion": "argoproj.io/v1"},
    ],
    ids=["no name", "other namespace", "resourceVersion", "other kind", "other version"],
)
def test_create_refuses_an_object_that_cannot_be_stored_so(place: Place, wrong: JsonObject) -> None:
    """Each of these is Invalid, and nothing is stored."""
    with pytest.raises(Invalid):
        place.cluster.create(WORKFLOWS, {**place.workflow("a"), **wrong}, namespace=place.namespace)
    assert place.names() == []


def test_create_ignores_a_uid_and_a_creation_time_of_the_client(place: Place) -> None:
    """An object read elsewhere may be created here without cleaning it."""
    made = place.add("a", uid="mine", creationTimestamp="2001-01-01T00:00:00Z")
    assert field(made, "metadata", "uid") != "mine"
    assert field(made, "metadata", "creationTimestamp") != "2001-01-01T00:00:00Z"


def test_a_dry_run_returns_the_object_and_stores_nothing(place: Place) -> None:
    """A dry run fails as the create would, and leaves no trace."""
    obj = place.workflow("a")
    made = place.cluster.create(WORKFLOWS, obj, namespace=place.namespace, dry_run=True)
    assert field(made, "metadata", "namespace") == place.namespace
    assert text(made, "metadata", "uid")
    with pytest.raises(NotFound):
        place.get("a")
    place.add("a")
    with pytest.raises(AlreadyExists):
        place.cluster.create(WORKFLOWS, obj, namespace=place.namespace, dry_run=True)


def test_callers_cannot_reach_stored_state(place: Place) -> None:
    """Neither what was given nor what was returned is what is stored."""
    labels: dict[str, JsonValue] = {"team": "etl"}
    given = place.workflow("a", labels=labels)
    made = place.cluster.create(WORKFLOWS, given, namespace=place.namespace)
    listed = place.cluster.list(WORKFLOWS, namespace=place.namespace).items[0]
    labels["team"] = "changed"
    for obj in (given, made, listed, place.get("a")):
        spec = obj["spec"]
        assert isinstance(spec, dict)
        spec["entrypoint"] = "changed"
    stored = place.get("a")
    assert field(stored, "metadata", "labels") == {"team": "etl"}
    assert field(stored, "spec", "entrypoint") == "main"


def test_replace_at_the_read_version_moves_the_version(place: Place) -> None:
    """A replace stores the whole object, and keeps uid and creationTimestamp though they were left out."""
    made = place.add("a", labels={"team": "etl"})
    version = text(made, "metadata", "resourceVersion")
    new = place.workflow("a", namespace=place.namespace, resourceVersion=version)
    stored = place.cluster.replace(WORKFLOWS, new)
    assert field(stored, "metadata", "resourceVersion") != version
    assert field(stored, "metadata", "labels") is None
    for unchanged in ("uid", "creationTimestamp"):
        assert field(stored, "metadata", unchanged) == field(made, "metadata", unchanged)
    assert place.get("a") == stored


def test_replace_at_an_old_version_conflicts(place: Place) -> None:
    """Of two writers that read the same version, the second one fails and changes nothing."""
    made = place.add("a")
    first = place.cluster.replace(WORKFLOWS, {**made, "spec": {"entrypoint": "first"}})
    with pytest.raises(Conflict):
        place.cluster.replace(WORKFLOWS, {**made, "spec": {"entrypoint": "second"}})
    assert place.get("a") == first


def test_replace_without_a_version_is_unconditional(place: Place) -> None:
    """The API server allows it for ConfigMaps; for custom resources it insists on a version."""
    place.add_config_map("a", key="1")
    new: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": place.namespace},
        "data": {"key": "2"},
    }
    assert field(place.cluster.replace(CONFIG_MAPS, new), "data", "key") == "2"


def test_replace_refuses_another_uid_and_an_absent_object(place: Place) -> None:
    """An object deleted and made again under its name is not the one that was read."""
    made = place.add("a")
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    with pytest.raises(Conflict):
        place.cluster.replace(WORKFLOWS, {**made, "metadata": {**metadata, "uid": "another"}})
    with pytest.raises(NotFound):
        place.cluster.replace(WORKFLOWS, {**made, "metadata": {**metadata, "name": "b"}})


def test_a_write_that_changes_nothing_leaves_the_version(place: Place) -> None:
    """Repeating a replace or a patch is free: no new version and no event."""
    made = place.add("a", labels={"team": "etl"})
    since = place.version()
    assert place.cluster.replace(WORKFLOWS, made) == made
    same = MergePatch({"metadata": {"labels": {"team": "etl"}}})
    assert place.cluster.patch(WORKFLOWS, "a", same, namespace=place.namespace) == made
    assert place.events(since) == []


def test_the_generation_counts_changes_outside_metadata(place: Place) -> None:
    """A Workflow's status counts as well, because Argo's kinds have no status subresource."""
    place.add("a")
    seen = []
    for change in (
        MergePatch({"metadata": {"labels": {"team": "etl"}}}),
        MergePatch({"spec": {"entrypoint": "other"}}),
        MergePatch({"status": {"phase": "Running"}}),
        MergePatch({"status": {"phase": "Running"}}),
    ):
        patched = place.cluster.patch(WORKFLOWS, "a", change, namespace=place.namespace)
        seen.append(field(patched, "metadata", "generation"))
    assert seen == [1, 2, 3, 3]


def test_delete_removes_the_object(place: Place) -> None:
    """A deleted object is NotFound for everything afterwards."""
    place.add("a")
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    with pytest.raises(NotFound):
        place.get("a")
    with pytest.raises(NotFound):
        place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)


def test_delete_holds_to_its_preconditions(place: Place) -> None:
    """A delete meant for another uid or version conflicts; one meant for this object works."""
    made = place.add("a")
    uid, version = text(made, "metadata", "uid"), text(made, "metadata", "resourceVersion")
    place.cluster.patch(WORKFLOWS, "a", MergePatch({"spec": {"priority": 1}}), namespace=place.namespace)
    for stale in (Preconditions(uid="another"), Preconditions(resource_version=version)):
        with pytest.raises(Conflict):
            place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace, preconditions=stale)
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace, preconditions=Preconditions(uid=uid))
    assert place.names() == []


def test_a_deleted_object_stays_until_its_finalizer_is_removed(place: Place) -> None:
    """Delete marks the object once; the write that drops the last finalizer lets it go."""
    place.add("a", finalizers=[FINALIZER])
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    marked = place.get("a")
    assert text(marked, "metadata", "deletionTimestamp").endswith("Z")
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    assert place.get("a") == marked
    more = MergePatch({"metadata": {"finalizers": [FINALIZER, "lockkeeper.dev/another"]}})
    with pytest.raises(Invalid):
        place.cluster.patch(WORKFLOWS, "a", more, namespace=place.namespace)
    release = JsonPatch((PatchOp(Op.REMOVE, "/metadata/finalizers"),))
    place.cluster.patch(WORKFLOWS, "a", release, namespace=place.namespace)
    assert place.names() == []


def test_a_write_that_leaves_the_finalizer_leaves_the_object(place: Place) -> None:
    """An object that is being deleted can still be changed, but not brought back."""
    place.add("a", finalizers=[FINALIZER])
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    place.cluster.patch(
        WORKFLOWS, "a", MergePatch({"metadata": {"labels": {"x": "y"}}}), namespace=place.namespace
    )
    assert text(place.get("a"), "metadata", "deletionTimestamp")
    version = text(place.get("a"), "metadata", "resourceVersion")
    bare = place.workflow("a", namespace=place.namespace, resourceVersion=version)
    place.cluster.replace(WORKFLOWS, bare)
    assert place.names() == []


def test_deleting_an_owner_deletes_what_it_owns_in_the_background(place: Place) -> None:
    """The cascade crosses kinds and goes all the way down."""
    config_map = place.add_config_map("root")
    child = place.add("child", ownerReferences=[_reference(config_map)])
    place.add("grandchild", ownerReferences=[_reference(child)])
    place.add("bystander")
    since = place.version()
    place.cluster.delete(CONFIG_MAPS, "root", namespace=place.namespace)
    left = {"child", "grandchild"}
    for event in place.cluster.watch(WORKFLOWS, since=since, namespace=place.namespace, timeout=PATIENCE):
        if event.type == "DELETED":
            left.remove(text(event.object, "metadata", "name"))
        if not left:
            break
    assert place.names() == ["bystander"]


def test_cluster_scoped_kinds_have_no_namespace(place: Place) -> None:
    """A Namespace is found without one, and its object carries none."""
    found = place.cluster.get(NAMESPACES, place.namespace)
    assert field(found, "metadata", "namespace") is None


def _reference(owner: JsonObject) -> JsonValue:
    """Return the owner reference to an object."""
    return {
        "apiVersion": text(owner, "apiVersion"),
        "kind": text(owner, "kind"),
        "name": text(owner, "metadata", "name"),
        "uid": text(owner, "metadata", "uid"),
    }
