"""YAML text becomes the values kubectl would send, each with its place, and nothing in it crashes."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.sources.yaml_positions import (
    MAX_DEPTH,
    Json,
    ParsedDocument,
    TextPlace,
    child,
    item,
    parse,
    read_manifest,
)
from policy.sources.yaml_scalars import as_json, plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


class QuotingDumper(yaml.SafeDumper):
    """Writes every string in double quotes, so that no loader has to guess its type."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def only(text: str | bytes) -> ParsedDocument:
    """Return the single document of a text."""
    parsed = parse(text.encode() if isinstance(text, str) else text)
    assert parsed.fault is None
    (document,) = parsed.documents
    return document


def from_json(text: str) -> Json:
    """Return the value of a JSON text in which a whole number has no fraction, as Go writes it."""
    found: Json = json.loads(text, parse_int=_number, parse_float=_number)
    return found


def _number(digits: str) -> int | float:
    value = as_json(plain(digits))
    assert isinstance(value, int | float)
    return value


def faults(text: str) -> list[tuple[int, str, str]]:
    """Return line, path and message of everything in the text that cannot be read."""
    parsed = parse(text.encode())
    found = [fault for document in parsed.documents for fault in document.faults]
    found += [parsed.fault] if parsed.fault else []
    return [(fault.mark.line, fault.path, fault.message) for fault in found]


def aliases(levels: int) -> str:
    """Return lists of lists in which each level repeats the one before nine times."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@given(VALUES)
def test_what_yaml_dumps_is_parsed_to_the_same_value(value: Json) -> None:
    """Values survive a dump and a parse, whatever they hold."""
    text = yaml.dump({"value": value}, Dumper=QuotingDumper)
    assert only(text).value == from_json(json.dumps({"value": value}))


@given(st.dictionaries(st.text("ab-:#'\"\n[]{}&*!|>%@` ~=<", max_size=8), st.text("ab:#-\n' ", max_size=20)))
def test_strings_in_every_style_are_parsed_to_the_same_text(value: dict[str, str]) -> None:
    """Plain, quoted and block styles, as PyYAML picks them, come back unchanged."""
    assert only(yaml.safe_dump(value)).value == value


@given(VALUES)
def test_json_is_parsed_as_json_does(value: Json) -> None:
    """JSON with all its escapes, surrogate pairs too, means the same here."""
    text = json.dumps({"value": value}, indent="\t")
    assert only(text).value == from_json(text)


@given(st.binary(max_size=60) | st.text("ab:-[]{}&*!|>'\"\n\t ,?<#%@0.", max_size=60).map(str.encode))
def test_no_bytes_whatsoever_raise(content: bytes) -> None:
    """Any content gives documents or a fault, and every place lies in the text."""
    parsed = parse(content)
    lines = len(content.splitlines()) + 1
    for document in parsed.documents:
        assert all(1 <= mark.line <= lines for mark in document.marks.values())
    assert parsed.fault is None or 1 <= parsed.fault.mark.line <= lines


@given(VALUES)
def test_every_field_has_a_place(value: Json) -> None:
    """Each path that leads to a value has a mark of its own."""

    def paths(value: Json, path: str) -> list[str]:
        found = [path]
        if isinstance(value, dict):
            found += [deep for key, inner in value.items() for deep in paths(inner, child(path, key))]
        elif isinstance(value, list):
            found += [deep for index, inner in enumerate(value) for deep in paths(inner, item(path, index))]
        return found

    document = only(yaml.dump({"value": value}, Dumper=QuotingDumper))
    assert set(paths(document.value, "")) == set(document.marks)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T08:00:00Z", "2024-01-01T08:00:00Z"),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0x1F", -31),
        ("0o17", 15),
        ("0644", 420),
        ("0b11", 3),
        ("1_000", 1000),
        ("0888", 888),
        ("1:30", "1:30"),
        ("9" * 40, 1e40),
        ("1e5", 100000),
        (".5", 0.5),
        ("1.", 1),
        ("!!str 12", "12"),
        ('!!int "12"', 12),
        ("!!float 3", 3),
        ("! '3'", "3"),
        ("!mine 3", "3"),
        ("!!set {x: 1}", {"x": 1}),
        ('"12"', "12"),
    ],
)
def test_scalars_mean_what_they_mean_to_kubernetes(text: str, value: Json) -> None:
    """Dates stay text, numbers are those of Go, and a tag of somebody's own means nothing."""
    found = only(f"a: {text}").value
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".nan", "JSON cannot hold"),
        ("-.inf", "JSON cannot hold"),
        ("!!int x", "tagged !!int"),
        ("!!bool maybe", "tagged !!bool"),
        ("!!binary a", "tagged !!binary"),
    ],
)
def test_scalars_without_a_json_value_are_faults_at_their_field(text: str, message: str) -> None:
    """The field is null then, and the fault has the reason."""
    ((line, path, said),) = faults(f"b: 1\na: {text}")
    assert (line, path) == (2, "a")
    assert message in said


def test_places_are_those_of_keys_and_items() -> None:
    """Lines and columns count from 1; a missing field is placed at the nearest one around it."""
    document = only("# first\nspec:\n  inject:\n  - name: a\n  - name: b\n    labels: {app.io/name: x}\n")
    assert document.locate("spec.inject[1].name") == TextPlace(5, 5)
    assert document.locate('spec.inject[1].labels["app.io/name"]') == TextPlace(6, 14)
    assert document.locate("spec.inject[0].lock.semaphore.configMap") == TextPlace(4, 5)
    assert document.locate("spec.inject[7]") == TextPlace(3, 3)
    assert document.locate("metadata.name") == TextPlace(2, 1)


def test_documents_are_split_and_lines_go_on() -> None:
    """Every document of a file has places in the file, not in itself."""
    parsed = parse(b"a: 1\n---\n# none\n---\nb: 2\n")
    assert [document.value for document in parsed.documents] == [{"a": 1}, None, {"b": 2}]
    assert parsed.documents[2].locate("b") == TextPlace(5, 1)


def test_a_byte_order_mark_and_carriage_returns_do_not_disturb() -> None:
    """Files from Windows read the same."""
    assert only(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").value == {"a": 1, "b": 2}


def test_documents_before_a_syntax_error_are_returned() -> None:
    """One broken document does not hide what is wrong with those in front of it."""
    parsed = parse(b"a: 1\n---\nb: [1,\n---\nc: 2\n")
    assert [document.value for document in parsed.documents] == [{"a": 1}]
    assert parsed.fault is not None
    assert parsed.fault.mark.line == 4


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"a:\n\tb: 1", 2, "indent with spaces, not tabs"),
        (b"a: 1\nb: \xff", 2, "is not UTF-8 text"),
        (b"a: 1\nb: \x00", 2, "control characters"),
        (b"\xc3\xa4: 1\n\xc3\xa4: \x01", 2, "control characters"),
        (b"a: *b", 1, "undefined alias"),
        (b"a: 'x\n", 2, "unexpected end of stream"),
        (b'{"a": "\\ud83d"}', 1, "invalid Unicode"),
    ],
)
def test_text_that_is_not_yaml_is_a_fault_with_its_line(content: bytes, line: int, message: str) -> None:
    """The line is the one from which on the text cannot be parsed."""
    fault = parse(content).fault
    assert fault is not None
    assert fault.mark.line == line
    assert message in fault.message


def test_a_key_given_twice_is_a_fault_at_the_second() -> None:
    """The message names both lines; the last one is the value, as for kubectl."""
    text = "spec:\n  limits: 1\n  other: 2\n  limits: 3\n"
    assert faults(text) == [
        (4, "spec.limits", "is given twice, in lines 2 and 4, and the last counts: remove one")
    ]
    (document,) = parse(text.encode()).documents
    assert document.faults[0].repeated
    assert document.value == {"spec": {"limits": 3, "other": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "spec:\n  templates:\n  - name: a\n    dag: {}\n    dag: {}\n",
        "items:\n- {a: 1, 'a': 2}\n",
        "labels:\n  on: 1\n  yes: 2\n",
        "base: &b\n  a: 1\n  a: 2\nother: *b\n",
    ],
)
def test_a_key_is_found_twice_at_any_depth_and_in_any_spelling(text: str) -> None:
    """In lists, in flow style, where both keys are true, and behind an anchor."""
    found = [fault for fault in parse(text.encode()).documents[0].faults if fault.repeated]
    assert found
    assert all("is given twice, in line" in fault.message for fault in found)


def test_keys_become_the_text_that_json_has_of_them() -> None:
    """A parameter that is called y has the name true to Argo, and 8080 is the text of the number."""
    value = only("8080: a\ntrue: b\nY: c\n08: d\n1.50: e\n'y': f\n2001-01-01: g\n010: h\n").value
    assert value == {"8080": "a", "true": "c", "8": "h", "1.5": "e", "y": "f", "2001-01-01": "g"}


def test_keys_that_are_nothing_in_json_are_faults() -> None:
    """JSON has no null, list or map as a key."""
    found = faults(f"~: a\n? [d]\n: e\n? {{}}\n: f\n{2**64 - 1}: g\n")
    assert [line for line, _, _ in found] == [1, 2, 4, 6]
    assert "the key null" in found[0][2]
    assert "a key that is a list" in found[1][2]


@pytest.mark.parametrize(
    "text",
    [
        "key: {{user}}\n",
        "key: {{workflow.labels.a}}/{{user}}\n",
        "key: {{user}} x\n",
        "- key: {{user}}-a\n",
        "- {{user}}/a\n",
    ],
)
def test_a_tag_of_argo_without_quotes_is_told_to_need_them(text: str) -> None:
    """To YAML it is a map, whose key is a map."""
    parsed = parse(text.encode())
    found = [parsed.fault] if parsed.fault else [fault for each in parsed.documents for fault in each.faults]
    assert len(found) == 1
    assert found[0].mark.line == 1
    assert found[0].message.endswith("put a value that begins with {{ in quotes")


def test_merge_keys_bring_what_is_not_given_after_them() -> None:
    """The later of two counts, of several sources the earlier; a quoted `<<` is a key like any other."""
    document = only(
        "base: &b {x: 1, z: 2}\n"
        "own: {<<: *b, x: 5}\n"
        "over: {x: 5, <<: *b}\n"
        "list: {<<: [{z: 7}, *b]}\n"
        "twice: {<<: *b, <<: {x: 9}}\n"
        "deep: &d {<<: *b, u: 3}\n"
        "deeper: {<<: *d}\n"
        "quoted: {'<<': 1}\n"
    )
    assert document.faults == ()
    assert document.value == {
        "base": {"x": 1, "z": 2},
        "own": {"x": 5, "z": 2},
        "over": {"x": 1, "z": 2},
        "list": {"z": 7, "x": 1},
        "twice": {"x": 9, "z": 2},
        "deep": {"u": 3, "x": 1, "z": 2},
        "deeper": {"u": 3, "x": 1, "z": 2},
        "quoted": {"<<": 1},
    }
    assert document.locate("own.z") == TextPlace(1, 17)


def test_an_anchor_may_be_given_again() -> None:
    """The last one before an alias counts, and none of the document before."""
    assert only("a: &x 1\nb: &x 2\nc: *x\n").value == {"a": 1, "b": 2, "c": 2}
    fault = parse(b"a: &x 1\n---\nb: *x\n").fault
    assert fault is not None
    assert (fault.mark.line, "undefined alias 'x'" in fault.message) == (3, True)


@pytest.mark.parametrize("text", ["a: {<<: 3}", "a: {<<: [x]}", "a: {b: &l [{c: 1}], <<: *l}"])
def test_merging_what_is_not_a_map_is_a_fault(text: str) -> None:
    """The fault names the key."""
    ((_, path, message),) = faults(text)
    assert path == 'a["<<"]'
    assert "not a map" in message


@pytest.mark.parametrize("text", ["a: &x {b: *x}", "a: &x [*x]", "a: &x {<<: *x, c: 1}"])
def test_an_alias_of_what_is_around_it_is_a_fault(text: str) -> None:
    """Such a value would have no end."""
    ((_, path, message),) = faults(text)
    assert path.startswith("a")
    assert "contains itself" in message


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    """Twelve lines that mean 9**12 values are one fault, and nothing is built."""
    parsed = parse(aliases(12).encode())
    assert [document.value for document in parsed.documents] == [None]
    (fault,) = parsed.documents[0].faults
    assert "aliases repeat more than" in fault.message


def test_a_bomb_of_merge_keys_is_refused_too() -> None:
    """Merging takes as many steps as copying would, though the result stays small."""
    lines = ["l0: &l0 {x: 1}"]
    lines += [f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    ((_, _, message),) = faults("\n".join(lines))
    assert "aliases repeat more than" in message


def test_a_few_aliases_are_copied() -> None:
    """What people write with anchors works; equal values are separate copies."""
    document = only(aliases(4))
    assert isinstance(document.value, dict)
    assert document.faults == ()
    assert document.value["l1"] == [["x"] * 9] * 9


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 50_000 + "x", '{"a":' * 100_000])
def test_deep_nesting_is_a_fault_and_no_crash(text: str) -> None:
    """The composer of libyaml would overflow the C stack, which no exception handler survives."""
    fault = parse(text.encode()).fault
    assert fault is not None
    assert "nested more than" in fault.message


def test_nesting_that_aliases_pile_up_is_a_fault() -> None:
    """A text within the limit may stand for a value far beyond it."""
    levels = ["l0: &l0 " + "[" * 90 + "]" * 90, "l1: &l1 " + "[" * 90 + "*l0" + "]" * 90]
    ((line, _, message),) = faults("\n".join(levels))
    assert line == 1
    assert "nested more than" in message


def test_nesting_up_to_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    value = only("[" * MAX_DEPTH + "]" * MAX_DEPTH).value
    assert math.isclose(json.dumps(value).count("["), MAX_DEPTH)


def test_a_manifest_in_a_field_is_read_with_all_documents() -> None:
    """An empty document is none."""
    assert read_manifest("kind: A\n---\n---\n{kind: B}\n") == [{"kind": "A"}, {"kind": "B"}]
    assert read_manifest('{"kind": "A"}') == [{"kind": "A"}]


@pytest.mark.parametrize("text", ["a: [", "\x00", "a: {{b}}: c", ""])
def test_a_manifest_that_cannot_be_read_is_passed_over(text: str) -> None:
    """It is no fault of the review."""
    assert not [each for each in read_manifest(text) if isinstance(each, dict) and "kind" in each]
