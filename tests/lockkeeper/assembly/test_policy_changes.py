"""A reload says what changed, and what is in force after it."""

from pathlib import Path
from typing import Final

import pytest

from lockkeeper.assembly.policy_changes import in_force, policy_changes
from lockkeeper.assembly.policy_folder import load_once
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.sources.directory import Loaded, PolicyErrors, load_tree, read_tree

QUOTA: Final = """apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: {name}, namespace: shop}}
spec: {{limits: {{workflows: {limit}}}}}
---
"""
OTHERS: Final = """apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: argoproj.io/v1alpha1
kind: ClusterWorkflowTemplate
metadata: {name: t}
spec: {}
"""


def _loaded(folder: Path, **limits: int) -> Loaded:
    text = "".join(QUOTA.format(name=name, limit=limit) for name, limit in limits.items())
    (folder / "a.yaml").write_text(text + OTHERS)
    return load_tree(read_tree(folder))


def test_new_gone_and_changed_policies_are_named(tmp_path: Path) -> None:
    """So that a slip shows in the log, as one name too many."""
    before, after = _loaded(tmp_path, a=1, b=1, c=1), _loaded(tmp_path, b=2, c=1, d=1)
    assert policy_changes(before, after) == (
        "3 policies are in force (new: WorkflowQuota shop/d; gone: WorkflowQuota shop/a; "
        "changed: WorkflowQuota shop/b)"
    )
    assert policy_changes(after, after) == "3 policies are in force (nothing that counts changed)"


def test_an_emptied_folder_is_told_as_what_it_means(tmp_path: Path) -> None:
    """Everything runs without limits then."""
    gone = policy_changes(_loaded(tmp_path, a=1), Loaded())
    assert gone.startswith("0 policies: nothing is governed (gone: ClusterWorkflowTemplate t, Namespace shop")
    assert in_force(_loaded(tmp_path, a=1).documents) == "1 policy is in force"


def test_of_many_names_a_few_are_said(tmp_path: Path) -> None:
    """A line of a log is to be read."""
    many = {f"q{number}": 1 for number in range(9)}
    told = policy_changes(_loaded(tmp_path), _loaded(tmp_path, **many))
    assert told.endswith("WorkflowQuota shop/q4 and 4 more)")


def test_a_folder_without_policies_is_refused_unless_that_is_meant(tmp_path: Path) -> None:
    """What is loaded is told either way."""
    (tmp_path / "a.yaml").write_text(OTHERS)
    with pytest.raises(PolicyErrors, match=r"there is no policy in it; .* --allow-empty"):
        load_once(tmp_path, DEFAULT_VERSION, allow_empty=False)
    said: list[str] = []
    load_once(tmp_path, DEFAULT_VERSION, note=said.append)
    (tmp_path / "a.yaml").write_text(QUOTA.replace(", namespace: shop", "").format(name="a", limit=1))
    load_once(tmp_path, DEFAULT_VERSION, note=said.append, namespace="etl")
    assert said == [
        "0 policies: nothing is governed",
        f"{tmp_path}/a.yaml:1: WorkflowQuota a names no namespace: it counts in etl alone",
    ]
