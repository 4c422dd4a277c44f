"""No text and no number of references makes a review's work grow faster than what was sent.

Times are CPU times of the thread, and bounds are far above what is needed: what is mended took seconds to
years.
"""

from collections.abc import Callable
from time import thread_time
from typing import Final

import pytest

from policy.core.decision.decision import Code
from policy.core.injection import wrapper_templates
from policy.core.lock_checks.rulebook import MAX_FAULTS
from policy.core.lock_graph import certain_tasks
from policy.core.lock_model import parameters, when_conditions
from policy.core.lock_model.template_pods import read_patch
from policy.core.lock_model.template_selectors import LONGEST_TEXT, globs, manifest_kind
from policy.core.objects.json_patch import JsonObject, JsonValue, field_path
from policy.core.objects.workflow import Call, Dag
from policy.core.policies.policy_checks import problems
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from policy.core.values.problems import LONGEST_WORD, MAX_CANDIDATES, MOST_HINTS, nearest
from policy.sources.schema_check import did_you_mean
from tests.policy.core.builders import (
    definition,
    lock_policy,
    mutate,
    review_of,
    rule,
    semaphore,
    semaphore_target,
    snapshot,
    validate,
    workflow,
)
from webhook.time_left import parse_duration

SMALL: Final = 20_000
LARGE: Final = 160_000
"""Eight times as many characters: linear work grows eightfold, quadratic work 64-fold."""
MOST_GROWTH: Final = 30
NOISE: Final = 0.02
"""Seconds that are not looked at: what takes less is no danger, and is measured badly."""


def _needed(text: str) -> object:
    return certain_tasks.dependencies_of(Call(name="x", depends=f"{text}$"))


def _certain(text: str) -> object:
    return certain_tasks.certain_tasks(Dag(tasks=(Call(name="a"), Call(name="x", depends=text))))


def _uses(text: str) -> object:
    return wrapper_templates.task_uses({"dag": {"tasks": [{"name": "x", "depends": text, "hooks": {}}]}})


def _glob(text: str) -> object:
    found = globs(("*a*a*a*a*a*b", "*[ab]*[ab]*c", "a*" * 30 + "b", "*" + "a?" * 20 + "*b"))
    return found is not None and found.match([text, f"{{{{{text}"])


READERS: Final[dict[str, Callable[[str], object]]] = {
    "filling in": lambda text: parameters.fill_tags(text, {}),
    "choices": parameters.choices,
    "inputs": parameters.inputs_in,
    "what is shown of a name": parameters.as_written,
    "a name without its condition": when_conditions.without_condition,
    "tasks that one waits for": _needed,
    "certain tasks": _certain,
    "outputs that a caller uses": _uses,
    "the kind of a manifest": manifest_kind,
    "the kind of a JSON manifest": lambda text: manifest_kind(f"{{{text}"),
    "a field path": field_path,
    "globs": _glob,
    "a patch of the Pod": read_patch,
    "a duration of Go": parse_duration,
    "a near word": lambda text: nearest(text, [text[:60]] * 50),
}
SHAPES: Final = (
    "a",
    " ",
    "-",
    "(",
    "!",
    "@",
    "{{",
    "}}{{",
    "{{a",
    "{{= ? 'a' : 'a",
    "{{inputs.parameters['",
    "a && ",
    "a.Failed ",
    "tasks.a .",
    "kind\n",
    '"kind" ',
    "image: ",
    "1h",
    "/1",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("what", READERS)
def test_texts_of_others_are_read_in_linear_time(what: str, shape: str) -> None:
    """Names, tags, `depends`, manifests, images, patches: each up to what fits into a Workflow."""
    reader = READERS[what]

    def took(length: int) -> float:
        text = shape * (length // len(shape))
        began = thread_time()
        reader(text)
        return thread_time() - began

    took(1_000)
    small, large = took(SMALL), took(LARGE)
    assert large < max(small, NOISE) * MOST_GROWTH


def test_a_depends_that_is_nested_too_deep_or_too_long_is_taken_for_unsure() -> None:
    """It neither raises nor takes long; its task counts as uncertain."""
    for text in ("(" * 50_000 + "a" + ")" * 50_000, "!" * 50_000 + "a", "a && " * 50_000 + "a"):
        assert _certain(text) == [True, False]
    assert _certain("(" * 50 + "a" + ")" * 50) == [True, True]


def test_outcomes_are_not_tried_for_ever() -> None:
    """Six uncertain tasks have 729 outcomes together, which are too many for a long expression."""
    unsure = [Call(name=f"t{number}", when="x") for number in range(6)]
    long = Call(name="x", depends=" && ".join(f"t{number % 6}" for number in range(1_500)))
    began = thread_time()
    assert certain_tasks.certain_tasks(Dag(tasks=(*unsure, *(long for _ in range(50)))))[-1] is False
    assert thread_time() - began < 5


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    """Beyond that it fits: a long name does not evade a rule."""
    found = globs(("x-*",))
    assert found is not None
    assert found.fits("a" * (LONGEST_TEXT + 1))
    assert not found.fits("a" * LONGEST_TEXT)


@pytest.mark.parametrize("part", ["names", "images", "serviceAccounts", "volumes", "tasks"])
def test_globs_are_bounded_in_length(part: str) -> None:
    """The CRDs have the same bound."""
    asked: dict[str, JsonValue] = {part: ["a" * 501]}
    (found,) = problems(lock_policy(inject=[rule("a", {"mutex": "m"}, **asked)]))
    assert (found.path, found.message) == (
        f"spec.inject[0].templates.{part}[0]",
        "has 501 characters, and 500 are the most",
    )


def test_near_words_are_looked_for_among_few_and_short_ones() -> None:
    """Two words of 64 characters take a quarter of a millisecond, two of 250 take five."""
    assert nearest("gpus", ["db", "gpu"]) == "gpu"
    assert nearest("gpus", ["gpu", *(f"k{number}" for number in range(MAX_CANDIDATES))]) == ""
    assert nearest("g" * (LONGEST_WORD + 1), ["g" * LONGEST_WORD]) == ""
    assert nearest("g" * LONGEST_WORD, ["g" * (LONGEST_WORD + 1)]) == ""
    assert did_you_mean("x" * 1_000_000, ["x" * 60]) == ""


def _asking(keys: list[str]) -> JsonObject:
    templates: list[JsonValue] = [
        {
            "name": f"t{number}",
            "container": {"image": "a"},
            "synchronization": {"semaphores": [semaphore(key)]},
        }
        for number, key in enumerate(keys)
    ]
    return workflow({"entrypoint": "t0", "templates": templates})


def _map(keys: int, value: str = "1") -> ConfigMap:
    data = {f"{'k' * 40}{number:05}": value for number in range(keys)}
    return ConfigMap(PolicyMetadata(name="limits", namespace="team-a"), data)


@pytest.mark.parametrize("value", ["1", "x"])
def test_many_references_to_a_large_config_map_are_cheap(value: str) -> None:
    """Each cost a comparison with 12,000 keys; now nothing is suggested from so many."""
    policies = snapshot(lock_policy(), _map(12_000, value))
    obj = _asking([f"{'k' * 40}x{number}" for number in range(3_000)])
    began = thread_time()
    for decision in (mutate(obj, policies), validate(obj, policies)):
        assert len(decision.reasons) == MAX_FAULTS
        assert {each.code for each in decision.reasons} == {Code.LOCK_UNDEFINED}
        assert not any("did you mean" in each.message for each in decision.reasons)
    assert thread_time() - began < 5


def test_a_near_key_is_looked_for_once_for_each_lock_and_a_few_times_a_review() -> None:
    """Fifty keys that are all alike are the most that can be compared."""
    policies = snapshot(lock_policy(), _map(MAX_CANDIDATES))
    obj = _asking([f"{'k' * 40}{number:04}x" for number in range(500)])
    found = validate(obj, policies).reasons
    assert sum("did you mean" in each.message for each in found) == MOST_HINTS
    same = validate(_asking([f"{'k' * 40}0001x"] * 90), policies).reasons
    assert all("did you mean" in each.message for each in same)


def test_an_undefined_key_that_rules_inject_everywhere_is_reported_a_bounded_number_of_times() -> None:
    """Each template of a large Workflow would have the same fault."""
    policy = lock_policy(inject=[rule("a", semaphore_target("gpus"))], semaphores=[definition("gpu")])
    leaves: list[JsonValue] = [{"name": f"t{number}", "container": {"image": "a"}} for number in range(2_000)]
    found = mutate(workflow({"entrypoint": "t0", "templates": leaves}), snapshot(policy))
    assert len(found.reasons) == MAX_FAULTS


def test_unknown_references_are_reported_a_bounded_number_of_times() -> None:
    """A Workflow may have ten thousands of calls of missing templates."""
    tasks: list[JsonValue] = [{"name": f"t{number}", "template": f"x{number}"} for number in range(3_000)]
    main: JsonObject = {"name": "main", "dag": {"tasks": tasks}}
    policy = lock_policy(validate={"unknownReferences": "Deny"})
    found = mutate(workflow({"entrypoint": "main", "templates": [main]}), snapshot(policy))
    assert {each.code for each in found.reasons} == {Code.UNKNOWN_REFERENCE}
    assert len(found.reasons) == MAX_FAULTS


def test_values_are_looked_for_in_a_bounded_number_of_calls() -> None:
    """A thousand calls of a template with thousands of tags would be millions of look-ups."""
    sidecars: list[JsonValue] = [
        {
            "name": f"s{number}",
            "image": "".join(f"{{{{inputs.parameters.p{number}-{part}}}}}" for part in range(20)),
        }
        for number in range(1_000)
    ]
    load: JsonObject = {"name": "load", "container": {"image": "a"}, "sidecars": sidecars}
    tasks: list[JsonValue] = [{"name": f"t{number}", "template": "load"} for number in range(1_000)]
    main: JsonObject = {"name": "main", "dag": {"tasks": tasks}}
    policy = lock_policy(inject=[rule("a", {"mutex": "m"}, images=["gpu*"])])
    began = thread_time()
    found = mutate(workflow({"entrypoint": "main", "templates": [main, load]}), snapshot(policy))
    assert thread_time() - began < 5
    assert any("its image is not known before it runs" in each for each in found.warnings)


def test_fixing_one_of_many_undefined_keys_of_a_template_is_no_new_fault() -> None:
    """The suggestions that are made for a few only do not make old faults look new."""
    from policy.core.lock_review.template_locks import review_template  # noqa: PLC0415 - the only test of templates here

    policies = snapshot(
        lock_policy(
            match={"kinds": ["WorkflowTemplate"]}, semaphores=[definition(f"gpu{n}") for n in range(9)]
        )
    )

    def template(keys: list[str]) -> JsonObject:
        spec = _asking(keys)["spec"]
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "shared", "namespace": "team-a"},
            "spec": spec,
        }

    keys = [f"gpus{number}" for number in range(MOST_HINTS * 2)]
    edit = review_of(template(keys[1:]), old=template(keys))
    assert review_template(edit, policies).reasons == ()
