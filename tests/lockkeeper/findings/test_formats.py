"""Each format is what its readers take, whatever stands in names, fields and messages."""

import xml.etree.ElementTree as ET
from typing import Final

import jsonschema_rs
import msgspec
import pytest

from lockkeeper.findings.finding import CheckedObject, FileCode, FileFinding, FilesReport, Level
from lockkeeper.findings.github import github
from lockkeeper.findings.junit import junit
from lockkeeper.findings.rule_texts import rule_text
from lockkeeper.findings.sarif import sarif
from lockkeeper.findings.table import table
from policy.core.decision.decision import Code
from tests.lockkeeper.findings.sarif_rules import SARIF_RULES

DEADLOCK: Final = FileFinding(
    "a.yaml", 7, Level.ERROR, "Deadlock", "Workflow shop/a", "spec.x", "waits", "SynchronizationPolicy s/p"
)
WARNED: Final = FileFinding("a.yaml", 3, Level.WARNING, FileCode.WARNING, "Workflow shop/b", "", "look")
UNREAD: Final = FileFinding("dir/b c.yaml", 0, Level.ERROR, FileCode.UNREADABLE, "", "", "is not YAML")
ODD: Final = FileFinding(
    "x,y:z%\n<é>.yaml",
    1,
    Level.ERROR,
    "LockName",
    "Workflow \x00 <&\"'>/\x1b",
    "a]]>b",
    "100% of\r\nit \ud800",
)
CHECKED: Final = tuple(CheckedObject("a.yaml", 1, f"Workflow shop/{name}") for name in "abc")
ALL: Final = FilesReport((DEADLOCK, WARNED, UNREAD, ODD), CHECKED, files=3, passed_over=1)
NOTHING: Final = FilesReport((), CHECKED, files=1)


@pytest.mark.parametrize("report", [ALL, NOTHING, FilesReport((), ())], ids=["all", "nothing", "empty"])
def test_sarif_is_valid(report: FilesReport) -> None:
    """Code scanning refuses a whole upload for one wrong field."""
    assert list(jsonschema_rs.validator_for(SARIF_RULES).iter_errors(sarif(report, "1.0"))) == []


def test_sarif_escapes_paths_and_explains_codes() -> None:
    """A blank or a colon in a path is not a part of a URI, and an absolute path is one with a scheme."""
    absolute = FileFinding("/tmp/a b.yaml", 1, Level.ERROR, "Deadlock", "", "", "m")  # noqa: S108 - only a name
    text = str(sarif(FilesReport((UNREAD, ODD, absolute), ()), "1.0"))
    assert "'uri': 'dir/b%20c.yaml'" in text
    assert "'uri': 'x,y%3Az%25%0A%3C%C3%A9%3E.yaml'" in text
    assert "'uri': 'file:///tmp/a%20b.yaml'" in text
    assert rule_text("Deadlock").means in text
    assert rule_text("Deadlock").remedy in text


def test_each_code_of_a_denial_is_explained() -> None:
    """With a sentence that ends."""
    for code in (*Code, *FileCode):
        means, remedy = rule_text(code)
        assert (means[-1], remedy[-1]) == (".", ".")
    for code in FileCode:
        assert code.value not in rule_text(code).means


def test_annotations_are_a_line_each() -> None:
    """What would end the line or a property is escaped; a file without a line is shown at its first."""
    assert github(ALL).splitlines()[:3] == [
        (
            "::error file=a.yaml,line=7,title=Deadlock in Workflow shop/a::"
            "[SynchronizationPolicy s/p] spec.x: waits"
        ),
        "::warning file=a.yaml,line=3,title=Warning in Workflow shop/b::look",
        "::error file=dir/b c.yaml,line=1,title=Unreadable::is not YAML",
    ]
    odd = github(FilesReport((ODD,), ()))
    assert odd.startswith("::error file=x%2Cy%3Az%25%0A<é>.yaml,line=1,")
    assert odd.count("\n") == 1
    assert "100%25 of%0D%0Ait" in odd
    assert github(NOTHING) == ""


def test_junit_has_a_case_for_each_object() -> None:
    """What was not found is seen too: an object without findings has passed."""
    root = ET.fromstring(junit(ALL))  # noqa: S314 - our own text
    suites = {suite.get("name"): suite for suite in root}
    first = suites["a.yaml"]
    assert (first.get("tests"), first.get("failures"), first.get("errors")) == ("3", "1", "0")
    assert [(case.get("name"), [each.tag for each in case]) for case in first] == [
        ("Workflow shop/a", ["failure"]),
        ("Workflow shop/b", ["system-out"]),
        ("Workflow shop/c", []),
    ]
    assert [each.tag for case in suites["dir/b c.yaml"] for each in case] == ["error"]
    assert len(suites) == 3


def test_junit_counts_warnings_as_failures_where_they_are() -> None:
    """As the exit code does with `--strict`."""
    root = ET.fromstring(junit(ALL, strict=True))  # noqa: S314 - our own text
    assert [suite.get("failures") for suite in root if suite.get("name") == "a.yaml"] == ["2"]
    assert ET.fromstring(junit(NOTHING))[0].get("failures") == "0"  # noqa: S314 - our own text


def test_the_table_counts_what_was_read() -> None:
    """And what was passed over."""
    assert table(ALL).splitlines()[0] == (
        "a.yaml:7: error: Deadlock: Workflow shop/a [SynchronizationPolicy s/p]: spec.x: waits"
    )
    assert table(ALL).splitlines()[2] == "dir/b c.yaml: error: Unreadable: is not YAML"
    assert table(ALL).endswith("3 objects in 3 files (1 other document passed over): 3 errors, 1 warning\n")
    assert table(NOTHING) == "3 objects in 1 file: 0 errors, 0 warnings\n"
    beside = msgspec.structs.replace(NOTHING, policies=2)
    assert table(beside) == "3 objects and 2 policies in 1 file: 0 errors, 0 warnings\n"


def test_junit_has_no_error_where_the_exit_code_is_0() -> None:
    """A template of a helm chart without kinds of Argo is a warning, and has no line."""
    found = FileFinding("c/t.yaml", 0, Level.WARNING, FileCode.UNREADABLE, "", "", "helm")
    (suite,) = ET.fromstring(junit(FilesReport((found,), (), 1)))  # noqa: S314 - our own text
    assert (suite.get("errors"), suite.get("failures")) == ("0", "0")
    assert suite[0][0].text == "c/t.yaml: warning: Unreadable: helm"
