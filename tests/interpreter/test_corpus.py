"""Argo's own examples under random policies: each runs as before, under exactly the locks that are wanted."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Side
from policy.core.policies.snapshot import Document, Snapshot
from tests.corpus.schema import Crd
from tests.interpreter.asking import wanted_by
from tests.interpreter.drawing import LOCKS, policies_with
from tests.interpreter.naming import KINDS, as_kind
from tests.interpreter.running import Interpreter, Json
from tests.interpreter.test_both_sides import check_both_sides
from tests.interpreter.test_injection import applied, mutated
from tests.interpreter.validating import refusal
from tests.policy.core.builders import (
    NOW,
    cluster_lock_policy,
    lock_policy,
    review,
    snapshot,
    template_object,
)

SEEDS = range(8)
SELECTORS: tuple[Json, ...] = (
    {"names": ["*"]},
    {"names": ["print*", "hello*", "whale*"]},
    {"images": ["busybox*", "alpine*"]},
    {"types": ["dag", "steps"]},
    {"types": ["script"]},
    {"tasks": ["*a*", "B"]},
    {"types": ["container", "script"], "tasks": ["*e*"]},
    {"types": ["http", "resource", "suspend", "data", "plugin", "containerSet"]},
)
CONDITIONS = (None, None, "{{workflow.parameters.message}} == x", "inputs.parameters.message == 'hello'")
VALIDATION: Json = {"deadlocks": "Ignore", "requireDefined": False, "unknownReferences": "Ignore"}


class Examples(msgspec.Struct, frozen=True):
    """The objects of the corpus by file, the Workflows by themselves, too, and what they may refer to."""

    objects: list[tuple[str, Json]]
    workflows: list[tuple[str, Json]]
    stored: dict[tuple[str, str], Json]
    templates: list[Document]


@pytest.fixture(scope="module")
def examples(corpus: Path) -> Examples:
    """Return everything that the examples hold."""
    found = Examples([], [], {}, [])
    for file in sorted((corpus / "examples").rglob("*.yaml")):
        for document in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader):
            kind = document["kind"] if document else ""
            if kind not in KINDS:
                continue
            obj = json.loads(json.dumps(document))
            if kind != "ClusterWorkflowTemplate":
                obj["metadata"]["namespace"] = "team"
            found.objects.append((file.name, obj))
            if kind == "Workflow":
                found.workflows.append((file.name, obj))
            elif kind in {"WorkflowTemplate", "ClusterWorkflowTemplate"}:
                name, spec = document["metadata"]["name"], document["spec"]
                found.stored[kind, name] = spec
                found.templates.append(template_object(name, spec, kind=kind, namespace="team"))
    return found


def drawn_rules(seed: int) -> list[Json]:
    """Return rules drawn at random."""
    drawing = random.Random(seed)
    found: list[Json] = []
    for number in range(drawing.randint(1, 3)):
        rule: Json = {
            "name": f"r{number}",
            "templates": drawing.choice(SELECTORS),
            "lock": drawing.choice(LOCKS),
            "strategy": drawing.choice(("Auto", "Auto", "Clone", "Wrapper")),
        }
        when = drawing.choice(CONDITIONS)
        found.append(rule if when is None else {**rule, "when": when})
    return found


def admitted(
    examples: Examples, policies: Snapshot, outcomes: Counter[str]
) -> Iterator[tuple[str, Json, Json]]:
    """Yield the file of each example that is admitted, what it was, and what became of it."""
    for file, obj in examples.workflows:
        decision = mutated(obj, policies)
        outcomes[decision.outcome.value] += 1
        outcomes["changed"] += bool(decision.patch)
        if decision.allowed:
            yield file, obj, applied(obj, decision)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_example_runs_as_before_and_under_exactly_the_locks_that_policies_want(
    seed: int, examples: Examples, corpus: Path
) -> None:
    """Argo's full schema takes what is made of it, and the validating side finds it right."""
    crd = Crd(corpus / "crds" / "full" / "argoproj.io_workflows.yaml")
    rules = drawn_rules(seed)
    policy = lock_policy("locks", namespace="team", **{**policies_with(rules), "validate": VALIDATION})
    policies = snapshot(policy, *examples.templates)
    outcomes: Counter[str] = Counter()
    for file, obj, changed in admitted(examples, policies, outcomes):
        assert crd.faults(changed) == crd.faults(obj), file
        validated = apply_policies(review(changed, Side.VALIDATE, namespace="team"), policies, NOW)
        assert validated.reasons == (), file
        wanted = wanted_by(rules, obj["spec"])
        before = Interpreter(obj, examples.stored, luck=seed, wanted=wanted).run()
        after = Interpreter(changed, examples.stored, luck=seed).run()
        assert after.seen == before.seen, file
        assert [leaf.locks for leaf in after.leaves] == [leaf.locks for leaf in before.leaves], file
    assert outcomes["allowed"] + outcomes["denied"] == 199
    assert outcomes["denied"] < 60
    assert outcomes["changed"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides_and_argo_take_what_is_made_of_every_example_of_any_kind(
    seed: int, examples: Examples
) -> None:
    """Workflows are also judged as template objects and as schedules, one of them for each seed."""
    policies = snapshot(*policies_of_kinds(drawn_rules(seed)), *examples.templates)
    other = KINDS[1 + seed % 3]
    every = examples.objects + [(file, as_kind(obj, other)) for file, obj in examples.workflows]
    outcomes: Counter[str] = Counter()
    for file, obj in every:
        if "workflowTemplateRef" in obj["spec"] and obj["kind"] != "Workflow":
            continue
        before = refusal(obj, examples.stored)
        changed = check_both_sides(obj, policies)
        outcomes["taken"] += not before
        outcomes["changed"] += changed != obj and changed is not None
        if changed is not None and not before:
            assert refusal(changed, examples.stored) == "", file
    assert outcomes["taken"] >= 417
    assert outcomes["changed"] > 50


def policies_of_kinds(rules: list[Json]) -> list[Document]:
    """Return a policy with these rules for all kinds."""
    asked = {**policies_with(rules), "validate": VALIDATION, "match": {"kinds": [*KINDS]}}
    return [cluster_lock_policy("locks", **asked)]
