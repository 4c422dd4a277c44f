"""Two spellings of the same, as Argo's first write makes them of a spec; and what is not the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.semantic_equality import canonical, changed

_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _changed(old: JsonObject, new: JsonObject) -> frozenset[str]:
    one, other = (
        msgspec.json.decode(msgspec.json.encode(each), type=dict[str, msgspec.Raw]) for each in (old, new)
    )
    return changed(one, other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"arguments": {}}),
        ({"hooks": {}, "podPriorityClassName": ""}, {}),
        ({"tolerations": []}, {"tolerations": None}),
        (
            {"templates": [{"name": "a", "container": {"image": "i"}}]},
            {
                "templates": [
                    {
                        "name": "a",
                        "inputs": {},
                        "outputs": {},
                        "metadata": {},
                        "container": {"name": "", "image": "i", "resources": {}},
                    }
                ]
            },
        ),
        (
            {"arguments": {"parameters": [{"name": "a", "value": 5}, {"name": "b", "value": True}]}},
            {"arguments": {"parameters": [{"name": "a", "value": "5"}, {"name": "b", "value": "true"}]}},
        ),
        ({"arguments": {"parameters": [{"value": 1.50}]}}, {"arguments": {"parameters": [{"value": "1.5"}]}}),
        (
            {"templates": [{"container": {"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}}]},
            {"templates": [{"container": {"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}}]},
        ),
        (
            {"resources": {"requests": {"storage": "1000m"}}},
            {"resources": {"requests": {"storage": "1"}}},
        ),
    ],
)
def test_argos_own_spelling_is_no_change(old: JsonObject, new: JsonObject) -> None:
    """All that was seen of its first write (argo-verified 13)."""
    assert _changed(old, new) == frozenset()
    assert _changed(new, old) == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ({}, {"parallelism": 0}, "parallelism"),
        ({"parallelism": 1}, {}, "parallelism"),
        ({"suspend": False}, {}, "suspend"),
        ({"templates": [{"name": "a"}]}, {"templates": [{"name": "b"}]}, "templates"),
        ({"templates": [{"name": "a"}, {}]}, {"templates": [{}, {"name": "a"}]}, "templates"),
        ({"args": [""]}, {"args": []}, "args"),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1m"}}, "limits"),
        ({"limits": {"cpu": "1Ki"}}, {"limits": {"cpu": "1k"}}, "limits"),
        ({"limits": {"cpu": "lots"}}, {"limits": {"cpu": "few"}}, "limits"),
        ({"synchronization": {"mutexes": [{"name": "a"}]}}, {"synchronization": {}}, "synchronization"),
    ],
)
def test_what_matters_is_a_change(old: JsonObject, new: JsonObject, part: str) -> None:
    """Zero and false say something, and so does the order."""
    assert _changed(old, new) == {part}


@given(_values)
def test_one_spelling_is_the_end_of_it(value: JsonValue) -> None:
    """What is canonical stays as it is, so comparing is an equivalence."""
    assert canonical(canonical(value)) == canonical(value)
