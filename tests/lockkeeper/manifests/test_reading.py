"""What is read of files, folders and standard input, and what is told of the rest."""

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from lockkeeper.findings.finding import FileCode, FileFinding, Level
from lockkeeper.manifests.reading import Inputs, read_inputs

ARGO: Final = "apiVersion: argoproj.io/v1alpha1\n"
WORKFLOW: Final = f"{ARGO}kind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: a\n"


def _write(folder: Path, **files: str | bytes) -> str:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path = path if path.suffix else path.with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def _names(inputs: Inputs) -> list[str]:
    return [each.called(each.namespace) for each in inputs.manifests]


def _told(inputs: Inputs) -> list[tuple[str, int, str, str]]:
    return [(Path(each.file).name, each.line, each.level.value, each.message) for each in inputs.findings]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a: [", 2, "is not YAML"),
        ("a:\n\tb: c", 2, "is not YAML"),
        (b"kind: a\n\xff", 2, "is not UTF-8 text"),
        (b"\x7fELF\x00\x01", 1, "is not YAML"),
        ("[" * 5000, 1, "is nested more than"),
        (f"{WORKFLOW}  more: !!int x", 6, "is tagged !!int"),
        (b"#" * (10 * 1024 * 1024 + 1), 0, "is larger than 10 MiB"),
    ],
    ids=["no end", "tab", "not UTF-8", "binary", "deep", "a tag", "huge"],
)
def test_a_file_that_cannot_be_read_is_told_beside_the_others(
    tmp_path: Path, content: str | bytes, line: int, message: str
) -> None:
    """The objects before and after it are still there."""
    inputs = read_inputs(
        [_write(tmp_path, a=WORKFLOW, b=content, c=WORKFLOW.replace("{name: w}", "{name: z}"))]
    )
    assert _names(inputs) == ["Workflow w", "Workflow z"]
    ((file, found, level, told),) = _told(inputs)
    assert (file, found, level) == ("b.yaml", line, "error")
    assert told.startswith(message)


def test_the_documents_before_a_syntax_error_are_read(tmp_path: Path) -> None:
    """The rest of the file is told with its line."""
    inputs = read_inputs([_write(tmp_path, a=f"{WORKFLOW}---\na: [\n")])
    assert _names(inputs) == ["Workflow w"]
    assert [(line, level) for _, line, level, _ in _told(inputs)] == [(8, "error")]


@pytest.mark.parametrize(
    "content",
    [
        "resources: [a.yaml]\n",
        "replicas: 3\n8080: open\n",
        "- op: add\n  path: /spec\n",
        "apiVersion: v2\nname: chart\n",
        "just text",
        "kind: [1]\napiVersion: 2\n",
        "site: !!python/name:a.b\n",
        "kind: Pipeline\nsteps: []\n",
    ],
)
def test_what_is_no_kubernetes_object_is_passed_over(tmp_path: Path, content: str) -> None:
    """A repository holds files of many programs; they are counted, and nothing is said of them."""
    inputs = read_inputs([_write(tmp_path, a=content, b=WORKFLOW)])
    assert (_names(inputs), inputs.findings, inputs.files, inputs.passed_over) == (["Workflow w"], (), 2, 1)


@pytest.mark.parametrize(
    ("head", "field", "level", "advice"),
    [
        (f"{ARGO}kind: Workfow", "kind", "error", 'did you mean "Workflow"?'),
        (f"{ARGO}kind: cronworkflow", "kind", "error", 'did you mean "CronWorkflow"?'),
        (f"{ARGO}kind: WorkflowTemplates", "kind", "error", 'did you mean "WorkflowTemplate"?'),
        ("apiVersion: argoproj.io/v1\nkind: Workflow", "apiVersion", "error", '"argoproj.io/v1alpha1"?'),
        ("apiVersion: argoproj.io\nkind: CronWorkflow", "apiVersion", "error", '"argoproj.io/v1alpha1"?'),
        ("apiVersion: argoprj.io/v1alpha1\nkind: Workflow", "apiVersion", "error", '"argoproj.io/v1alpha1"?'),
        ("apiVersion: v1alpha1\nkind: WorkflowTemplate", "apiVersion", "error", '"argoproj.io/v1alpha1"?'),
        ("kind: Workflow", "apiVersion", "warning", "write argoproj.io/v1alpha1 for kind Workflow"),
        (ARGO.strip(), "kind", "warning", "write one of Workflow, WorkflowTemplate"),
    ],
)
def test_a_misspelt_kind_is_told_with_what_was_meant(
    tmp_path: Path, head: str, field: str, level: str, advice: str
) -> None:
    """It would pass unchecked, and would never run as what its author means."""
    inputs = read_inputs([_write(tmp_path, a=f"{head}\nmetadata: {{name: a}}\n")])
    assert inputs.manifests == ()
    (found,) = inputs.findings
    assert (found.code, found.field, found.level.value) == (FileCode.UNKNOWN_KIND, field, level)
    assert found.message.endswith(advice) or advice in found.message


@pytest.mark.parametrize(
    "head",
    [
        f"{ARGO}kind: WorkflowEventBinding",
        f"{ARGO}kind: Rollout",
        "apiVersion: argoproj.io/v1beta1\nkind: ArgoCD",
        "apiVersion: flows.example.com/v1\nkind: Workflow",
        "apiVersion: apps/v1\nkind: Deployment",
    ],
)
def test_neighbours_of_argos_kinds_are_no_slips(tmp_path: Path, head: str) -> None:
    """The group has many kinds, and others have a kind named Workflow."""
    assert read_inputs([_write(tmp_path, a=f"{head}\nmetadata: {{name: a}}\n")]).findings == ()


def test_items_of_lists_have_lines_of_their_own(tmp_path: Path) -> None:
    """Of whatever kind the list is, and in JSON too."""
    item = "- apiVersion: argoproj.io/v1alpha1\n  kind: Workflow\n  metadata: {name: NAME}\n"
    items = item.replace("NAME", "a") + item.replace("NAME", "b")
    text = f"apiVersion: v1\nkind: List\nitems:\n{items}---\n{ARGO}kind: WorkflowList\nitems:\n{items}"
    inputs = read_inputs([_write(tmp_path, a=text)])
    assert [(each.name, each.line) for each in inputs.manifests] == [("a", 4), ("b", 7), ("a", 14), ("b", 17)]
    assert inputs.manifests[1].place("metadata.name").line == 9


def test_a_folder_that_may_not_be_read_and_a_dead_link_are_told(tmp_path: Path) -> None:
    """What is behind them was not checked."""
    folder = _write(tmp_path, a=WORKFLOW)
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "lost").symlink_to("no-folder")
    (tmp_path / "picture.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "pipe.yaml")
    inputs = read_inputs([folder, str(tmp_path / "typo")])
    assert _names(inputs) == ["Workflow w"]
    assert _told(inputs) == [
        ("gone.yaml", 0, "error", "is a link that leads nowhere, to nowhere.yaml"),
        ("lost", 0, "error", "is a link that leads nowhere, to no-folder"),
        ("pipe.yaml", 0, "error", "is not a regular file"),
        ("typo", 0, "error", "there is no such file or folder"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_rights_is_told(tmp_path: Path) -> None:
    """As a Pod with another user finds it."""
    folder = _write(tmp_path, a=WORKFLOW, sub__b=WORKFLOW)
    (tmp_path / "sub").chmod(0)
    try:
        told = _told(read_inputs([folder]))
    finally:
        (tmp_path / "sub").chmod(0o700)
    assert told == [("sub", 0, "error", "cannot be read: Permission denied")]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("b.yaml", ["a", "c"]),
        ("sub", ["a"]),
        ("sub/", ["a"]),
        ("./sub", ["a"]),
        ("sub/deep", ["a", "b"]),
        ("*.yaml", []),
        ("sub/*/c.yaml", ["a", "b"]),
        ("other", ["a", "b", "c"]),
    ],
)
def test_files_are_left_out_by_name_or_path(tmp_path: Path, pattern: str, left: list[str]) -> None:
    """And folders with all that is in them."""
    texts = {name: WORKFLOW.replace("{name: w}", f"{{name: {name}}}") for name in "abc"}
    folder = _write(tmp_path, a=texts["a"], sub__b=texts["b"], sub__deep__c=texts["c"])
    inputs = read_inputs([folder], exclude=[pattern])
    assert [each.name for each in inputs.manifests] == left


def test_a_file_is_read_once_however_often_it_is_given(tmp_path: Path) -> None:
    """By its folder, by itself and by a link."""
    folder = _write(tmp_path, a=WORKFLOW)
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    assert len(read_inputs([folder, f"{folder}/a.yaml", f"{folder}/."]).manifests) == 1


def test_templates_of_helm_charts_are_named_as_such(tmp_path: Path) -> None:
    """Only helm can read them; those that hold nothing of ours are no error."""
    template = "metadata: {name: {{ .Release.Name }}}\n"
    text_in_quotes = f'{WORKFLOW}  x: "{{{{ .Values.x }}}}"\n'
    folder = _write(
        tmp_path,
        chart__Chart="apiVersion: v2\nname: c\n",
        chart__values="a: 1\n",
        chart__templates__a=f"{ARGO}kind: Workflow\n{template}",
        chart__templates__b=f"apiVersion: v1\nkind: Service\n{template}",
        chart__templates__c=f"apiVersion: v1\nkind: Secret\n{template}",
        chart__templates__quoted=text_in_quotes,
        chart__templates__plain=WORKFLOW,
        loose=f"{ARGO}{template}",
        script=f"{WORKFLOW}  args: ['docker inspect -f {{{{ .Config }}}}', '{{{{inputs.parameters.a}}}}']\n",
    )
    inputs = read_inputs([folder])
    assert sorted(Path(each.file).name for each in inputs.manifests) == ["plain.yaml", "script.yaml"]
    assert [(file, level) for file, _, level, _ in _told(inputs)] == [
        ("a.yaml", "error"),
        ("b.yaml", "warning"),
        ("quoted.yaml", "error"),
        ("loose.yaml", "error"),
    ]
    assert "is a template of the helm chart" in inputs.findings[0].message
    assert "looks like a template of a helm chart" in inputs.findings[-1].message


def test_standard_input_is_read_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is nothing read."""
    for text, count in ((WORKFLOW.encode(), 1), (b"", 0), (b"---\n# nothing\n", 0)):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
        inputs = read_inputs(["-"])
        assert (len(inputs.manifests), inputs.findings, inputs.files) == (count, (), 1)


def test_aliases_that_would_grow_without_end_are_told(tmp_path: Path) -> None:
    """By our own bound, and before the memory is full."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    inputs = read_inputs([_write(tmp_path, a="\n".join([WORKFLOW, *lines]))])
    assert [(each.level, each.code) for each in inputs.findings] == [(Level.ERROR, FileCode.UNREADABLE)]
    assert isinstance(inputs.findings[0], FileFinding)
    assert inputs.manifests == ()
