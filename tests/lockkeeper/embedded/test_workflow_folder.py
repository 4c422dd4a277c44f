"""Files as they come: each object once, none half, none lost."""

from pathlib import Path

from lockkeeper.embedded.workflow_folder import WorkflowFolder

WORKFLOW = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: NAME}\nspec: {}\n"


def text(*names: str) -> str:
    """Return the text of Workflows."""
    return "---\n".join(WORKFLOW.replace("NAME", name) for name in names)


def folder(path: Path) -> WorkflowFolder:
    """Return the folder, with all of its objects."""
    return WorkflowFolder(path, wanted=lambda _: True)


def names(looked: WorkflowFolder, *, at_once: bool = False) -> list[str]:
    """Return the names of what came since the last look."""
    return [each.name for each in looked.arrived(at_once=at_once).manifests]


def test_a_file_is_taken_once_it_has_stopped_changing(tmp_path: Path) -> None:
    """One that is being copied would be read half."""
    looked = folder(tmp_path)
    assert names(looked) == []
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    assert names(looked) == []
    file.write_text(text("a", "b"))
    assert names(looked) == []
    assert names(looked) == ["a", "b"]
    assert names(looked) == []


def test_what_is_there_at_first_is_taken_at_once(tmp_path: Path) -> None:
    """In the order of files; namespaces and what Workflows refer to are first."""
    (tmp_path / "1.yaml").write_text(text("a"))
    (tmp_path / "2.yaml").write_text(
        text("b").replace("kind: Workflow", "kind: CronWorkflow")
        + "---\n"
        + text("c").replace("kind: Workflow", "kind: WorkflowTemplate")
    )
    (tmp_path / "3.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: new}\n")
    looked = folder(tmp_path)
    assert names(looked, at_once=True) == ["new", "c", "b", "a"]
    assert names(looked) == []
    assert names(looked) == []


def test_of_a_file_that_changes_only_what_is_new_is_taken(tmp_path: Path) -> None:
    """To write one document anew creates the others no second time."""
    file = tmp_path / "a.yaml"
    file.write_text(text("a", "b"))
    looked = folder(tmp_path)
    names(looked, at_once=True)
    file.write_text(text("a", "c", "b"))
    names(looked)
    assert names(looked) == ["c"]
    file.touch()
    assert names(looked) == []
    assert names(looked) == []


def test_a_file_that_left_and_comes_back_is_taken_again(tmp_path: Path) -> None:
    """Who puts it there once more wants another run."""
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    looked = folder(tmp_path)
    assert names(looked, at_once=True) == ["a"]
    file.unlink()
    assert names(looked) == []
    file.write_text(text("a"))
    names(looked)
    assert names(looked) == ["a"]


def test_equal_documents_are_taken_each(tmp_path: Path) -> None:
    """Three of the same with a generateName are three Workflows."""
    (tmp_path / "a.yaml").write_text(text("a", "a", "a"))
    assert names(folder(tmp_path), at_once=True) == ["a", "a", "a"]


def test_a_bad_file_is_told_once_and_hides_nothing(tmp_path: Path) -> None:
    """With its place; when it is mended, it is taken."""
    (tmp_path / "good.yaml").write_text(text("a"))
    bad = tmp_path / "bad.yaml"
    bad.write_text("{")
    looked = folder(tmp_path)
    came = looked.arrived(at_once=True)
    assert [each.name for each in came.manifests] == ["a"]
    assert len(came.faults) == 1
    assert came.faults[0].startswith(f"{bad}:2: is not YAML")
    assert looked.arrived().faults == ()
    bad.write_text(text("b"))
    names(looked)
    assert names(looked) == ["b"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Such as a link that leads nowhere."""
    (tmp_path / "a.yaml").symlink_to(tmp_path / "nowhere")
    assert "leads nowhere" in folder(tmp_path).arrived(at_once=True).faults[0]


def test_who_is_told_elsewhere_is_not_told_here(tmp_path: Path) -> None:
    """And of a folder of policies only some kinds are wanted."""
    (tmp_path / "a.yaml").write_text(text("a", "b"))
    (tmp_path / "bad.yaml").write_text("{")
    looked = WorkflowFolder(tmp_path, wanted=lambda each: each.name == "b", tells=False)
    came = looked.arrived(at_once=True)
    assert ([each.name for each in came.manifests], came.faults) == (["b"], ())


def test_one_file_may_be_all(tmp_path: Path) -> None:
    """`--workflows FILE`."""
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    assert names(folder(file), at_once=True) == ["a"]
