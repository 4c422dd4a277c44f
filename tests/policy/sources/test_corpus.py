"""Argo's own example manifests, as people write them, are read right."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from policy.core.objects.workflow import TemplateObject
from policy.sources.directory import PolicyErrors, load_tree, read_tree
from policy.sources.documents import read
from policy.sources.yaml_positions import parse

EXAMPLES = 217
REPEATS_A_KEY = "k8s-patch-json-workflow.yaml"
"""Gives `metadata.annotations` twice, which PyYAML and kubectl overlook."""


class JsonLoader(yaml.SafeLoader):
    """PyYAML without dates: the one difference of plain scalars that JSON asks for.

    Words such as `yes` and `on` differ too, but no example holds one outside quotes.
    """


JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(scope="module")
def examples(corpus: Path) -> list[Path]:
    """Return every example file."""
    return sorted(path for path in (corpus / "examples").rglob("*") if path.is_file())


def test_every_example_is_parsed_to_what_pyyaml_loads(examples: list[Path]) -> None:
    """Values are equal in all files; the only fault is a key that is really given twice."""
    assert len(examples) == EXAMPLES
    faulty = []
    for path in examples:
        parsed = parse(path.read_bytes())
        assert parsed.fault is None, path
        expected = list(yaml.load_all(path.read_bytes(), Loader=JsonLoader))
        assert [document.value for document in parsed.documents] == expected, path
        faulty += [path.name for document in parsed.documents for _ in document.faults]
    assert faulty == [REPEATS_A_KEY]


def test_every_template_of_the_examples_is_decoded(examples: list[Path]) -> None:
    """WorkflowTemplates and ClusterWorkflowTemplates fit what Lockkeeper reads of them."""
    found: Counter[str] = Counter()
    for path in examples:
        for document in parse(path.read_bytes()).documents:
            contents = read(document.value)
            assert contents.problems == (), path
            for decoded in contents.documents:
                found[type(decoded.document).__name__] += 1
                if isinstance(decoded.document, TemplateObject):
                    assert decoded.document.spec.templates is not None, path
    assert found["TemplateObject"] > 10
    assert found["ConfigMap"] > 0


def test_the_examples_are_loaded_as_a_folder_but_for_the_repeated_key(corpus: Path) -> None:
    """A folder of manifests can stand beside the policies; its one mistake is named with its line."""
    with pytest.raises(PolicyErrors) as caught:
        load_tree(read_tree(corpus / "examples"))
    (error,) = caught.value.errors
    assert (Path(error.file).name, error.line) == (REPEATS_A_KEY, 13)
    assert error.path == "metadata.annotations"
