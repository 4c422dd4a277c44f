"""Lock policies as they apply to one namespace: which govern it, which limits and rules they define."""

from fnmatch import fnmatchcase
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.template_bodies import images_of, type_of
from policy.core.lock_review.missing_locks import missing_locks, template_finder
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Container, Template, TemplateRef
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import LEAF_TYPES, TemplateType
from policy.core.values.memo import MOST_KEPT
from tests.policy.core.builders import (
    NAMESPACE,
    cluster_lock_policy,
    config_map,
    definition,
    lock_policy,
    locks_of,
    namespace_object,
    rule,
    semaphore_target,
    snapshot,
    template_of,
)

MUTEX: Final[JsonObject] = {"mutex": "one"}
ETL: Final[JsonObject] = {"matchLabels": {"team": "etl"}}


def _sources(locks: LockPolicies | None) -> list[str]:
    return [each.source for each in locks.policies] if locks is not None else []


def _selected(locks: LockPolicies, template: JsonObject) -> list[str]:
    return [each.name for each in locks.rules_for(template_of(template))]


def test_a_policy_governs_its_own_namespace_and_a_cluster_policy_those_that_it_selects() -> None:
    """Labels of the Namespace object decide; where no policy applies, nothing is compiled."""
    policies = snapshot(
        lock_policy("own"),
        lock_policy("other", namespace="team-b"),
        cluster_lock_policy("etl", namespaceSelector=ETL),
        namespace_object("team-b", team="etl"),
        namespace_object("team-c", team="etl"),
        namespace_object("team-d", team="web"),
    )
    found = {
        name: _sources(policies.policies(name).locks) for name in ("team-a", "team-b", "team-c", "team-d")
    }
    assert found == {
        "team-a": ["SynchronizationPolicy team-a/own"],
        "team-b": ["ClusterSynchronizationPolicy etl", "SynchronizationPolicy team-b/other"],
        "team-c": ["ClusterSynchronizationPolicy etl"],
        "team-d": [],
    }
    assert policies.policies("team-d").locks is None


def test_policies_apply_in_one_order_whatever_order_they_are_read_in() -> None:
    """Cluster policies first, then by name; files and watches list as they please."""
    documents: list[Document] = [lock_policy("b"), cluster_lock_policy("z"), lock_policy("a")]
    wanted = _sources(locks_of(*documents))
    assert wanted == [
        "ClusterSynchronizationPolicy z",
        "SynchronizationPolicy team-a/a",
        "SynchronizationPolicy team-a/b",
    ]
    assert _sources(locks_of(*reversed(documents))) == wanted


def test_only_policies_that_match_the_workflow_are_active() -> None:
    """`match.workflows` selects by the Workflow's labels."""
    locks = locks_of(lock_policy("all"), lock_policy("etl", match={"workflows": ETL}))
    assert [each.source for each in locks.active({})] == ["SynchronizationPolicy team-a/all"]
    assert list(locks.active({"team": "etl"})) == list(locks.policies)


def test_the_namespaces_own_definition_wins_over_the_clusters_and_both_over_the_config_map() -> None:
    """The policy's limit is written to the ConfigMap, so it is the one that will be there."""
    data = config_map(db="3", only_map="4")
    cluster = cluster_lock_policy(semaphores=[definition("db", 2), definition("only-cluster", 5)])
    own = lock_policy(semaphores=[definition("db", 1)])

    def limit(key: str, *documents: Document) -> str | None:
        return locks_of(lock_policy("any"), *documents).definitions.limit(NAMESPACE, "limits", key)

    assert limit("db", data, cluster, own) == "1"
    assert limit("db", data, cluster) == "2"
    assert limit("db", data) == "3"
    assert limit("db") is None
    assert limit("only-map", data, cluster, own) == "4"
    assert limit("only-cluster", data, cluster, own) == "5"


def test_a_cluster_definition_holds_in_the_namespaces_that_it_selects_only() -> None:
    """A limit of another team's namespaces does not count."""
    locks = locks_of(
        lock_policy(),
        cluster_lock_policy(namespaceSelector=ETL, semaphores=[definition("db")]),
        namespace_object("team-b", team="etl"),
    )
    assert locks.definitions.limit(NAMESPACE, "limits", "db") is None
    assert locks.definitions.limit("team-b", "limits", "db") == "1"


def test_definitions_of_other_namespaces_are_known_for_locks_that_name_them() -> None:
    """A lock may name another namespace where that is allowed, so its policies and ConfigMaps count."""
    locks = locks_of(
        lock_policy(),
        lock_policy(namespace="team-b", semaphores=[definition("db", 7)]),
        config_map(namespace="team-c", db="x"),
    )
    assert locks.definitions.limit("team-b", "limits", "db") == "7"
    assert locks.definitions.limit("team-c", "limits", "db") == "x"
    assert locks.definitions.limit(NAMESPACE, "limits", "db") is None
    assert locks.definitions.limit("team-b", "other", "db") is None


def test_the_keys_beside_one_that_is_missing_are_sorted_and_come_from_everywhere() -> None:
    """They are suggested to the user."""
    locks = locks_of(
        lock_policy(semaphores=[definition("own"), definition("elsewhere", config_map="other")]),
        cluster_lock_policy(semaphores=[definition("cluster")]),
        config_map(mapped="1"),
    )
    assert locks.definitions.keys_beside(NAMESPACE, "limits") == ["cluster", "mapped", "own"]
    assert locks.definitions.keys_beside("team-b", "limits") == ["cluster"]


def test_only_keys_that_are_defined_for_the_namespace_are_offered() -> None:
    """Following the suggestion must not lead to the same denial."""
    locks = locks_of(
        lock_policy(), cluster_lock_policy(namespaceSelector=ETL, semaphores=[definition("db-main")])
    )
    assert locks.definitions.limit(NAMESPACE, "limits", "db-main") is None
    assert locks.definitions.keys_beside(NAMESPACE, "limits") == []


@pytest.mark.parametrize(
    ("templates", "template", "selected"),
    [
        ({"names": ["load-*"]}, {"name": "load-a", "container": {}}, True),
        ({"names": ["load-*"]}, {"name": "unload-a", "container": {}}, False),
        ({"names": ["load-*"]}, {"name": "Load-a", "container": {}}, False),
        ({"names": ["x", "load-?"]}, {"name": "load-a", "container": {}}, True),
        ({"names": ["load-?"]}, {"name": "load-ab", "container": {}}, False),
        ({"names": ["load-[ab]"]}, {"name": "load-c", "container": {}}, False),
        ({"names": ["load.*"]}, {"name": "load-a", "container": {}}, False),
        ({"names": ["*"]}, {"container": {}}, True),
        ({"images": ["*/db:*"]}, {"name": "t", "container": {"image": "reg.io/db:1"}}, True),
        ({"images": ["*/db:*"]}, {"name": "t", "script": {"image": "reg.io/db:1"}}, True),
        ({"images": ["*/db:*"]}, {"name": "t", "container": {"image": "reg.io/dbx:1"}}, False),
        ({"images": ["b"]}, {"containerSet": {"containers": [{"image": "a"}, {"image": "b"}]}}, True),
        ({"images": ["*"]}, {"name": "t", "http": {}}, False),
        ({"types": ["script"]}, {"name": "t", "script": {}}, True),
        ({"types": ["script"]}, {"name": "t", "container": {}}, False),
        ({"types": ["dag"]}, {"name": "t", "dag": {"tasks": []}}, True),
        ({"names": ["*"]}, {"name": "t", "dag": {"tasks": []}}, False),
        ({"names": ["*"]}, {"name": "t", "steps": []}, False),
        ({"names": ["*"]}, {"name": "t", "suspend": {}}, False),
        ({"types": ["suspend"]}, {"name": "t", "suspend": {}}, True),
        ({"names": ["*"]}, {"name": "t"}, False),
        ({"labels": {"a": "1"}}, {"container": {}, "metadata": {"labels": {"a": "1", "b": "2"}}}, True),
        ({"labels": {"a": "1"}}, {"container": {}, "metadata": {"labels": {"a": "2"}}}, False),
        ({"labels": {"a": "1"}}, {"container": {}, "metadata": {"labels": None}}, False),
        ({"labels": {"a": "1"}}, {"container": {}, "metadata": None}, False),
        ({"names": ["t"], "images": ["a"]}, {"name": "t", "container": {"image": "b"}}, False),
        ({"names": ["t"], "images": ["a"]}, {"name": "t", "container": {"image": "a"}}, True),
    ],
)
def test_a_rule_selects_by_every_part_that_it_gives(
    templates: JsonObject,
    template: JsonObject,
    selected: bool,  # noqa: FBT001
) -> None:
    """Globs of names and images, types (leaves where absent) and labels; all given parts must match."""
    locks = locks_of(lock_policy(inject=[rule("r", MUTEX, **templates)]))
    assert _selected(locks, template) == (["r"] if selected else [])


@pytest.mark.parametrize("type_", sorted(LEAF_TYPES))
def test_every_leaf_type_is_selected_where_no_type_is_given(type_: TemplateType) -> None:
    """Seven of the ten types do work themselves."""
    assert len(LEAF_TYPES) == 7
    locks = locks_of(lock_policy(inject=[rule("r", MUTEX)]))
    assert _selected(locks, {"name": "t", type_.value: {}}) == ["r"]


def test_rules_are_in_the_order_of_policies_and_rules() -> None:
    """A patch has the locks in the order in which they are written."""
    locks = locks_of(
        lock_policy("b", inject=[rule("b2", MUTEX), rule("b1", {"mutex": "two"})]),
        lock_policy("a", inject=[rule("a1", {"database": "three"})]),
        cluster_lock_policy(inject=[rule("c1", semaphore_target("db"))]),
    )
    assert _selected(locks, {"name": "t", "container": {}}) == ["c1", "a1", "b2", "b1"]


_names = st.sampled_from(("load-a", "load-b", "save", None))
_images = st.sampled_from(("db:1", "web:1", None))
_labels = st.sampled_from((None, {}, {"a": "1"}, {"a": "2"}))


@st.composite
def _templates(draw: st.DrawFn) -> JsonObject:
    template: JsonObject = {"name": draw(_names)}
    kind = draw(st.sampled_from(("container", "script", "http", "dag", "none")))
    if kind in ("container", "script"):
        template[kind] = {"image": draw(_images)}
    elif kind != "none":
        template[kind] = {}
    labels = draw(_labels)
    if labels is not None:
        template["metadata"] = {"labels": dict(labels)}
    return template


@st.composite
def _rules(draw: st.DrawFn) -> list[JsonObject]:
    rules = []
    for number in range(draw(st.integers(0, 4))):
        selector: dict[str, JsonValue] = {}
        if draw(st.booleans()):
            selector["names"] = [draw(st.sampled_from(("load-*", "save", "*")))]
        if draw(st.booleans()):
            selector["images"] = [draw(st.sampled_from(("db:*", "*")))]
        if draw(st.booleans()):
            selector["types"] = [draw(st.sampled_from(("container", "http", "dag")))]
        if draw(st.booleans()):
            selector["labels"] = {"a": "1"}
        rules.append(rule(f"r{number}", {"mutex": f"m{number}"}, **selector))
    return rules


def _by_hand(written: JsonObject, template: Template) -> bool:
    """Evaluate a rule's selector as written, with nothing compiled and nothing remembered."""
    selector = written["templates"]
    assert isinstance(selector, dict)
    names, images, types, labels = (selector.get(key) for key in ("names", "images", "types", "labels"))
    type_ = type_of(template)
    own = (template.metadata.labels if template.metadata else None) or {}
    return (
        type_ is not None
        and (type_.value in types if isinstance(types, list) else type_ in LEAF_TYPES)
        and (
            not isinstance(names, list) or any(fnmatchcase(template.name or "", str(each)) for each in names)
        )
        and (
            not isinstance(images, list)
            or any(fnmatchcase(image, str(each)) for each in images for image in images_of(template))
        )
        and (not isinstance(labels, dict) or labels.items() <= own.items())
    )


@given(_rules(), st.lists(_templates(), min_size=1, max_size=8))
def test_what_is_remembered_of_templates_never_changes_which_rules_select_them(
    rules: list[JsonObject], templates: list[JsonObject]
) -> None:
    """For templates that differ in labels or type only, the answers are the same twice, and right."""
    locks = locks_of(lock_policy(inject=list(rules)))
    for template in [*templates, *reversed(templates)]:
        decoded = template_of(template)
        wanted = [each["name"] for each in rules if _by_hand(each, decoded)]
        assert [each.name for each in locks.rules_for(decoded)] == wanted


def test_made_up_template_names_do_not_fill_the_memory() -> None:
    """However many names there are, a bounded number is remembered."""
    locks = locks_of(lock_policy(inject=[rule("r", MUTEX)]))
    for number in range(MOST_KEPT + 5):
        locks.rules_for(Template(name=f"t{number}", container=Container("a")))
    assert 0 < len(locks.caches.rules) <= MOST_KEPT
    assert [each.name for each in locks.rules_for(Template(name="t1", container=Container("a")))] == ["r"]


def test_made_up_references_do_not_fill_the_memory() -> None:
    """Nor do names of templates of other objects, which exist or not."""
    policies = snapshot(lock_policy(inject=[rule("r", MUTEX)]))
    locks = policies.policies(NAMESPACE).locks
    assert locks is not None
    find = template_finder(locks, policies)
    for number in range(MOST_KEPT + 5):
        ref = TemplateRef(name=f"t{number}", template="t")
        assert find(ref) is None
        assert missing_locks(ref, locks, policies) == ()
    assert 0 < len(locks.caches.foreign) <= MOST_KEPT
    assert 0 < len(locks.caches.missing) <= MOST_KEPT
