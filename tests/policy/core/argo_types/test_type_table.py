"""The table of Argo's types: whole in itself, and the same, field by field, as Argo's full CRDs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.core.argo_types.argo_table import ARGO, EARLIER
from policy.core.argo_types.kubernetes_table import KUBERNETES
from policy.core.argo_types.type_table import (
    DECODES,
    KINDS,
    STRICT,
    STRUCTS,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
    read,
    whole,
)
from policy.core.objects.json_patch import JsonValue

# What the full CRDs of 4.1 describe does not have the fields of earlier versions.
NOW: Final = read(KUBERNETES, ARGO)
INT_OR_STRING: Final[tuple[str | None, str | None]] = ("int-or-string", None)
ANYTHING: Final[tuple[str | None, str | None]] = (None, None)
SCALARS: Final[dict[Scalar, list[tuple[str | None, str | None]]]] = {
    Scalar.STRING: [("string", None)],
    Scalar.ANY_STRING: [("string", None)],
    Scalar.BOOL: [("boolean", None)],
    Scalar.INT32: [("integer", "int32")],
    Scalar.INT64: [("integer", "int64"), ("integer", None)],
    Scalar.UINT64: [("integer", "int64")],
    Scalar.BYTES: [("string", "byte")],
    Scalar.TIME: [("string", "date-time")],
    Scalar.QUANTITY: [INT_OR_STRING],
    Scalar.INT_OR_STRING: [INT_OR_STRING],
    Scalar.PLUGIN: [("object", None)],
    Scalar.RAW: [ANYTHING, ("number", None)],
}
"""How the CRDs write each scalar: type and format."""


def entries(wanted: Type) -> Iterator[Type]:
    """Yield a type and those within it."""
    yield wanted
    if isinstance(wanted, ListType | MapType):
        yield from entries(wanted.entry)


def test_every_struct_that_is_named_exists_and_every_one_is_used() -> None:
    """A slip in a name would be found by the first object that has the field."""
    named = {
        each.name
        for fields in STRUCTS.values()
        for wanted in fields.values()
        for each in entries(wanted)
        if isinstance(each, StructType)
    }
    assert named | KINDS == set(STRUCTS)
    assert set(STRUCTS) >= STRICT


def test_no_struct_and_no_field_is_written_twice() -> None:
    """The second would win silently."""
    names: list[str] = []
    for text in (KUBERNETES, ARGO):
        structs = [line.split() for line in text.replace("\n  ", " ").splitlines() if line]
        names += [name for name, *_ in structs]
        for name, _sign, *words in structs:
            fields = [field for word in words if word[0] != "+" for field in [word.split(":")[0]]]
            fields += [field for word in words if word[0] == "+" for field in NOW[word[1:]]]
            assert len(fields) == len(set(fields)), name
    assert len(names) == len(set(names))
    earlier = read(EARLIER)
    assert all(not set(fields) & set(NOW[name]) for name, fields in earlier.items())


def test_an_entry_is_read_as_the_notation_defines() -> None:
    """Strings without a type, lists, maps, structs, continued lines, embedded structs, several texts."""
    found = read("A = a b:[int32]\n  c:{[B]}\nB =", "A = d:A", "C = e:bool +A")
    assert found == {
        "A": {
            "a": Scalar.STRING,
            "b": ListType(Scalar.INT32),
            "c": MapType(ListType(StructType("B"))),
            "d": StructType("A"),
        },
        "B": {},
        "C": {**found["A"], "e": Scalar.BOOL},
    }


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_table_agrees_with_the_full_crds_of_argo(corpus: Path, kind: str) -> None:
    """A new version of Argo shows here, field by field, and so does a slip of ours."""
    file = corpus / "crds" / "full" / f"argoproj.io_{kind.lower()}s.yaml"
    crd = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    (version,) = crd["spec"]["versions"]
    assert list(differences(version["schema"]["openAPIV3Schema"], StructType(kind), kind)) == []


def differences(schema: dict[str, Any], wanted: Type, path: str) -> Iterator[str]:
    """Yield where a schema and a type of the table say different things."""
    match wanted:
        case StructType(name):
            fields, properties = NOW[name], schema.get("properties", {})
            # The CRDs leave out what they do not describe: metadata in part, an inline template as a whole.
            described = properties and name != "ObjectMeta"
            missing = set(fields) - set(properties) if described else set()
            yield from (f"{path}.{field}: the table alone has it" for field in sorted(missing))
            yield from (
                f"{path}.{field}: not in the table" for field in sorted(set(properties) - set(fields))
            )
            for field in sorted(set(properties) & set(fields)):
                yield from differences(properties[field], fields[field], f"{path}.{field}")
        case ListType(entry):
            # kubebuilder cannot describe lists of anything.
            if entry is not Scalar.RAW or "items" in schema:
                yield from differences(schema.get("items", {}), entry, f"{path}[]")
        case MapType(entry):
            yield from differences(schema.get("additionalProperties", {}), entry, f"{path}{{}}")
        case Scalar():
            either = schema.get("x-kubernetes-int-or-string", False)
            found = INT_OR_STRING if either else (schema.get("type"), schema.get("format"))
            if found not in SCALARS[wanted]:
                yield f"{path}: {found}, and {wanted} in the table"


@pytest.mark.parametrize(
    ("scalar", "right", "wrong"),
    [
        (Scalar.STRING, ["", "5", "{{x}}"], [5, 1.5, True, [], {}]),
        (Scalar.BOOL, [True, False], ["true", 1, 0, [], {}]),
        (Scalar.INT32, [0, -1, 5.0, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, 1.5, "5", True, [5], {}]),
        (Scalar.INT64, [2**63 - 1, -(2**63)], [2**63, -(2**63) - 1, 1e21, "5", False]),
        (Scalar.UINT64, [0, 2**64 - 1], [-1, 2**64, 0.5, "5"]),
        (
            Scalar.BYTES,
            ["", "aGVsbG8=", "aGVs\nbG8=", "aGVsbG9=", [104, 255]],
            ["a", "aGVsbG8", "aGVsb/G8=", [256], 5],
        ),
        (Scalar.INT_OR_STRING, ["", "50%", 5, -1, 7.0], [1.5, True, 2**31, [], {}]),
        (Scalar.ANY_STRING, ["", 5, 1.5, 2**70, True, [], {}], []),
        (Scalar.PLUGIN, [{"slack": {}}, {"slack": None}], [{}, {"a": 1, "b": 2}, [], "slack", 5]),
        (Scalar.RAW, ["", 5, 1.5, True, [], {}], []),
    ],
)
def test_a_scalar_takes_what_argo_decodes(
    scalar: Scalar, right: list[JsonValue], wrong: list[JsonValue]
) -> None:
    """No more, or the controller stops; no less, or a right object is refused."""
    decodes = DECODES[scalar]
    assert [value for value in right if not decodes(value)] == []
    assert [value for value in wrong if decodes(value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00:00Z",
        "2024-02-29T23:59:59.123456789+14:00",
        "2000-02-29T00:00:00-05:30",
        "0000-12-31T00:00:00Z",
        "2026-04-30T8:00:00Z",
        "2026-04-30T08:00:00,5Z",
        "2026-04-30T08:00:00+24:60",
    ],
)
def test_a_time_is_read_as_go_reads_rfc_3339(text: str) -> None:
    """Go takes an hour of one digit, a comma, and odd zones."""
    assert DECODES[Scalar.TIME](text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T08:00Z",
        "2026-01-31T08:00:00",
        "2026-01-31 08:00:00Z",
        "2026-01-31t08:00:00z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:00:60Z",
        "2026-01-31T08:00:00+25:00",
        "2026-01-31T08:00:00Z ",
        1_769_846_400,
        True,
    ],
)
def test_what_is_no_time_is_refused(text: JsonValue) -> None:
    """Days that a month does not have, leap seconds, and everything that only looks like it."""
    assert not DECODES[Scalar.TIME](text)


@pytest.mark.parametrize(
    "value",
    ["1", "500m", "1.5Gi", "1e3", "1E-3", ".5", "5.", "+1k", "-2Ki", "1E", " 5 ", "00012", "1n", 5, 0.5],
)
def test_a_quantity_reads_as_kubernetes_reads_it(value: JsonValue) -> None:
    """Numbers as well, and spaces around it."""
    assert DECODES[Scalar.QUANTITY](value)


@pytest.mark.parametrize(
    "value", ["", "-", "m", "2GB", "1 Gi", "5x", "1e", "1.5.0", "1e99999999", "\uff11", True, [], {}]
)
def test_what_is_no_quantity_is_refused(value: JsonValue) -> None:
    """An exponent of many digits too: Argo would compute the power for hours."""
    assert not DECODES[Scalar.QUANTITY](value)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_whole_number_is_the_same_number(value: float) -> None:
    """A boolean is none, though Python counts it as one."""
    number = whole(value)
    if isinstance(value, bool):
        assert number is None
    elif number is None:
        assert isinstance(value, float)
        assert not value.is_integer()
    else:
        assert number == value
