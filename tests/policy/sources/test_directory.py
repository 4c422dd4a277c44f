"""A folder of YAML becomes documents, or every error of every file at once."""

import os
from pathlib import Path

import pytest

from policy.core.policy_kinds.kinds import ConfigMap, WorkflowQuota
from policy.sources.directory import Loaded, PolicyErrors, load_tree, read_tree, signature
from policy.sources.file_tree import MAX_FILE_BYTES

QUOTA = """\
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: {name}}}
spec:
  limits: {{workflows: {workflows}}}
"""
NO_INTEGER = 'spec.limits.workflows: must be an integer or "Unlimited"; found the string "{}"'
NO_NAME = (
    '"A" is not a name for Kubernetes: use at most 253 lower-case letters, digits, - and ., '
    "letters or digits at the ends"
)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file below a folder and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def quota(name: str, workflows: object = 1) -> str:
    """Return a quota as text; `spec.limits.workflows` is in line 5."""
    return QUOTA.format(name=name, workflows=workflows)


def load_directory(folder: Path) -> Loaded:
    """Return the documents of a folder."""
    return load_tree(read_tree(folder))


def names(loaded: Loaded) -> list[str | None]:
    """Return the names of the documents in their order."""
    return [document.metadata.name for document in loaded.documents]


def errors(folder: Path) -> list[str]:
    """Return the lines of what is wrong with a folder, with paths below it."""
    with pytest.raises(PolicyErrors) as caught:
        load_directory(folder)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_all_files_are_loaded_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Folders below count, and so does JSON; other files and hidden ones do not."""
    write(tmp_path, "b.yml", quota("second"))
    write(tmp_path, "a/z.yaml", quota("first"))
    write(tmp_path, "c.json", '{"apiVersion": "v1", "kind": "ConfigMap",\n\t"metadata": {"name": "third"}}')
    for ignored in ("d.txt", "README.md", ".hidden.yaml", ".git/x.yaml", "..data/x.yaml", "e.yaml.bak"):
        write(tmp_path, ignored, "{")
    loaded = load_directory(tmp_path)
    assert names(loaded) == ["first", "second", "third"]
    assert [type(document) for document in loaded.documents] == [WorkflowQuota, WorkflowQuota, ConfigMap]


def test_an_empty_folder_holds_no_documents(tmp_path: Path) -> None:
    """No policies is a policy."""
    assert load_directory(tmp_path).documents == ()


def test_every_error_of_every_file_is_reported_with_its_line(tmp_path: Path) -> None:
    """An author repairs all of them in one go."""
    write(tmp_path, "a.yaml", quota("a", '"10"') + "  limts: {}\n---\n" + quota("A", "-1"))
    write(tmp_path, "b.yaml", quota("b") + "---\na: [1,\n")
    write(tmp_path, "c.yaml", "kind: Nothing\n")
    write(tmp_path, "d.yaml", b"a: \xff")
    write(tmp_path, "e.yaml", quota("e", -5) + "  limits: {workflows: x}\n")
    write(tmp_path, "good.yaml", quota("good"))
    assert errors(tmp_path) == [
        f"a.yaml:5: {NO_INTEGER.format('10')}: write it without quotes",
        'a.yaml:6: spec.limts: unknown field; did you mean "limits"?',
        f"a.yaml:10: metadata.name: {NO_NAME}",
        "b.yaml:8: is not YAML: did not find expected node content (while parsing a flow node)",
        "c.yaml:1: apiVersion: is required, as a string",
        "d.yaml:1: is not UTF-8 text",
        "e.yaml:6: spec.limits: is given twice, in lines 5 and 6, and the last counts: remove one",
        f"e.yaml:6: {NO_INTEGER.format('x')}",
    ]


def test_a_single_error_is_a_single_line(tmp_path: Path) -> None:
    """What is printed for one mistake is that mistake; the parts are there for tools."""
    file = write(tmp_path, "a.yaml", quota("a", -1))
    with pytest.raises(PolicyErrors) as caught:
        load_directory(tmp_path)
    (error,) = caught.value.errors
    assert str(caught.value) == f"{file}:5: spec.limits.workflows: must be 0 or more, or Unlimited; got -1"
    assert (error.file, error.line, error.column, error.path) == (str(file), 5, 12, "spec.limits.workflows")


def test_what_cannot_be_read_is_not_reported_a_second_time(tmp_path: Path) -> None:
    """A value that YAML cannot give is null for the schema, which is no mistake of the author."""
    write(tmp_path, "a.yaml", quota("!!int x"))
    assert errors(tmp_path) == ["a.yaml:3: metadata.name: is tagged !!int, but 'x' is none"]


def test_the_value_of_a_repeated_key_is_checked_as_well(tmp_path: Path) -> None:
    """Repairing the one mistake must not bring up the other."""
    write(tmp_path, "a.yaml", quota("a") + "  onExceed: Deny\n  onExceed: 3\n")
    assert errors(tmp_path) == [
        "a.yaml:7: spec.onExceed: is given twice, in lines 6 and 7, and the last counts: remove one",
        'a.yaml:7: spec.onExceed: must be one of "Queue", "Deny", "Warn"; found the integer 3',
    ]


def test_an_object_that_is_defined_twice_is_reported_with_both_places(tmp_path: Path) -> None:
    """Also where one of them is wrong in another way, or an item of a List."""
    write(tmp_path, "a.yaml", quota("same"))
    write(tmp_path, "b.yaml", "# comment\n" + quota("same", "x"))
    write(tmp_path, "c.yaml", "kind: List\napiVersion: v1\nitems:\n- " + quota("same").replace("\n", "\n  "))
    write(tmp_path, "d.yaml", quota("other"))
    double = f"WorkflowQuota default/same is defined in {tmp_path}/a.yaml:3 too: remove one of them"
    assert errors(tmp_path) == [
        f"b.yaml:4: metadata.name: {double}",
        f"b.yaml:6: {NO_INTEGER.format('x')}",
        f"c.yaml:6: items[0].metadata.name: {double}",
    ]


def test_documents_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    """A folder of manifests may hold anything."""
    write(tmp_path, "a.yaml", quota("a") + "---\nkind: Deployment\napiVersion: apps/v1\n")
    assert names(load_directory(tmp_path)) == ["a"]


def test_files_of_other_tools_may_lie_beside_policies(tmp_path: Path) -> None:
    """A kustomization has no kind; what has a part of an object is one that is broken."""
    write(tmp_path, "a.yaml", quota("a"))
    write(tmp_path, "kustomization.yaml", "resources: [a.yaml]\n")
    write(tmp_path, "values.yaml", "8080: open\nreplicas: 3\n")
    assert names(load_directory(tmp_path)) == ["a"]
    write(tmp_path, "b.yaml", "spec: {limits: {workflows: 1}}\n")
    assert errors(tmp_path)[0] == "b.yaml:1: apiVersion: is required, as a string"


def test_what_names_no_namespace_is_in_the_given_one(tmp_path: Path) -> None:
    """Policies are told, since they count there alone; items of a List too."""
    text = quota("a").replace("metadata: {name: a}", "metadata: {name: a, namespace: own}")
    item = "".join(f"  {line}\n" for line in quota("c").splitlines())
    write(tmp_path, "a.yaml", f"{text}---\n{quota('b')}---\napiVersion: v1\nkind: List\nitems:\n-{item[1:]}")
    found = load_tree(read_tree(tmp_path), "shop")
    assert [each.metadata.namespace for each in found.documents] == ["own", "shop", "shop"]
    assert [str(each).partition("/a.yaml:")[2] for each in found.unplaced] == [
        "7: WorkflowQuota b names no namespace: it counts in shop alone",
        "16: WorkflowQuota c names no namespace: it counts in shop alone",
    ]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """An absent mount must not read as "no policies"."""
    with pytest.raises(PolicyErrors) as caught:
        load_directory(tmp_path / "gone")
    assert str(caught.value) == f"{tmp_path}/gone: there is no such file or folder"


def test_a_file_may_stand_in_place_of_the_folder(tmp_path: Path) -> None:
    """Whatever its suffix: who names a file means it, and files beside it do not count."""
    write(tmp_path, "b.yaml", quota("b"))
    assert names(load_directory(write(tmp_path, "a.txt", quota("a")))) == ["a"]


def test_files_that_cannot_be_read_are_errors_beside_the_others(tmp_path: Path) -> None:
    """A dead link, a pipe (which is not waited for) and a huge file are named, each with its reason."""
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "b.yaml")
    write(tmp_path, "c.yaml", b"#" * (MAX_FILE_BYTES + 1))
    write(tmp_path, "d.yaml", b"#" * MAX_FILE_BYTES)
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    write(tmp_path, "z.yaml", quota("z", "x"))
    found = errors(tmp_path)
    assert [line.split(":")[0] for line in found] == ["a.yaml", "b.yaml", "c.yaml", "loop.yaml", "z.yaml"]
    assert "is a link that leads nowhere" in found[0]
    assert "is not a regular file" in found[1]
    assert "is larger than 10 MiB" in found[2]


def test_a_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    """Links to folders are followed, but not in circles."""
    write(tmp_path, "a/a.yaml", quota("a"))
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert names(load_directory(tmp_path)) == ["a"]


def test_a_mounted_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    """Kubernetes mounts files as links into `..data`, folders of paths included, and each is read once."""
    write(tmp_path, "..2024/a.yaml", quota("a"))
    write(tmp_path, "..2024/sub/b.yaml", quota("b"))
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert names(load_directory(tmp_path)) == ["a", "b"]


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    """An error about such a file must not become another error."""
    folder = os.fsencode(tmp_path)
    Path(os.fsdecode(folder + b"/\xff.yaml")).write_text("[]")
    with pytest.raises(PolicyErrors) as caught:
        load_directory(tmp_path)
    assert (
        str(caught.value).encode() == f"{tmp_path}/�.yaml:1: must be a map with apiVersion and kind".encode()
    )


def test_the_fingerprint_is_that_of_names_and_contents(tmp_path: Path) -> None:
    """It stays the same for a copy, and changes with a name, a content, and what is unreadable."""
    for folder in ("one", "two"):
        write(tmp_path, f"{folder}/a.yaml", quota("a"))
        write(tmp_path, f"{folder}/b.yaml", "")
    first = load_directory(tmp_path / "one").fingerprint
    assert load_directory(tmp_path / "two").fingerprint == first
    seen = {first}
    (tmp_path / "two/b.yaml").rename(tmp_path / "two/c.yaml")
    seen.add(load_directory(tmp_path / "two").fingerprint)
    write(tmp_path, "two/c.yaml", "#")
    seen.add(load_directory(tmp_path / "two").fingerprint)
    (tmp_path / "two/d.yaml").symlink_to("gone")
    seen.add(read_tree(tmp_path / "two").fingerprint)
    assert len(seen) == 4


def test_the_signature_changes_with_the_files_and_reads_none(tmp_path: Path) -> None:
    """A file written again, added, or deleted is seen; hidden files are not."""
    file = write(tmp_path, "a.yaml", quota("a"))
    first = signature(tmp_path)
    write(tmp_path, ".hidden.yaml", "x")
    assert signature(tmp_path) == first
    os.utime(file, (1, 1))
    second = signature(tmp_path)
    write(tmp_path, "b.yaml", "")
    third = signature(tmp_path)
    assert len({first, second, third, signature(tmp_path / "gone")}) == 4
    assert second.newest >= first.newest
