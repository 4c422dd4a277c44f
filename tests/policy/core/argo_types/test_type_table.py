"""The table of Argo's types: whole in itself, and the same, field by field, as Argo's full CRDs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from policy.core.argo_types.argo_table import ARGO, EARLIER
from policy.core.argo_types.kubernetes_table import KUBERNETES
from policy.core.argo_types.type_table import (
    KINDS,
    STRICT,
    STRUCTS,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
    read,
)

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


def test_a_line_reads_as_the_notation_says() -> None:
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
def test_the_table_says_what_argos_full_crds_say(corpus: Path, kind: str) -> None:
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
